"""What a user gives to ``measure`` as paths: checked, named, and handed out in chunks, once for every model."""

from __future__ import annotations

import hashlib
import itertools
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from transect.errors import InvalidInput, check_name
from transect.paths import Path

_ON_CPU, _ON_GPU = (50_000, 32), (5_000_000, 1024)  # numbers of the segments traced together, and paths, at most


@dataclass(frozen=True)
class Chunk:
    """Neighbouring paths that are traced together.

    Attributes:
        first: Position of the first among all paths.
        names: Their names.
        paths: The paths.
    """

    first: int
    names: tuple[str, ...]
    paths: tuple[Path, ...]

    @property
    def positions(self) -> range:
        """Positions of its paths."""
        return range(self.first, self.first + len(self.paths))

    def __str__(self) -> str:
        last = self.positions[-1]
        return f"path {last}" if last == self.first else f"paths {self.first} to {last}"


class Paths:
    """All paths, in order.

    A sequence or mapping is read where it is. What can be read only once, such as a generator, is read chunk by chunk;
    where it is wanted again, what has been read lies in a temporary file meanwhile.

    Args:
        given: A path, or a sequence, mapping or other iterable of paths.
        again: Whether the chunks are wanted more than once.

    Raises:
        InvalidInput: There is no path, or what was given is none.
    """

    def __init__(self, given: Any, again: bool) -> None:
        given = [given] if isinstance(given, Path) else given
        if isinstance(given, str | bytes | torch.Tensor) or not isinstance(given, Iterable):
            raise InvalidInput(
                "paths: expected a transect.Path, or a sequence, a mapping from names or another iterable of them, got "
                f"{type(given).__name__}; make paths from their anchors."
            )
        self.total: int | None = len(given) if isinstance(given, Mapping | Sequence) else None
        self._names = [check_name("paths", str(name)) for name in given] if isinstance(given, Mapping) else None
        items: Iterable[Path] = given.values() if isinstance(given, Mapping) else given
        reader = iter(items)
        first = next(reader, None)
        if first is None:
            raise InvalidInput("paths: expected at least one path, got none.")
        if self.total is None:
            items = itertools.chain([first], reader)
            items = _Kept(items) if again else items
        self._items = items
        self.first = _checked(0, first, first)

    def chunks(self, together: int) -> Iterator[Chunk]:
        """The paths in order, ``together`` at a time.

        Raises:
            InvalidInput: One is not a path, or leads through another space than the first.
        """
        reader = iter(self._items)
        first = 0
        while group := tuple(itertools.islice(reader, together)):
            paths = tuple(_checked(first + index, path, self.first) for index, path in enumerate(group))
            positions = range(first, first + len(paths))
            names = tuple(str(position) if self._names is None else self._names[position] for position in positions)
            yield Chunk(first, names, paths)
            first += len(paths)
            del group, paths

    def sample(self, most: int) -> list[Path]:
        """Some paths spread evenly over all; of those that can be read only once, the first."""
        if self.total is None:
            return [self.first]
        wanted = {round(k * (self.total - 1) / max(1, most - 1)) for k in range(most)}
        return [_checked(index, path, self.first) for index, path in enumerate(self._items) if index in wanted]


def traced_together(first: Path, on_cpu: bool) -> int:
    """How many paths to trace together, by the first: segments that share their rows keep small networks busy, and
    large inputs fill the cache by themselves."""
    numbers, most = _ON_CPU if on_cpu else _ON_GPU
    return min(most, max(1, numbers // (len(first) * first.anchors[0].numel())))


def fingerprint(path: Path) -> str:
    """Digest of a path: its anchors bit by bit, and whether it is closed."""
    anchors = path.anchors
    digest = hashlib.sha256(f"{anchors.dtype} {tuple(anchors.shape)} {path.closed}".encode())
    digest.update(_bytes(anchors))
    return digest.hexdigest()[:16]


def _checked(position: int, path: Any, first: Path) -> Path:
    if not isinstance(path, Path):
        raise InvalidInput(
            f"paths: expected path {position} to be a transect.Path, got {type(path).__name__}; make one from its "
            "anchors."
        )
    shape, expected = tuple(path.anchors.shape[1:]), tuple(first.anchors.shape[1:])
    if shape != expected:
        raise InvalidInput(
            f"paths: the anchors of path {position} have shape {shape}, those of path 0 {expected}; all must lead "
            "through the space of the models' inputs."
        )
    return path


class _Kept(Iterable[Path]):
    """Paths that can be read once, made readable again: each goes to a temporary file when it first comes by."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._fresh = iter(paths)
        self._file = tempfile.TemporaryFile(prefix="transect-paths-")  # noqa: SIM115 (no name: gone whatever happens)
        self._places: list[tuple[int, torch.dtype, torch.Size, bool]] = []

    def __iter__(self) -> Iterator[Path]:
        index = 0
        while (path := self._load(index) if index < len(self._places) else self._take()) is not None:
            yield path
            del path  # before the next is made
            index += 1

    def _take(self) -> Path | None:
        path = next(self._fresh, None)
        if path is not None:
            path = _checked(len(self._places), path, path)
            offset = self._file.seek(0, os.SEEK_END)
            self._file.write(_bytes(path.anchors))
            self._places.append((offset, path.anchors.dtype, path.anchors.shape, path.closed))
        return path

    def _load(self, index: int) -> Path:
        offset, dtype, shape, closed = self._places[index]
        self._file.seek(offset)
        data = bytearray(self._file.read(shape.numel() * dtype.itemsize))
        return Path(torch.frombuffer(data, dtype=dtype).reshape(shape), closed)


def _bytes(anchors: Tensor) -> memoryview:
    return anchors.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
