"""Jobs on worker processes of this machine: start them, hand them jobs, hear from them, outlive their death."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from transect.errors import StudyError
from transect.jobs.executor import Executor
from transect.jobs.job import Job, Outcome
from transect.jobs.worker import JobStep, work

_SECONDS_TO_LEAVE = 5.0


@dataclass
class _Member:
    process: BaseProcess
    connection: Connection
    job: Job | None = None


class LocalExecutor(Executor):
    """Runs jobs on worker processes of this machine, one job on each.

    Each has a pipe of its own: one that is killed in the middle of a message harms nobody else. They are *spawned*,
    since forking a process in which torch has started threads can hang: a script that uses them must do so under
    ``if __name__ == "__main__":``. They live until :meth:`dismiss`, since each needs seconds to import torch, and
    leave when the parent process is killed. What a job asks for (``cpus``, ``gpus``) does not matter here.

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
        self._size, self._threads, self.retries = workers, threads, retries
        self._members: list[_Member] = []

    def has_room(self) -> bool:
        """Whether fewer jobs are in hand than there are workers."""
        return len(self._busy()) < self._size

    def is_busy(self) -> bool:
        """Whether any job is in hand."""
        return bool(self._busy())

    def gather(self) -> None:
        """Start all workers now, side by side. One hired by :meth:`give` can hold up the next: a job that does not fit
        into a pipe is only sent when its worker has started."""
        while len(self._members) < self._size:
            self._hire()

    def give(self, job: Job) -> None:
        """Hand a job to an idle worker, or to a new one."""
        member = self._idle() or self._hire()
        member.job = job
        with suppress(OSError):  # it may have died this moment: hear() finds its pipe closed and says so
            member.connection.send(job)

    def hear(self) -> list[tuple[Job, JobStep | Outcome]]:
        """Wait until a busy worker says something, or dies; give what was said, with the job it is about."""
        ready = wait([member.connection for member in self._busy()])
        return [self._listen(member) for member in self._busy() if member.connection in ready]

    def dismiss(self) -> None:
        """End every worker, also in the middle of a job, and wait until it is gone."""
        for member in self._members:
            member.connection.close()
            if member.job is not None:
                member.process.terminate()
        for member in self._members:
            _end(member.process)
        self._members.clear()

    def close(self) -> None:
        """End every worker."""
        self.dismiss()

    def _busy(self) -> list[_Member]:
        return [member for member in self._members if member.job is not None]

    def _idle(self) -> _Member | None:
        idle = (member for member in self._members if member.job is None and member.process.is_alive())
        return next(idle, None)

    def _hire(self) -> _Member:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(theirs, self._threads), daemon=True)
        with _interrupts_held():
            process.start()
        theirs.close()  # so that the pipe ends when the worker does
        self._members.append(_Member(process, ours))
        return self._members[-1]

    def _listen(self, member: _Member) -> tuple[Job, JobStep | Outcome]:
        assert member.job is not None
        job = member.job
        try:
            said: JobStep | Outcome = member.connection.recv()
        except (EOFError, OSError):
            said = self._bury(member, job)
        if isinstance(said, Outcome):
            member.job = None
        return job, said

    def _bury(self, member: _Member, job: Job) -> Outcome:
        _end(member.process)
        member.connection.close()
        self._members.remove(member)
        error = f"its worker process died ({_last_words(member.process.exitcode)})"
        return Outcome(job.key, error=error, died=True)


def _end(process: BaseProcess) -> None:
    process.join(_SECONDS_TO_LEAVE)
    if process.is_alive():
        process.kill()
        process.join()


def _last_words(code: int | None) -> str:
    if code is not None and code < 0:
        return f"killed by signal {signal.Signals(-code).name}; out of memory is the usual reason for SIGKILL"
    return f"exit code {code}"


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back while a process starts: the child inherits the mask and never dies of it half-imported."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
