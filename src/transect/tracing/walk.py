"""One pack of segments walked: finished runs become :class:`Run` objects with the overlap the measures expect."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from transect.errors import VerificationError
from transect.network import Network
from transect.regions.engine import Engine, FinishedRun
from transect.regions.rounding import RoundingNearby, Spread, spread_along, tolerances
from transect.regions.rows import Line
from transect.regions.run import Flips, Run
from transect.tracing.segments import Pack

SAMPLED = 17  # points of a pack at which the magnitudes of its values are looked at, at least


def rounding_of(network: Network, pack: Pack) -> Spread:
    """Rounding of every unit and output along a pack, judged before it is walked.

    Raises:
        VerificationError: It overflows.
    """
    spread = spread_along(network.program, _line(pack).at(*_places(pack)))
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
    nearby = RoundingNearby(program, line, max(1, budget // (4 * program.row_elements)))
    return Engine(program, line, tolerances(spread, nearby, _places(pack), network.dtype), budget, keep_flips)


def _line(pack: Pack) -> Line:
    return Line(pack.start, pack.direction, pack.end)


def _places(pack: Pack) -> tuple[Tensor, Tensor]:
    """Segments and positions of both ends, and of points between, of at most ``SAMPLED`` segments over the pack."""
    device = pack.start.device
    chosen = torch.linspace(0, len(pack) - 1, min(len(pack), SAMPLED), device=device).round().long()
    t = torch.linspace(0, 1, max(1, SAMPLED // len(chosen) - 1) + 2, dtype=torch.float64, device=device)
    return chosen.repeat_interleave(len(t)), t.repeat(len(chosen))


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
