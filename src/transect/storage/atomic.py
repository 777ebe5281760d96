"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path to write; move it over ``path`` if the block ends well, delete it if not.

    The temporary file lies in the same folder, so that the move is one step of the file system, and has a name of its
    own, so that two processes which write the same file at once do not meet: the last one wins, whole.

    Args:
        path: The file to make or replace. Its folder is made where it is missing.

    Yields:
        Path that does not exist yet, with the suffix of ``path``; the block must make it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}-{os.getpid()}-{secrets.token_hex(4)}.part{path.suffix}")
    try:
        yield temporary
        _settle(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a UTF-8 text file atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def remove_leftovers(folder: str | os.PathLike[str]) -> None:
    """Delete the temporary files that a killed process left in a folder; call it only where nobody is writing."""
    for leftover in Path(folder).glob(".*.part*"):
        leftover.unlink(missing_ok=True)


def _settle(path: Path) -> None:
    """Put the file's bytes on the disk before its name is there, so that a power cut leaves no empty file."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())
