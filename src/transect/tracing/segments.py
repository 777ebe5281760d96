"""The segments of one or many paths, in the working dtype, cut into packs that the engine walks together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from transect.errors import InvalidInput
from transect.network import Network
from transect.paths import Path

_SCALES_TOGETHER = 16.0  # rounding is judged once a pack, so a pack holds segments of comparable magnitude only


@dataclass(frozen=True)
class Pack:
    """Neighbouring segments, of one or several paths.

    Attributes:
        first: Number of its first segment among all segments.
        start: Starts of the segments, ``(S, *input_shape)``.
        direction: Ends minus starts, formed in float64.
        end: Ends of the segments.
        length: Lengths, ``(S,)`` float64.
        path_of: Number of the path that each segment belongs to.
    """

    first: int
    start: Tensor
    direction: Tensor
    end: Tensor
    length: Tensor
    path_of: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.length)

    def at(self, segment: Tensor, t: Tensor) -> Tensor:
        """Points of the segments in the working dtype."""
        weight = t.to(self.start.dtype).reshape(-1, *(1,) * (self.start.dim() - 1))
        return torch.addcmul(self.start[segment], self.direction[segment], weight)


def check_paths(network: Network, paths: Sequence[Path]) -> None:
    """Refuse paths through another space than the network's inputs.

    Raises:
        InvalidInput: The anchors of a path have another shape.
    """
    for index, path in enumerate(paths):
        if tuple(path.anchors.shape[1:]) != network.input_shape:
            raise InvalidInput(
                f"path {index}: its anchors have shape {tuple(path.anchors.shape[1:])}, but the network takes inputs "
                f"of shape {network.input_shape}."
            )


def packs(network: Network, paths: Sequence[Path], budget: int) -> Iterator[Pack]:
    """Neighbouring segments in packs whose first rows fit the budget."""
    most = max(1, budget // (2 * network.program.row_elements))
    first = 0
    for group in _groups(paths, most):
        pack = _pack(network, paths, group, first)
        yield from _of_comparable_scale(pack)
        first += len(pack)


def _groups(paths: Sequence[Path], most: int) -> Iterator[list[tuple[int, int, int]]]:
    """Parts (number of the path, from segment, to segment) with at most ``most`` segments together."""
    group: list[tuple[int, int, int]] = []
    room = most
    for number, path in enumerate(paths):
        low = 0
        while low < len(path):
            high = min(len(path), low + room)
            group.append((number, low, high))
            room -= high - low
            low = high
            if room == 0:
                yield group
                group, room = [], most
    if group:
        yield group


def _pack(network: Network, paths: Sequence[Path], group: Sequence[tuple[int, int, int]], first: int) -> Pack:
    start, end, length = (
        torch.cat([getattr(paths[number], name)[low:high] for number, low, high in group]).to(network.device)
        for name in ("starts", "ends", "lengths")
    )
    direction = end.double() - start.double()
    dtype, path_of = network.dtype, [number for number, low, high in group for _ in range(low, high)]
    return Pack(first, start.to(dtype), direction.to(dtype), end.to(dtype), length, tuple(path_of))


def _of_comparable_scale(pack: Pack) -> Iterator[Pack]:
    scale = torch.maximum(pack.start.abs().flatten(1).amax(1), pack.end.abs().flatten(1).amax(1)).tolist()
    low, smallest, largest = 0, scale[0], scale[0]
    for index in range(1, len(pack) + 1):
        if index < len(pack):
            smallest, largest = min(smallest, scale[index]), max(largest, scale[index])
        if index == len(pack) or largest > _SCALES_TOGETHER * smallest:
            yield _part(pack, low, index)
            low = index
            if index < len(pack):
                smallest = largest = scale[index]


def _part(pack: Pack, low: int, high: int) -> Pack:
    rows = slice(low, high)
    tensors = (pack.start[rows], pack.direction[rows], pack.end[rows], pack.length[rows])
    return Pack(pack.first + low, *tensors, pack.path_of[rows])
