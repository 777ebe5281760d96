"""One process at a time works in a folder: who does, and how a dead one is told from one that lives."""

from __future__ import annotations

import json
import os
import secrets
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import lock_descriptor, unlock_descriptor

from transect.errors import FolderInUse

LOCK = ".lock"
"""The file in the folder: empty while nobody works there."""

SECONDS_TO_SILENCE = 120.0
"""An owner on another machine that has given no sign of life for so long is taken for dead."""

_SECONDS_BETWEEN_SIGNS = 15.0
_MOST_BYTES = 4096


class Ownership:
    """A folder that belongs to this process for now; made by :func:`owned`.

    Args:
        path: The lock file.
        token: What this process wrote into it.
    """

    def __init__(self, path: Path, token: str) -> None:
        self._path, self._token = path, token

    def confirm(self) -> None:
        """Make sure that the folder is still ours: it was deleted, or taken over while this process was asleep.

        Raises:
            FolderInUse: It is not.
        """
        note = _read(self._path)
        if note.get("token") != self._token:
            raise FolderInUse(
                f"{self._path.parent} was deleted, or taken over by {_name(note)}, while this process worked there; "
                "it stops, so that nothing of the other is overwritten."
            )

    def give_signs(self, ended: threading.Event) -> None:
        """Tell other machines that this process lives, until it ends."""
        while not ended.wait(_SECONDS_BETWEEN_SIGNS):
            with suppress(OSError):
                if _read(self._path).get("token") == self._token:
                    os.utime(self._path)


@contextmanager
def owned(folder: str | os.PathLike[str]) -> Iterator[Ownership]:
    """Own a folder while the block lasts; a second process (or thread) that wants it is refused at once.

    The lock is one of the operating system, which ends with its process however that dies. Locks do not reach every
    machine that sees a folder of a network: there, and where a file system has none, the time of the lock file tells.
    An owner on another machine that has not touched it for :data:`SECONDS_TO_SILENCE` is dead.

    Args:
        folder: The folder; made where it is missing.

    Raises:
        FolderInUse: Somebody else owns it; the message says who.
    """
    path = Path(folder) / LOCK
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        locked = _locked(descriptor)
        _refuse_other_owner(path, locked)
        token = _sign(descriptor)
        ended, ownership = threading.Event(), Ownership(path, token)
        threading.Thread(target=ownership.give_signs, args=(ended,), daemon=True).start()
        try:
            yield ownership
        finally:
            ended.set()
            if _read(path).get("token") == token:
                os.ftruncate(descriptor, 0)
            if locked:
                unlock_descriptor(descriptor)  # also for children that were forked meanwhile
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool | None:
    """Whether this process has the lock now; None where the file system has no locks."""
    try:
        return lock_descriptor(descriptor, blocking=False)
    except OSError:
        return None


def _refuse_other_owner(path: Path, locked: bool | None) -> None:
    note, silent = _read(path), _seconds_since(path)
    here = note.get("host") == socket.gethostname()
    gone = not note or silent > SECONDS_TO_SILENCE or (here and (locked or not _runs(note.get("process"))))
    if locked is not False and gone:
        return
    hint = "" if here else f" Should it be dead: the folder is free {SECONDS_TO_SILENCE:.0f} s after its last sign."
    raise FolderInUse(
        f"{path.parent} is in use by {_name(note)} (last sign of life {max(0.0, silent):.0f} s ago). Wait until it has "
        f"ended, or use another folder; nothing was changed.{hint}"
    )


def _sign(descriptor: int) -> str:
    token = secrets.token_hex(8)
    note = {
        "host": socket.gethostname(),
        "process": os.getpid(),
        "since": time.strftime("%Y-%m-%d %H:%M:%S"),
        "token": token,
    }
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, json.dumps(note).encode())
    os.fsync(descriptor)
    return token


def _read(path: Path) -> dict[str, Any]:
    """Who owns the folder; empty where nobody does, or where that cannot be read (this moment)."""
    try:
        with open(path, "rb") as file:
            note = json.loads(file.read(_MOST_BYTES))
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def _name(note: dict[str, Any]) -> str:
    if not note:
        return "another process"
    process, host, since = (_printable(note.get(key)) for key in ("process", "host", "since"))
    return f"process {process} on {host} since {since}"


def _printable(value: Any) -> str:
    return "".join(sign for sign in str(value) if sign.isprintable())


def _seconds_since(path: Path) -> float:
    """How old a file is by the clock of its file system, which may not be that of this machine."""
    with tempfile.TemporaryFile(dir=path.parent, prefix=".") as now:
        return os.fstat(now.fileno()).st_mtime - path.stat().st_mtime


def _runs(process: Any) -> bool:
    """Whether a process of this machine runs."""
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, ValueError, TypeError):
        return False
    except OSError:  # it does, and is somebody else's
        return True
    return True
