"""One pack of segments: walked, measured, verified, and what is left of it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from transect.measures import Ends, Reduced, default_reducers
from transect.network import Network
from transect.regions.crossings import SUBNORMAL
from transect.regions.engine import Engine
from transect.regions.rounding import Spread
from transect.results import Doubtful, Verification
from transect.tracing.anchors import AnchorJudge
from transect.tracing.exhaustive import ExhaustiveVerifier
from transect.tracing.keeping import Keeper
from transect.tracing.segments import Pack
from transect.tracing.verification import Verifier, joined
from transect.tracing.walk import engine_for, overlapping_runs, rounding_of


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
    """

    network: Network
    chosen: Tensor | None
    judge: AnchorJudge
    keeper: Keeper | None
    budget: int
    seed: int | None
    every_region: bool = False

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
        reducers = default_reducers(ends)
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
            {name: _on_cpu(found) for reducer in reducers for name, found in reducer.results().items()},
            _doubtful(engine, self.network, pack) + _faint(spread, self.network, pack),
            joined(verifier.verdict() for verifier in verifiers),
        )

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
