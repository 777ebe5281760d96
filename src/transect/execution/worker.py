"""The life of a worker process: take a job, do it, send what came of it, until the parent hangs up."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection

from transect.execution.jobs import Job, Outcome

SECONDS_BETWEEN_REPORTS = 0.1
ORPHANED = 3  # exit code of a worker whose parent is gone


@dataclass(frozen=True)
class Step:
    """How far a job is, as its worker sends it to the parent."""

    stage: str
    step: int
    steps: int


def work(connection: Connection, threads: int) -> None:
    """Do jobs from a connection until it closes; the main function of a worker process.

    Args:
        connection: Gives :class:`Job`, takes any number of :class:`Step` and one :class:`Outcome` for each.
        threads: Threads that torch may use: workers side by side with more than their share are many times slower.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of a terminal; the parent decides
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    _limit_threads(threads)
    while True:
        try:
            job = connection.recv()
        except (EOFError, OSError):
            return
        connection.send(_outcome(job, _Reporter(connection)))


class _Reporter:
    """Sends steps to the parent, but not more often than a person can see."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stage = ""
        self._next = 0.0

    def __call__(self, stage: str, step: int, steps: int) -> None:
        now = time.monotonic()
        if now >= self._next or stage != self._stage or step == steps:
            self._connection.send(Step(stage, step, steps))
            self._stage, self._next = stage, now + SECONDS_BETWEEN_REPORTS


def _outcome(job: Job, report: _Reporter) -> Outcome:
    try:
        return Outcome(job.key, result=job.function(*job.args, report=report))
    except Exception as error:  # whatever a job raises is its own affair: the other jobs go on
        return Outcome(job.key, error=f"{type(error).__name__}: {error}", details=traceback.format_exc())


def _leave_with_parent() -> None:
    """Stop at once, in the middle of a job too, when the parent process is gone: nobody wants its result."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(ORPHANED)


def _limit_threads(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)
