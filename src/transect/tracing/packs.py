"""Segments of many paths, walked together in packs, and what each pack leaves for the paths."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from transect.engine.crossings import SUBNORMAL
from transect.engine.engine import Engine
from transect.engine.pieces import PieceLog
from transect.engine.rounding import Spread
from transect.errors import InvalidInput, UnresolvedWarning
from transect.measures import MEASURES, Measure
from transect.measures.base import Ends, Reduced, Reducer, reducers_of
from transect.networks.network import Network
from transect.paths import Path
from transect.tracing.result import Doubtful, Trace, Verification
from transect.tracing.segment import Keeper, Segment
from transect.tracing.verification import ExhaustiveVerifier, Verifier, joined
from transect.tracing.walk import Pack, engine_for, overlapping_runs, rounding_of


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


@dataclass(frozen=True)
class Walked:
    """What one pack leaves: one entry a segment, and the verification of every path in it."""

    flips: Tensor
    ends: Ends
    reduced: dict[str, Reduced]
    doubtful: list[Doubtful]
    verification: dict[int, Verification]


@dataclass(frozen=True)
class PackWalker:
    """Walks packs one after the other.

    Attributes:
        network: The captured network.
        chosen: Indices of the outputs wanted, or None for all.
        judge: Compares patterns at anchors.
        keeper: Gathers the segments, where they are to be kept.
        budget: Most numbers that one run of rows keeps alive.
        seed: Seed of the points at which each pack is verified, or None.
        every_region: Whether every region is verified as well.
        measures: Measures beside the listed ones.
    """

    network: Network
    chosen: Tensor | None
    judge: AnchorJudge
    keeper: Keeper | None
    budget: int
    seed: int | None
    every_region: bool = False
    measures: tuple[Measure, ...] = ()

    def walk(self, pack: Pack) -> Walked:
        """Walk a pack and measure it.

        Raises:
            TraceTooLarge: What is to be kept does not fit.
            VerificationError: Trace and model disagree.
        """
        spread = rounding_of(self.network, pack)
        engine = engine_for(
            self.network, pack, spread, self.budget, keep_flips=self.keeper is not None or self.every_region
        )
        ends = self._ends(pack, spread)
        reducers = reducers_of(ends, (*MEASURES, *self.measures))
        verifiers = self._verifiers(pack, engine, spread, ends)
        seen = [reducer.update for reducer in reducers] + [part.see for part in (*verifiers, self.keeper) if part]
        for run in overlapping_runs(engine, 0, self.chosen):
            for see in seen:
                see(run)
        self.judge.judge(pack.first, engine.pieces)
        if self.keeper is not None:
            self.keeper.finish_pack(0, engine.pieces, len(pack))
        return Walked(
            engine.flips.cpu(),
            ends,
            self._reduced(reducers, ends),
            _doubtful(engine, self.network, pack) + _faint(spread, self.network, pack),
            joined(verifier.verdict() for verifier in verifiers),
        )

    def _reduced(self, reducers: Sequence[Reducer], ends: Ends) -> dict[str, Reduced]:
        """What the reducers found, by name; a reducer of a user's own is held to its measure."""
        found = {name: _on_cpu(one) for reducer in reducers for name, one in reducer.results().items()}
        for measure in self.measures:
            shape = tuple(ends.start.shape) if measure.per == "output" else tuple(ends.length.shape)
            got = found.get(measure.name)
            if got is None or tuple(got.value.shape) != shape or tuple(got.rounding.shape) != shape:
                given = "nothing" if got is None else f"{tuple(got.value.shape)} and {tuple(got.rounding.shape)}"
                raise InvalidInput(
                    f"measures: expected of the reducer of {measure.name!r} a value and a rounding bound of shape "
                    f"{shape} under that name, got {given}."
                )
        return found

    def _verifiers(self, pack: Pack, engine: Engine, spread: Spread, ends: Ends) -> list[Verifier | ExhaustiveVerifier]:
        found: list[Verifier | ExhaustiveVerifier] = []
        if self.seed is not None:
            found.append(Verifier(self.network, pack, self.chosen, ends, self.seed + pack.first))
        if self.every_region:
            rows = max(1, self.budget // self.network.program.row_elements)
            found.append(ExhaustiveVerifier(self.network, pack, self.chosen, engine.pieces, spread, ends, rows))
        return found

    def _ends(self, pack: Pack, spread: Spread) -> Ends:
        start, end = self._evaluate(pack.start), self._evaluate(pack.end)
        deviation = spread.outputs if self.chosen is None else spread.outputs[self.chosen]
        return Ends(start, end, pack.length, torch.finfo(self.network.dtype).eps, float(deviation.max()))

    def _evaluate(self, x: Tensor) -> Tensor:
        program = self.network.program
        rows = max(1, self.budget // program.row_elements)
        outputs = torch.cat([program.evaluate(part).reshape(len(part), -1) for part in x.split(rows)]).double()
        return outputs if self.chosen is None else outputs[:, self.chosen]


def _on_cpu(found: Reduced) -> Reduced:
    return Reduced(found.value.cpu(), found.rounding.cpu())


def _faint(spread: Spread, network: Network, pack: Pack) -> list[Doubtful]:
    return [
        Doubtful(pack.first + segment, 0.0, operation, unit, SUBNORMAL)
        for operation, faint in zip(network.operations, spread.faint, strict=True)
        for unit in faint.nonzero().flatten().tolist()
        for segment in range(len(pack))
    ]


def _doubtful(engine: Engine, network: Network, pack: Pack) -> list[Doubtful]:
    return [
        Doubtful(pack.first + segment, t, network.operations[entry.operation], unit, entry.reason)
        for entry in engine.unresolved
        for segment, t, unit in zip(entry.segment.tolist(), entry.t.tolist(), entry.unit.tolist(), strict=True)
    ]


def one_trace_a_path(
    network: Network,
    paths: Sequence[Path],
    walked: Sequence[Walked],
    anchor_crossings: Sequence[int],
    segments: Sequence[Segment] | None,
    chosen: Tensor | None,
) -> list[Trace]:
    """One trace a path, from what the packs left one after the other."""
    flips = torch.cat([part.flips for part in walked])
    start, end, length = (torch.cat([getattr(part.ends, name) for part in walked]).cpu()
                          for name in ("start", "end", "length"))  # fmt: skip
    reduced = {
        name: Reduced(
            *(torch.cat([getattr(part.reduced[name], of) for part in walked]) for of in ("value", "rounding"))
        )
        for name in walked[0].reduced
    }
    doubtful = [entry for part in walked for entry in part.doubtful]
    verified = joined(part.verification for part in walked)
    traces, low = [], 0
    for number, (path, anchors) in enumerate(zip(paths, anchor_crossings, strict=True)):
        rows = slice(low, low + len(path))
        traces.append(
            Trace(
                path=path,
                operations=network.operations,
                units=network.units,
                outputs=tuple(range(network.outputs) if chosen is None else chosen.tolist()),
                dtype=network.dtype,
                start=start[rows],
                end=end[rows],
                length=length[rows],
                flips_by_operation=flips[rows],
                anchor_crossings=anchors,
                reduced={name: part.rows(rows) for name, part in reduced.items()},
                unresolved=tuple(entry.within(rows) for entry in doubtful if low <= entry.segment < rows.stop),
                verification=verified.get(number),
                kept=None if segments is None else tuple(segments[rows]),
            )
        )
        low = rows.stop
    return traces


def warn_of_unresolved(traces: Sequence[Trace]) -> None:
    """One warning for all places where rounding could not decide; ``trace.unresolved`` lists them."""
    entries = [entry for one in traces for entry in one.unresolved]
    if entries:
        reasons = sorted({entry.reason for entry in entries})
        warnings.warn(
            f"{len(entries)} unit(s) cross closer than rounding can tell apart ({'; '.join(reasons)}): their order or "
            "number is not certain. See trace.unresolved.",
            UnresolvedWarning,
            stacklevel=3,  # the line that called transect.trace
        )
