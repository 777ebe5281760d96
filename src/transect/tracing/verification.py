"""A trace is compared with the model itself: at random points of each path, singly and in a batch; with
``verify="all"`` in the middle of every region, values and patterns."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor
from torch.func import functional_call

from transect.engine.pieces import PieceLog
from transect.engine.rounding import CERTAIN, Spread
from transect.engine.rows import Flips, Run
from transect.errors import VerificationError
from transect.graph import Called, OneModuleAtATime
from transect.graph.state import state_kept
from transect.measures.base import Ends
from transect.networks.network import AGREEMENT, Network
from transect.patterns import beyond_rounding, pieces_at
from transect.rules import Affine
from transect.tracing.result import Verification
from transect.tracing.walk import Pack

# Largest difference allowed, relative to the largest output seen...
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-3}
# ... or in standard deviations of what rounding does inside the model, where outputs are differences of large values.
_DEVIATIONS = 64.0
_POINTS_A_PACK = 8
_POINTS_A_PATH = 2  # at least: no path is vouched for by another one


class Verifier:
    """Collects the trace's outputs at random points of every path while the runs go by, and compares at the end.

    Args:
        network: The captured network.
        pack: The segments being walked.
        outputs: Indices of the outputs kept, or None for all.
        ends: What is known of the segments.
        seed: Seed of the random points.
    """

    def __init__(self, network: Network, pack: Pack, outputs: Tensor | None, ends: Ends, seed: int) -> None:
        segment, t = _points(pack, torch.Generator().manual_seed(seed))
        self._network, self._pack, self._outputs, self._ends = network, pack, outputs, ends
        self._segment, self._t = segment.to(network.device), t.to(network.device)
        self._waiting = list(zip(segment.tolist(), t.tolist(), strict=True))[::-1]
        self._found: list[Tensor] = []

    def see(self, run: Run) -> None:
        """Interpolate the trace at the points that lie in a run; runs come in order, and so do the points."""
        last = (int(run.segment[-1]), float(run.t[-1]))
        while self._waiting and self._waiting[-1] <= last:
            segment, t = self._waiting.pop()
            low, high = torch.searchsorted(run.segment, torch.tensor([segment, segment + 1]).to(run.t.device)).tolist()
            knots, outputs = run.t[low:high], run.outputs[low:high]
            right = int(torch.searchsorted(knots, t).clamp(1, len(knots) - 1))
            weight = (t - knots[right - 1]) / (knots[right] - knots[right - 1])
            self._found.append(torch.lerp(outputs[right - 1].double(), outputs[right].double(), weight))

    def verdict(self) -> dict[int, Verification]:
        """Compare with the exported model; one verdict for each path that has segments in the pack, by its number.

        Raises:
            VerificationError: They differ beyond the tolerance.
        """
        traced = torch.stack(self._found)
        x, ends = self._pack.at(self._segment, self._t), self._ends
        model = selected(self._network(x), self._outputs)
        error = (traced - model).abs().amax(1)
        singly = torch.arange(0, len(x), -(-len(x) // _POINTS_A_PACK))
        single = selected(torch.cat([self._network(x[point]) for point in singly.tolist()]), self._outputs)
        error[singly] = torch.maximum(error[singly], (traced[singly] - single).abs().amax(1))
        bend = (model - ends.straight(self._segment, self._t)).abs().amax(1)
        anchors, found = by_path(self._pack, torch.arange(len(self._pack))), {}
        for number, part in by_path(self._pack, self._segment).items():
            scale = float(torch.maximum(model[part].abs().max(), ends.scale[anchors[number]].max()))
            found[number] = Verification(len(part), float(error[part].max()), scale, float(bend[part].max()))
            check_error(found[number].error, scale, TOLERANCE[self._network.dtype], ends.deviation)
        return found


def joined(parts: Iterable[Mapping[int, Verification]]) -> dict[int, Verification]:
    """The verifications of every path, by its number, from those of its parts."""
    found: dict[int, Verification] = {}
    for part in parts:
        for number, one in part.items():
            found[number] = found.get(number, Verification()).joined(one)
    return found


def _points(pack: Pack, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Random segments and positions on them in order, some on every path."""
    parts = by_path(pack, torch.arange(len(pack))).values()
    a_path = max(_POINTS_A_PATH, -(-_POINTS_A_PACK // len(parts)))
    segment = torch.cat([part[torch.randint(len(part), (a_path,), generator=generator)] for part in parts])
    t = torch.rand(len(segment), generator=generator, dtype=torch.float64)
    order = torch.argsort(segment.double() + t)
    return segment[order], t[order]


def by_path(pack: Pack, segment: Tensor) -> dict[int, Tensor]:
    """Which entries of a list of segments lie on each path: their places in the list, by the number of the path."""
    number = torch.tensor(pack.path_of)[segment.cpu()]
    return {int(one): (number == one).nonzero().squeeze(1) for one in number.unique()}


def selected(outputs: Tensor, chosen: Tensor | None) -> Tensor:
    """The outputs that are traced, in float64."""
    outputs = outputs.double()
    return outputs if chosen is None else outputs[:, chosen]


def check_error(
    error: float, scale: float, tolerance: float, deviation: float, what: str = "the model", subject: str = "trace"
) -> None:
    """Hold that a trace is right.

    Args:
        error: Largest difference of an output.
        scale: Largest output.
        tolerance: Differences of so many times the largest output are rounding.
        deviation: Standard deviation of what rounding does to an output; that many times it is rounding, too.
        what: What the trace was compared with.
        subject: What is said to differ from it: it may be a slice.

    Raises:
        VerificationError: The difference is neither small beside the outputs nor explained by rounding.
    """
    if not error <= max(tolerance * scale, _DEVIATIONS * deviation):
        raise VerificationError(
            f"The {subject} and {what} differ by {error:.2e} where outputs reach {scale:.2e} (relative "
            f"{error / scale if scale else math.inf:.1e}, tolerance {tolerance:.0e}), and rounding inside the model "
            f"accounts for {deviation:.1e} (standard deviation): the numbers must not be used. "
            "If the model is deterministic and treats each sample on its own, please report it."
        )


class ExhaustiveVerifier:
    """Compares the regions of a pack with the model while the runs go by, in the memory of a run.

    Args:
        network: The captured network.
        pack: The segments being walked.
        outputs: Indices of the outputs kept, or None for all.
        log: The patterns at the starts of the segments, as the engine finds them.
        spread: Rounding of every unit.
        ends: What is known of the segments.
        rows: How many regions are evaluated together.
    """

    def __init__(
        self, network: Network, pack: Pack, outputs: Tensor | None, log: PieceLog, spread: Spread, ends: Ends, rows: int
    ) -> None:
        self._network, self._pack, self._outputs, self._log = network, pack, outputs, log
        self._spread, self._ends, self._rows = spread, ends, rows
        self._last: list[Tensor] = []  # pieces after the last knot seen, of every operation
        self._module = None if network.called is None else OwnModule(network.called)
        self._found: dict[int, Verification] = {}

    def see(self, run: Run) -> None:
        """Compare all regions of a run that no earlier run has shown."""
        assert run.flips is not None
        left, flips = run.intervals(), run.flips
        for part in left.split(self._rows):
            low, high = int(part[0]), int(part[-1])
            within = (flips.knot >= (low if low > run.fresh else 0)) & (flips.knot <= high)
            chosen = Flips(flips.knot[within], *(getattr(flips, name)[within] for name in Flips.__dataclass_fields__
                                                 if name != "knot"))  # fmt: skip
            self._compare(run, part, self._pieces(run, part, chosen))
        self._after_last(flips, int(left[-1]) if len(left) else -1)

    def verdict(self) -> dict[int, Verification]:
        """One verdict for each path that has segments in the pack, by its number."""
        return self._found

    def _pieces(self, run: Run, left: Tensor, flips: Flips) -> list[Tensor]:
        """What the trace says: the piece of every unit in these regions, ``(n, units)`` for every operation.

        On a segment a piece is that of the segment's first region, or of the last one seen, plus all its changes since.
        """
        segment, place = run.segment[left], torch.searchsorted(left, flips.knot, right=True) - 1
        new = torch.cat([run.t[left[:1]] == 0, segment.diff() != 0])
        first = torch.where(new, torch.arange(len(left), device=left.device), 0).cummax(0).values
        found = []
        for operation, start in enumerate(self._log.start):
            here = flips.operation == operation
            change = torch.zeros((len(left), start.shape[1]), dtype=torch.int32, device=left.device)
            row, by = place[here].clamp_min(0), (flips.after - flips.before)[here].int()
            change.index_put_((row, flips.unit[here]), by, accumulate=True)
            change[new] = 0  # a flip at an anchor belongs to neither segment
            total = change.cumsum(0, dtype=torch.int32)
            base = start[segment].int() - total[first]
            if not bool(new[0]):
                goes_on = segment == segment[0]
                base[goes_on] = self._last[operation].int()
            found.append(base + total)
        self._last = [pieces[-1] for pieces in found]
        return found

    def _after_last(self, flips: Flips, last: int) -> None:
        """Flips at the last knot of a run, where it shares it with the next."""
        beyond = flips.knot > last
        for operation, unit, after in zip(
            *(part[beyond].tolist() for part in (flips.operation, flips.unit, flips.after)), strict=True
        ):
            self._last[operation][unit] = after

    def _compare(self, run: Run, left: Tensor, pieces: list[Tensor]) -> None:
        segment, t = run.segment[left], (run.t[left] + run.t[left + 1]) / 2
        x, outputs = self._pack.at(segment, t), run.outputs.double()
        traced = (outputs[left] + outputs[left + 1]) / 2
        exported = self._network(x)
        model = selected(exported, self._outputs)
        bend = (model - self._ends.straight(segment, t)).abs().amax(1)
        scale = torch.maximum(model.abs().amax(1), self._ends.scale[segment])
        own = None if self._module is None else selected(self._module(x, exported), self._outputs)
        errors = [(traced - other).abs().amax(1) for other in (model, model if own is None else own)]
        units, near = self._compare_pieces(x, pieces, segment, t)
        for number, part in by_path(self._pack, segment).items():
            error, module_error = (float(of[part].max()) for of in errors)
            sizes = error, float(scale[part].max()), float(bend[part].max())
            counts = len(part), len(part) * units, int(near[part].sum())
            compared = (None, 0.0) if self._module is None else (self._module.dtype, module_error)
            found = self._found.get(number, Verification()).joined(Verification(0, *sizes, *counts, *compared))
            self._check(found)
            self._found[number] = found

    def _check(self, found: Verification) -> None:
        tolerance, deviation = TOLERANCE[self._network.dtype], self._ends.deviation
        check_error(found.error, found.scale, tolerance, deviation)
        if self._module is not None:
            eps = self._module.eps
            deviation *= max(1.0, eps / torch.finfo(self._network.dtype).eps)
            check_error(found.module_error, found.scale, max(tolerance, eps), deviation, "your module as it is now")

    def _compare_pieces(self, x: Tensor, pieces: list[Tensor], segment: Tensor, t: Tensor) -> tuple[int, Tensor]:
        """Units of a region, and how many of each region are on another piece than the trace says, within rounding."""
        near = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        for instruction, operands, _ in self._network.program.walk(x):
            bend = instruction.operation
            if isinstance(bend, Affine):
                continue
            traced = pieces[instruction.bend]
            row, unit = (pieces_at(bend, operands[0]) != traced).nonzero(as_tuple=True)
            said = traced[row, unit]
            margin = CERTAIN * self._spread.bends[instruction.bend]
            beyond = beyond_rounding(bend, operands[0], row, unit, said, margin)
            if bool((beyond > 0).any()):
                self._disagree(
                    instruction.bend, *(part[beyond.argmax()] for part in (segment[row], t[row], unit, said))
                )
            near += torch.bincount(row, minlength=len(x))
        return sum(self._network.units), near

    def _disagree(self, operation: int, segment: Tensor, t: Tensor, unit: Tensor, said: Tensor) -> None:
        raise VerificationError(
            f"At t = {float(t)!r} of segment {self._pack.first + int(segment)}, in the middle of a region, unit "
            f"{int(unit)} of {self._network.operations[operation]} is not on piece {int(said)}, where the trace has "
            "it, and rounding does not explain it: the counts must not be used. Please report it."
        )


class OwnModule:
    """The user's own module, in float64 where it computes in float64 all through, or else in its own dtype.

    It is called with weights in float64 in place of its own for the time of the call. Where that fails, or a part of it
    goes on in single precision, it is called as it is.
    """

    def __init__(self, called: Called) -> None:
        self._called = called
        parts = (*called.named_parameters(), *called.named_buffers())
        self._own = next((part.dtype for _, part in parts if part.is_floating_point()), torch.get_default_dtype())
        self._device = next((part.device for _, part in parts), torch.device("cpu"))
        self._weights = {name: part.detach().double() for name, part in parts if part.is_floating_point()}
        self._double: bool | None = None  # not known before it is tried

    @property
    def dtype(self) -> str:
        """Dtype in which it is called."""
        return str(torch.float64 if self._double else self._own).removeprefix("torch.")

    @property
    def eps(self) -> float:
        """Rounding of the coarsest numbers it computes with."""
        return torch.finfo(torch.float64 if self._double else self._called.coarsest).eps

    @OneModuleAtATime()
    def __call__(self, x: Tensor, model: Tensor) -> Tensor:
        """Outputs ``(N, outputs)`` at points, of which those of the exported program are known."""
        x = x.to(self._device)
        if self._double is None:
            self._double = self._agrees_in_double(x[:4], model[:4])
        with state_kept(self._called):
            found = self._in_double(x) if self._double else self._called(x.to(self._own))
        return found.detach().reshape(len(x), -1).to(model.device)

    def _agrees_in_double(self, x: Tensor, model: Tensor) -> bool:
        with contextlib.suppress(RuntimeError, TypeError, ValueError, NotImplementedError), state_kept(self._called):
            found = self._in_double(x).reshape(len(x), -1).to(model.device)
            return bool((found - model).abs().max() <= AGREEMENT[torch.float64] * model.abs().max())
        return False

    def _in_double(self, x: Tensor) -> Tensor:
        outputs: Tensor = functional_call(self._called, self._weights, (x.double(),))
        return outputs
