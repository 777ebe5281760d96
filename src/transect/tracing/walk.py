"""The segments of many paths in the working dtype, cut into packs, and one pack walked: finished runs become
:class:`Run` objects with the overlap the measures expect."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from transect.engine.engine import Engine, FinishedRun
from transect.engine.rounding import MERGED, RoundingNearby, Spread, spread_along, tolerances
from transect.engine.rows import Flips, Line, Run
from transect.errors import InvalidInput, VerificationError
from transect.networks.network import Network
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


SAMPLED = 17  # points of a pack at which the magnitudes of its values are looked at, at least


def rounding_of(network: Network, pack: Pack) -> Spread:
    """Rounding of every unit and output along a pack, judged before it is walked.

    Raises:
        VerificationError: It overflows.
    """
    spread = spread_along(network.program, _line(pack).points(_places(pack)))
    if not all(bool(deviation.isfinite().all()) for deviation in (*spread.bends, spread.outputs)):
        raise VerificationError(
            f"Values inside the network are too large: they overflow {network.dtype} along segments "
            f"{pack.first} to {pack.first + len(pack) - 1}. Trace in float64, over shorter segments, or look for very "
            "large weights."
        )
    return spread


def engine_for(network: Network, pack: Pack, spread: Spread, budget: int, keep_flips: bool) -> Engine:
    """An engine for a pack."""
    program, line = network.program, _line(pack)
    nearby = RoundingNearby(program, line, max(1, budget // (4 * program.row_elements)), MERGED[network.dtype])
    return Engine(program, line, tolerances(spread, nearby, _places(pack)), budget, keep_flips)


def _line(pack: Pack) -> Line:
    return Line(pack.start, pack.direction, pack.end)


def _places(pack: Pack) -> Tensor:
    """Segments and positions of both ends, and of points between, of at most ``SAMPLED`` segments over the pack."""
    device = pack.start.device
    chosen = torch.linspace(0, len(pack) - 1, min(len(pack), SAMPLED), device=device).round().long()
    t = torch.linspace(0, 1, max(1, SAMPLED // len(chosen) - 1) + 2, dtype=torch.float64, device=device)
    return torch.stack([chosen.repeat_interleave(len(t)).double(), t.repeat(len(chosen))], 1)


def overlapping_runs(engine: Engine, first: int, outputs: Tensor | None) -> Iterator[Run]:
    """The engine's runs, each preceded by the last interval of the run before where it goes on in a segment.

    Args:
        engine: The engine of the pack.
        first: Number of the pack's first segment: added to the segments of the runs.
        outputs: Indices of the outputs wanted, or None for all.
    """
    previous: Run | None = None
    for finished in engine.runs():
        run = _run(finished, first, outputs)
        if finished.continues:
            assert previous is not None
            run = _continued(previous, run)
        yield run
        previous = run


def _run(finished: FinishedRun, first: int, outputs: Tensor | None) -> Run:
    knots, found = finished.knots, finished.flips
    chosen = finished.outputs if outputs is None else finished.outputs.index_select(1, outputs)
    if not bool(chosen.isfinite().all()):
        raise VerificationError(
            f"The outputs overflow {chosen.dtype} on segment {int(knots.segment[0]) + first}, or are not numbers: "
            "trace in float64, over shorter segments, or look for very large weights."
        )
    flips = None if found is None else Flips(*found.unbind(1))
    return Run(knots.segment + first, knots.t, chosen, 0, knots.error, flips)


def _continued(previous: Run, run: Run) -> Run:
    """Put the row before the shared knot in front; the shared knot keeps the values it had."""
    flips = run.flips
    if flips is not None:
        flips = Flips(flips.knot + 1, flips.operation, flips.unit, flips.before, flips.after)

    def after(old: Tensor, new: Tensor) -> Tensor:
        return torch.cat([old[-2:], new[1:]])

    return Run(
        after(previous.segment, run.segment),
        after(previous.t, run.t),
        after(previous.outputs, run.outputs),
        1,
        after(previous.t_error, run.t_error),
        flips,
    )
