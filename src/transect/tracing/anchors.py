"""Anchor crossings: the pattern just before an anchor differs from the pattern just after it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from transect.paths import Path
from transect.regions.pieces import PieceLog


class AnchorJudge:
    """Compares patterns at the anchors of all paths, pack after pack, keeping two patterns between packs.

    Args:
        paths: The paths, in the order their segments are walked.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._path_of = [number for number, path in enumerate(paths) for _ in range(len(path))]
        self._closed = [path.closed for path in paths]
        self._crossings = [0] * len(paths)
        self._previous_end: list[Tensor] | None = None
        self._path_start: list[Tensor] | None = None

    def judge(self, first: int, log: PieceLog) -> None:
        """Take note of a finished pack whose first segment is number ``first``."""
        if not log.start:
            return
        numbers = self._path_of[first : first + len(log.start[0])]
        for local, number in enumerate(numbers):
            before = first + local - 1
            if before >= 0 and self._path_of[before] == number:
                self._count(number, self._end(log, local - 1), _one(log.start, local))
            else:
                self._path_start = [pieces.clone() for pieces in _one(log.start, local)]
            after = first + local + 1
            ends = after == len(self._path_of) or self._path_of[after] != number
            if ends and self._closed[number] and self._path_start is not None:
                self._count(number, _one(log.end, local), self._path_start)
        self._previous_end = [pieces.clone() for pieces in _one(log.end, len(numbers) - 1)]

    def crossings(self) -> list[int]:
        """Number of anchors of each path at which the pattern changes."""
        return list(self._crossings)

    def _end(self, log: PieceLog, local: int) -> list[Tensor]:
        if local >= 0:
            return _one(log.end, local)
        assert self._previous_end is not None
        return self._previous_end

    def _count(self, number: int, before: list[Tensor], after: list[Tensor]) -> None:
        changed = any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
        self._crossings[number] += changed


def _one(pieces: Sequence[Tensor], segment: int) -> list[Tensor]:
    return [part[segment] for part in pieces]
