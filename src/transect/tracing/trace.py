"""``trace`` and ``stream``: exact restriction of a network to a path, and every measure of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, overload

import torch
from torch import Tensor, nn

from transect.engine.rows import Run
from transect.errors import check_one_of
from transect.measures import Measure
from transect.networks.network import Network
from transect.paths import Path
from transect.patterns import Layout
from transect.support.precision import full_precision
from transect.tracing.arguments import (
    as_network,
    as_paths,
    check_whole,
    checked_measures,
    numbers_alive,
    output_indices,
)
from transect.tracing.packs import AnchorJudge, PackWalker, one_trace_a_path, warn_of_unresolved
from transect.tracing.result import Trace
from transect.tracing.segment import Keeper
from transect.tracing.walk import check_paths, engine_for, overlapping_runs, packs, rounding_of

MAX_BYTES = 2 * 2**30  # what keep="all" may hold before it is refused


@overload
def trace(
    network: Network | nn.Module,
    path: Path,
    *,
    keep: Literal["all", "measures"] = ...,
    outputs: Sequence[int] | None = ...,
    between: tuple[float, float] | None = ...,
    dtype: torch.dtype | None = ...,
    verify: bool | Literal["all"] = ...,
    measures: Sequence[Measure] = ...,
    budget: int | None = ...,
    max_bytes: int = ...,
    seed: int = ...,
) -> Trace: ...
@overload
def trace(
    network: Network | nn.Module,
    path: Sequence[Path],
    *,
    keep: Literal["all", "measures"] = ...,
    outputs: Sequence[int] | None = ...,
    between: tuple[float, float] | None = ...,
    dtype: torch.dtype | None = ...,
    verify: bool | Literal["all"] = ...,
    measures: Sequence[Measure] = ...,
    budget: int | None = ...,
    max_bytes: int = ...,
    seed: int = ...,
) -> list[Trace]: ...
def trace(
    network: Network | nn.Module,
    path: Path | Sequence[Path],
    *,
    keep: Literal["all", "measures"] = "all",
    outputs: Sequence[int] | None = None,
    between: tuple[float, float] | None = None,
    dtype: torch.dtype | None = None,
    verify: bool | Literal["all"] = True,
    measures: Sequence[Measure] = (),
    budget: int | None = None,
    max_bytes: int = MAX_BYTES,
    seed: int = 0,
) -> Trace | list[Trace]:
    """Find every linear region a path crosses, exactly, and measure how far the function bends away from affine.

    Args:
        network: A captured network, or a module (captured on the fly, on its own device).
        path: A path, or several, which are walked together and share their rows.
        keep: ``"all"`` keeps knots, outputs and flips of every segment; ``"measures"`` only the measures, in memory
            that does not grow with the number of regions.
        outputs: Indices of the outputs to keep and to measure; all by default.
        between: Walk only this stretch of each path, in units of segments: ``(0.5, 2)`` from the middle of the first
            segment to the end of the second.
        dtype: Working dtype where a module is captured on the fly; float64 by default.
        verify: Compare the result with the model at random points of every path, in a batch and some singly. ``"all"``
            compares the middle of every region as well: outputs with those of the exported program and of your own
            module, and the piece of every unit; ``trace.verification`` says what was compared. It takes a few times
            as long as the trace.
        measures: Measures of your own beside the listed ones, each a :class:`transect.measures.Measure` with its
            reducer; ``trace.measure(name)`` gives their values.
        budget: Most numbers that one run of rows keeps alive; bounds memory, and decides the speed by the cache. By
            default 32 MiB of them on a CPU, and by the free memory on a GPU. In float64 it changes no count, and
            positions and measures by no more than their stated rounding. In float32 kernels round differently for
            other numbers of rows: crossings as close to others as their rounding can come or go with it.
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
    check_one_of("keep", keep, ("all", "measures"))
    check_one_of("verify", verify, (True, False, "all"))
    check_whole(1, max_bytes=max_bytes)
    check_whole(0, seed=seed)
    paths = as_paths(path, between)
    network = as_network(network, paths[0].anchors[:4], dtype)
    check_paths(network, paths)
    budget = numbers_alive(budget, network)
    chosen = output_indices(outputs, network)
    judge = AnchorJudge(paths)
    keeper = Keeper(max_bytes, Layout.of(network.program)) if keep == "all" else None
    own = checked_measures(measures)
    walker = PackWalker(network, chosen, judge, keeper, budget, seed if verify else None, verify == "all", own)
    with torch.no_grad(), full_precision():
        walked = [walker.walk(pack) for pack in packs(network, paths, budget)]
    segments = None if keeper is None else keeper.segments
    traces = one_trace_a_path(network, paths, walked, judge.crossings(), segments, chosen)
    warn_of_unresolved(traces)
    return traces[0] if isinstance(path, Path) else traces


def stream(
    network: Network | nn.Module,
    path: Path,
    *,
    outputs: Sequence[int] | None = None,
    between: tuple[float, float] | None = None,
    dtype: torch.dtype | None = None,
    budget: int | None = None,
) -> Iterator[Run]:
    """Walk a path and hand out its knots in order, run by run, in bounded memory: for what does not fit in it.

    Consecutive runs overlap by one interval where a segment goes on (see :class:`transect.engine.rows.Run`).

    Args:
        network: A captured network, or a module.
        path: The path.
        outputs: Indices of the outputs wanted; all by default.
        between: Walk only this stretch of the path, in units of segments.
        dtype: Working dtype where a module is captured on the fly.
        budget: Most numbers that one run of rows keeps alive, as in :func:`trace`.

    Yields:
        Runs, in order of (segment, t), with their flips.
    """
    paths = as_paths(path, between)
    network = as_network(network, paths[0].anchors[:4], dtype)
    check_paths(network, paths)
    budget = numbers_alive(budget, network)
    chosen = output_indices(outputs, network)
    runs = _runs(network, paths, budget, chosen)
    while True:
        with torch.no_grad(), full_precision():  # not around the yield: it would change what the caller has set
            run = next(runs, None)
        if run is None:
            break
        yield run


def _runs(network: Network, paths: Sequence[Path], budget: int, chosen: Tensor | None) -> Iterator[Run]:
    for pack in packs(network, paths, budget):
        engine = engine_for(network, pack, rounding_of(network, pack), budget, keep_flips=True)
        yield from overlapping_runs(engine, pack.first, chosen)
