"""What a user gives to ``measure`` as paths or planes: checked, named, handed out in chunks, once for every model."""

from __future__ import annotations

import hashlib
import itertools
import os
import pickle
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from transect.errors import InvalidInput, check_name
from transect.measuring.kinds import Kind, Place, inputs_of, kind_of, made_of, parts_of
from transect.paths import Path, Plane

_ON_CPU, _ON_GPU = (50_000, 32), (5_000_000, 1024)  # numbers of the segments traced together, and paths, at most


@dataclass(frozen=True)
class Chunk:
    """Neighbouring paths that are traced together, or planes.

    Attributes:
        first: Position of the first among all.
        names: Their names.
        places: The paths or planes.
    """

    first: int
    names: tuple[str, ...]
    places: tuple[Place, ...]

    @property
    def positions(self) -> range:
        """Positions of its paths or planes."""
        return range(self.first, self.first + len(self.places))

    def __str__(self) -> str:
        last, noun = self.positions[-1], kind_of(self.places[0]).noun
        return f"{noun} {last}" if last == self.first else f"{noun}s {self.first} to {last}"


class Places:
    """All paths, in order, or all planes.

    A sequence or mapping is read where it is. What can be read only once, such as a generator, is read chunk by chunk;
    where it is wanted again, what has been read lies in a temporary file meanwhile.

    Args:
        given: A path, or a sequence, mapping or other iterable of paths; or likewise of planes.
        again: Whether the chunks are wanted more than once.

    Raises:
        InvalidInput: There is no path, or what was given is none.
    """

    def __init__(self, given: Any, again: bool) -> None:
        given = [given] if isinstance(given, Path | Plane) else given
        if isinstance(given, str | bytes | torch.Tensor) or not isinstance(given, Iterable):
            raise InvalidInput(
                "paths: expected a transect.Path, or a sequence, a mapping from names or another iterable of them, got "
                f"{type(given).__name__}; make paths from their anchors. Likewise of transect.Plane."
            )
        self.total: int | None = len(given) if isinstance(given, Mapping | Sequence) else None
        self._names = [check_name("paths", str(name)) for name in given] if isinstance(given, Mapping) else None
        items: Iterable[Place] = given.values() if isinstance(given, Mapping) else given
        reader = iter(items)
        first = next(reader, None)
        if first is None:
            raise InvalidInput("paths: expected at least one path, got none.")
        if self.total is None:
            items = itertools.chain([first], reader)
            items = _Kept(items) if again else items
        self._items = items
        self.first = _checked(0, first, first)

    @property
    def kind(self) -> Kind:
        """Whether they are paths or planes."""
        return kind_of(self.first)

    def chunks(self, together: int) -> Iterator[Chunk]:
        """The paths or planes in order, ``together`` at a time.

        Raises:
            InvalidInput: One is of another kind than the first, or in another space.
        """
        reader = iter(self._items)
        first = 0
        while group := tuple(itertools.islice(reader, together)):
            places = tuple(_checked(first + index, place, self.first) for index, place in enumerate(group))
            positions = range(first, first + len(places))
            names = tuple(str(position) if self._names is None else self._names[position] for position in positions)
            yield Chunk(first, names, places)
            first += len(places)
            del group, places

    def sample(self, most: int) -> list[Place]:
        """Some spread evenly over all; of those that can be read only once, the first."""
        if self.total is None:
            return [self.first]
        wanted = {round(k * (self.total - 1) / max(1, most - 1)) for k in range(most)}
        return [_checked(index, place, self.first) for index, place in enumerate(self._items) if index in wanted]


def taken_together(first: Place, on_cpu: bool) -> int:
    """How many paths to trace together, by the first: segments that share their rows keep small networks busy, and
    large inputs fill the cache by themselves. Planes are sliced one by one."""
    if isinstance(first, Plane):
        return 1
    numbers, most = _ON_CPU if on_cpu else _ON_GPU
    return min(most, max(1, numbers // (len(first) * first.anchors[0].numel())))


def fingerprint(place: Place) -> str:
    """Digest of a path or plane: all it is made of, bit by bit."""
    if isinstance(place, Path):
        digest = hashlib.sha256(f"{place.anchors.dtype} {tuple(place.anchors.shape)} {place.closed}".encode())
        digest.update(_bytes(place.anchors))
        return digest.hexdigest()[:16]
    digest = hashlib.sha256(b"plane")
    for part in parts_of(place):
        assert isinstance(part, Tensor)
        digest.update(str(tuple(part.shape)).encode())
        digest.update(_bytes(part))
    return digest.hexdigest()[:16]


def packed_places(places: Sequence[Place]) -> bytes:
    """Paths or planes as bytes: sent as tensors, their memory would become shared, and a file descriptor each."""
    return pickle.dumps([parts_of(place) for place in places], pickle.HIGHEST_PROTOCOL)


def unpacked_places(data: bytes) -> list[Place]:
    """What was packed, by this process or its parent."""
    return [made_of(parts) for parts in pickle.loads(data)]


def _checked(position: int, place: Any, first: Place) -> Place:
    if not isinstance(place, Path | Plane):
        raise InvalidInput(
            f"paths: expected path {position} to be a transect.Path, got {type(place).__name__}; make one from its "
            "anchors. Likewise of planes."
        )
    noun, wanted = kind_of(place).noun, kind_of(first).noun
    if noun != wanted:
        raise InvalidInput(
            f"paths: expected {wanted}s only, as the first is one, got a {noun} at {position}: paths and planes have "
            "different columns; measure each in a call of its own."
        )
    shape, expected = tuple(inputs_of(place).shape[1:]), tuple(inputs_of(first).shape[1:])
    if shape != expected:
        what = "the anchors of path" if noun == "path" else "the inputs of plane"
        raise InvalidInput(
            f"paths: {what} {position} have shape {shape}, those of {noun} 0 {expected}; all must lead "
            "through the space of the models' inputs."
        )
    return place


class _Kept(Iterable[Place]):
    """What can be read once, made readable again: each goes to a temporary file when it first comes by."""

    def __init__(self, places: Iterable[Place]) -> None:
        self._fresh = iter(places)
        self._file = tempfile.TemporaryFile(prefix="transect-paths-")  # noqa: SIM115 (no name: gone whatever happens)
        self._ends = [0]

    def __iter__(self) -> Iterator[Place]:
        index = 0
        while (place := self._load(index) if index < len(self._ends) - 1 else self._take()) is not None:
            yield place
            del place  # before the next is made
            index += 1

    def _take(self) -> Place | None:
        place = next(self._fresh, None)
        if place is not None:
            place = _checked(len(self._ends) - 1, place, place)
            self._file.seek(0, os.SEEK_END)
            self._file.write(packed_places([place]))
            self._ends.append(self._file.tell())
        return place

    def _load(self, index: int) -> Place:
        start, end = self._ends[index : index + 2]
        self._file.seek(start)
        return unpacked_places(self._file.read(end - start))[0]


def _bytes(numbers: Tensor) -> memoryview:
    return numbers.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
