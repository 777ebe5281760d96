"""``trace`` and ``stream``: exact restriction of a network to a path, and every measure of it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, overload

import torch
from torch import Tensor, nn

from transect.errors import InvalidInput, UnresolvedWarning
from transect.measures import Ends, Reduced, default_reducers
from transect.network import WORKING_DTYPES, Network, capture
from transect.paths import Path
from transect.regions.engine import Engine
from transect.regions.run import Run
from transect.results import Doubtful, Trace
from transect.tracing.anchors import AnchorJudge
from transect.tracing.keeping import Keeper, Segment
from transect.tracing.segments import Pack, check_paths, packs
from transect.tracing.verification import Verification, Verifier
from transect.tracing.walk import engine_for, overlapping_runs

BUDGET = 2_000_000  # numbers a run may keep alive: about what stays in a last-level cache, where it is fastest
MAX_BYTES = 2 * 2**30  # what keep="all" may hold before it is refused


@dataclass(frozen=True)
class _Walked:
    """What one pack leaves: one entry a segment."""

    flips: Tensor
    ends: Ends
    reduced: dict[str, Reduced]
    doubtful: list[Doubtful]
    verification: Verification


@overload
def trace(network: Network | nn.Module, path: Path, **options: Any) -> Trace: ...
@overload
def trace(network: Network | nn.Module, path: Sequence[Path], **options: Any) -> list[Trace]: ...
def trace(
    network: Network | nn.Module,
    path: Path | Sequence[Path],
    *,
    keep: Literal["all", "measures"] = "all",
    outputs: Sequence[int] | None = None,
    between: tuple[float, float] | None = None,
    dtype: torch.dtype | None = None,
    verify: bool = True,
    budget: int = BUDGET,
    max_bytes: int = MAX_BYTES,
    seed: int = 0,
) -> Trace | list[Trace]:
    """Find every linear region a path crosses, exactly, and measure how far the function bends away from affine.

    Args:
        network: A captured network, or a module (captured on the fly, on its own device).
        path: A path, or several, which are walked together (much faster than one after the other).
        keep: ``"all"`` keeps knots, outputs and flips of every segment; ``"measures"`` only the measures, in memory that
            does not grow with the number of regions.
        outputs: Indices of the outputs to keep and to measure; all by default.
        between: Walk only this stretch of each path, in units of segments: ``(0.5, 2)`` from the middle of the first
            segment to the end of the second.
        dtype: Working dtype where a module is captured on the fly; float64 by default.
        verify: Compare the result with the model at random points, singly and in a batch.
        budget: Most numbers that one run of rows keeps alive; bounds memory, and decides the speed by the cache.
        max_bytes: Most bytes ``keep="all"`` may hold.
        seed: Seed of the points at which the trace is verified.

    Returns:
        A :class:`Trace`, or a list of them where several paths were given.

    Raises:
        InvalidInput: An argument is not usable; the message says what was expected.
        UnsupportedModel: The module cannot be traced exactly.
        TraceTooLarge: ``keep="all"`` would hold more than ``max_bytes``.
        VerificationError: Trace and model disagree.

    Example:
        >>> import torch, transect
        >>> model = torch.nn.Sequential(torch.nn.Linear(1, 2), torch.nn.ReLU(), torch.nn.Linear(2, 1))
        >>> with torch.no_grad():  # |x|
        ...     for p, v in zip(model.parameters(), ([[1.0], [-1.0]], [0.0, 0.0], [[1.0, 1.0]], [0.0])):
        ...         _ = p.copy_(torch.tensor(v))
        >>> found = transect.trace(model, transect.Path([[-1.0], [3.0]]))
        >>> found.segments[0].t.tolist(), found.crossings.tolist(), found.absolute_deviation().tolist()
        ([0.0, 0.25, 1.0], [1], [[3.0]])
    """
    if keep not in ("all", "measures"):
        raise InvalidInput(f'keep: expected "all" or "measures", got {keep!r}.')
    paths = _paths(path, between)
    network = _network(network, paths, dtype)
    check_paths(network, paths)
    chosen = _chosen_outputs(outputs, network)
    judge, keeper = AnchorJudge(paths), Keeper(max_bytes) if keep == "all" else None
    with torch.no_grad():
        walked = [_walk(network, pack, chosen, judge, keeper, verify, _checked_budget(budget), seed)
                  for pack in packs(network, paths, budget)]  # fmt: skip
    traces = _split(network, paths, walked, judge.crossings(), keeper.segments if keeper else None, chosen)
    _warn(traces)
    return traces[0] if isinstance(path, Path) else traces


def stream(
    network: Network | nn.Module,
    path: Path,
    *,
    outputs: Sequence[int] | None = None,
    between: tuple[float, float] | None = None,
    dtype: torch.dtype | None = None,
    budget: int = BUDGET,
) -> Iterator[Run]:
    """Walk a path and hand out its knots in order, run by run, in bounded memory: for what does not fit in it.

    Consecutive runs overlap by one interval where a segment goes on (see :class:`transect.regions.run.Run`).

    Args:
        network: A captured network, or a module.
        path: The path.
        outputs: Indices of the outputs wanted; all by default.
        between: Walk only this stretch of the path, in units of segments.
        dtype: Working dtype where a module is captured on the fly.
        budget: Most numbers that one run of rows keeps alive.

    Yields:
        Runs, in order of (segment, t), with their flips.
    """
    paths = _paths(path, between)
    network = _network(network, paths, dtype)
    check_paths(network, paths)
    chosen = _chosen_outputs(outputs, network)
    for pack in packs(network, paths, _checked_budget(budget)):
        runs = overlapping_runs(engine_for(network, pack, budget, True), pack.first, chosen)
        while True:
            with torch.no_grad():  # not around the yield: it would change the caller's mode
                run = next(runs, None)
            if run is None:
                break
            yield run


def _paths(path: Path | Sequence[Path], between: tuple[float, float] | None) -> list[Path]:
    paths = [path] if isinstance(path, Path) else list(path) if isinstance(path, Sequence) else [path]
    return paths if between is None else [one.between(*between) for one in paths]


def _network(network: Network | nn.Module, paths: Sequence[Path], dtype: torch.dtype | None) -> Network:
    if isinstance(network, Network):
        if dtype not in (None, network.dtype):
            raise InvalidInput(
                f"dtype: the network was captured in {network.dtype}; capture it with dtype={dtype} to trace in it."
            )
        return network
    if not paths or not isinstance(paths[0], Path):
        raise InvalidInput("path: expected a transect.Path or a non-empty sequence of them.")
    working = torch.float64 if dtype is None else dtype
    if working not in WORKING_DTYPES:
        raise InvalidInput(f"dtype: expected torch.float64 (exact) or torch.float32 (fast), got {dtype}.")
    return capture(network, paths[0].anchors[:4], dtype=working)


def _chosen_outputs(outputs: Sequence[int] | None, network: Network) -> Tensor | None:
    if outputs is None:
        return None
    indices = [int(index) for index in outputs]
    if not indices or not all(-network.outputs <= index < network.outputs for index in indices):
        raise InvalidInput(f"outputs: expected indices below {network.outputs}, got {list(outputs)}.")
    return torch.tensor([index % network.outputs for index in indices], device=network.device)


def _checked_budget(budget: int) -> int:
    if budget < 1:
        raise InvalidInput(f"budget: expected a positive number of values, got {budget}.")
    return int(budget)


def _walk(
    network: Network,
    pack: Pack,
    chosen: Tensor | None,
    judge: AnchorJudge,
    keeper: Keeper | None,
    verify: bool,
    budget: int,
    seed: int,
) -> _Walked:
    engine = engine_for(network, pack, budget, keep_flips=keeper is not None)
    ends = _ends(network, pack, chosen, budget)
    reducers = default_reducers(ends)
    verifier = Verifier(network, pack, chosen, seed) if verify else None
    for run in overlapping_runs(engine, 0, chosen):
        for reducer in reducers:
            reducer.update(run)
        if verifier is not None:
            verifier.see(run)
        if keeper is not None:
            keeper.see(run)
    judge.judge(pack.first, engine.pieces)
    if keeper is not None:
        keeper.finish_pack(0, engine.pieces, len(pack))
    return _Walked(
        engine.flips.cpu(),
        ends,
        {name: _on_cpu(found) for reducer in reducers for name, found in reducer.results().items()},
        _doubtful(engine, network, pack),
        verifier.verdict(ends.start, ends.end) if verifier else Verification(),
    )


def _ends(network: Network, pack: Pack, chosen: Tensor | None, budget: int) -> Ends:
    start, end = (_evaluate(network, x, chosen, budget) for x in (pack.start, pack.end))
    return Ends(start, end, pack.length, torch.finfo(network.dtype).eps)


def _evaluate(network: Network, x: Tensor, chosen: Tensor | None, budget: int) -> Tensor:
    row = max([i.row_elements for i in network.program.instructions], default=1)
    parts = [network.program.evaluate(part).reshape(len(part), -1) for part in x.split(max(1, budget // max(1, row)))]
    outputs = torch.cat(parts).double()
    return outputs if chosen is None else outputs[:, chosen]


def _on_cpu(found: Reduced) -> Reduced:
    return Reduced(found.value.cpu(), found.rounding.cpu())


def _doubtful(engine: Engine, network: Network, pack: Pack) -> list[Doubtful]:
    return [
        Doubtful(pack.first + segment, t, network.operations[entry.operation], unit, entry.reason)
        for entry in engine.unresolved
        for segment, t, unit in zip(entry.segment.tolist(), entry.t.tolist(), entry.unit.tolist(), strict=True)
    ]


def _split(
    network: Network,
    paths: Sequence[Path],
    walked: Sequence[_Walked],
    anchor_crossings: Sequence[int],
    segments: Sequence[Segment] | None,
    chosen: Tensor | None,
) -> list[Trace]:
    """One trace a path, from what the packs left one after the other."""
    flips = torch.cat([part.flips for part in walked])
    start, end, length = (torch.cat([getattr(part.ends, name) for part in walked]).cpu()
                          for name in ("start", "end", "length"))  # fmt: skip
    reduced = {
        name: Reduced(*(torch.cat([getattr(part.reduced[name], of) for part in walked]) for of in ("value", "rounding")))
        for name in walked[0].reduced
    }
    doubtful = [entry for part in walked for entry in part.doubtful]
    verification = Verification()
    for part in walked:
        verification = verification.joined(part.verification)
    traces, low = [], 0
    for path, anchors in zip(paths, anchor_crossings, strict=True):
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
                verification=verification if verification.points else None,
                kept=None if segments is None else tuple(segments[rows]),
            )
        )
        low = rows.stop
    return traces


def _warn(traces: Sequence[Trace]) -> None:
    entries = [entry for one in traces for entry in one.unresolved]
    if entries:
        reasons = sorted({entry.reason for entry in entries})
        warnings.warn(
            f"{len(entries)} unit(s) cross closer than rounding can tell apart ({'; '.join(reasons)}): their order or "
            "number is not certain. See trace.unresolved.",
            UnresolvedWarning,
            stacklevel=3,
        )
