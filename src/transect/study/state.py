"""What a worker is doing, in a file: so that ``study status`` can tell from another terminal, or another machine."""

from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from transect.execution.events import Report
from transect.storage.atomic import write_text
from transect.untrusted import parse_json

SECONDS_BETWEEN_NOTES = 2.0
_PREFIX = "state-"
SECONDS_TO_SILENCE = 600.0
"""A worker on another machine that has written nothing for so long is taken for dead."""


class Stated:
    """Passes reports on, and keeps the last one in a file while the block lasts.

    Args:
        folder: Where the file goes, one for each worker; removed when the block ends, also by an error.
        report: Who hears of the steps beside it.
    """

    def __init__(self, folder: Path, report: Report) -> None:
        self._path, self._report = folder / f"{_PREFIX}{socket.gethostname()}-{os.getpid()}.json", report
        self._began = time.time()
        self._next = 0.0

    def __call__(self, stage: str, step: int, steps: int) -> None:
        """Say that ``step`` of ``steps`` steps of a stage are done."""
        self._report(stage, step, steps)
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + SECONDS_BETWEEN_NOTES
            note = {"stage": stage, "step": step, "steps": steps, "began": self._began, "noted": time.time()}
            write_text(self._path, json.dumps(note | {"host": socket.gethostname(), "process": os.getpid()}))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._path.unlink(missing_ok=True)


@dataclass(frozen=True)
class State:
    """What a worker said last.

    Attributes:
        stage: What it was doing.
        step: Steps done.
        steps: Of how many; 0 where unknown.
        seconds: Since it began.
    """

    stage: str
    step: int
    steps: int
    seconds: float


def read_states(folder: Path) -> list[State]:
    """What living workers are doing in a folder."""
    notes = [_read(path) for path in sorted(folder.glob(f"{_PREFIX}*.json"))]
    return [
        State(note["stage"], note["step"], note["steps"], time.time() - note["began"])
        for note in notes
        if note is not None and _is_alive(note)
    ]


def _read(path: Path) -> dict[str, Any] | None:
    try:
        note: dict[str, Any] = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # it was removed this moment
        return None
    return note


def _is_alive(note: dict[str, Any]) -> bool:
    if note["host"] != socket.gethostname():
        return bool(time.time() - note["noted"] < SECONDS_TO_SILENCE)
    try:
        os.kill(note["process"], 0)
    except ProcessLookupError:
        return False
    except OSError:  # it lives, and is somebody else's
        return True
    return True
