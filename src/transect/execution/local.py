"""Jobs on worker processes of this machine."""

from __future__ import annotations

from transect.errors import StudyError
from transect.execution.crew import Crew
from transect.execution.executor import Executor


class LocalExecutor(Crew, Executor):
    """Runs jobs on worker processes of this machine, one job on each.

    Workers are spawned: a script that uses them must do so under ``if __name__ == "__main__":``. When the parent
    process is killed, they notice and leave. What a job asks for (``cpus``, ``gpus``) does not matter here.

    Args:
        workers: Processes at a time.
        threads: Threads that torch may use in each.
        retries: How often a job is done again whose worker died. Not at all, unless asked for: on one machine the usual
            cause is that memory is full, and it would be again.

    Raises:
        StudyError: If fewer than one worker or thread is asked for.
    """

    def __init__(self, workers: int, threads: int = 1, retries: int = 0) -> None:
        if workers < 1:
            raise StudyError(f"expected at least one worker, got workers={workers}")
        if threads < 1 or retries < 0:
            raise StudyError(f"expected at least 1 thread and 0 retries, got threads={threads}, retries={retries}")
        super().__init__(workers, threads)
        self.retries = retries

    def close(self) -> None:
        """End every worker."""
        self.dismiss()
