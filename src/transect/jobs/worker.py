"""The life of a worker process: take a job, do it, send what came of it, until the parent hangs up."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection

from transect.jobs.job import Job, Outcome

SECONDS_BETWEEN_REPORTS = 0.1
ORPHANED = 3  # exit code of a worker whose parent is gone


@dataclass(frozen=True)
class JobStep:
    """How far a job is, as its worker sends it to the parent.

    Attributes:
        stage: What the job is doing.
        step: Steps of the stage done, of ``steps``.
        steps: Steps of the stage in all; 0 where unknown.
        message: One line for people, where there is something to say.
    """

    stage: str
    step: int
    steps: int
    message: str = ""


BEGUN = JobStep("", 0, 0)
"""The first thing a worker says of a job."""


def work(connection: Connection, threads: int) -> None:
    """Do jobs from a connection until it closes; the main function of a worker process.

    Args:
        connection: Gives :class:`Job`, takes :data:`BEGUN`, any number of :class:`JobStep` and one :class:`Outcome` for
            each.
        threads: Threads that torch may use: workers side by side with more than their share are many times slower.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of a terminal; the parent decides
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    limit_threads(threads)
    while True:
        try:
            job = connection.recv()
        except (EOFError, OSError):
            return
        connection.send(BEGUN)
        _send(connection, do(job, Reporter(connection.send)))


class Reporter:
    """Sends steps to the parent, but not more often than a person can see.

    Args:
        send: Sends one.
    """

    def __init__(self, send: Callable[[JobStep], None]) -> None:
        self._send = send
        self._stage = ""
        self._next = 0.0

    def __call__(self, stage: str, step: int, steps: int) -> None:
        """Send a step, if it is the first or last of its stage or the last was sent some time ago."""
        now = time.monotonic()
        if now >= self._next or stage != self._stage or step == steps:
            self._send(JobStep(stage, step, steps))
            self._stage, self._next = stage, now + SECONDS_BETWEEN_REPORTS


def do(job: Job, report: Reporter) -> Outcome:
    """Call the function of a job; what it raises is an outcome too."""
    try:
        return Outcome(job.key, result=job.function(*job.args, report=report))
    except Exception as error:  # whatever a job raises is its own affair: the other jobs go on
        return failure(job.key, error)


def failure(key: str, error: Exception, prefix: str = "") -> Outcome:
    """The outcome of a job that raised an error. To be called while the error is handled.

    Args:
        key: Key of the job.
        error: What was raised.
        prefix: Said before it.
    """
    return Outcome(key, error=f"{prefix}{type(error).__name__}: {error}", details=traceback.format_exc())


def limit_threads(threads: int) -> None:
    """Let torch use so many threads in this process."""
    import torch

    torch.set_num_threads(threads)


def _send(connection: Connection, outcome: Outcome) -> None:
    try:
        connection.send(outcome)
    except OSError:
        raise
    except Exception as error:  # pickle raises what it likes; nothing has been sent yet
        connection.send(failure(outcome.key, error, "its result cannot be sent to another process: "))


def _leave_with_parent() -> None:
    """Stop at once, in the middle of a job too, when the parent process is gone: nobody wants its result."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(ORPHANED)
