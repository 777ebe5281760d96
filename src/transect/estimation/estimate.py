"""``estimate``: the measures of a trace from samples, with intervals, for networks that a trace would take long for."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, overload

import torch
from torch import Tensor, nn

from transect.errors import InvalidInput
from transect.estimation.functions import SampledFunction, as_function
from transect.estimation.result import Estimate
from transect.estimation.samples import FIRST, Accuracy, Lines, Sampler, Settled, joined, settle
from transect.networks.network import Network
from transect.paths import Path
from transect.support.precision import full_precision
from transect.support.types import TensorLike
from transect.tracing.arguments import as_paths, check_whole, output_indices
from transect.tracing.walk import check_paths

BUDGET = 2_000_000  # numbers kept alive by an evaluation, as for traces
_BYTES_A_NUMBER = 64  # what samples may hold for each number of the budget: 128 MB by default


@overload
def estimate(
    model: Network | nn.Module | Callable[[Tensor], TensorLike],
    path: Path,
    *,
    rtol: float = ...,
    atol: float = ...,
    max_samples: int | None = ...,
    outputs: Sequence[int] | None = ...,
    between: tuple[float, float] | None = ...,
    dtype: torch.dtype | None = ...,
    budget: int = ...,
) -> Estimate: ...
@overload
def estimate(
    model: Network | nn.Module | Callable[[Tensor], TensorLike],
    path: Sequence[Path],
    *,
    rtol: float = ...,
    atol: float = ...,
    max_samples: int | None = ...,
    outputs: Sequence[int] | None = ...,
    between: tuple[float, float] | None = ...,
    dtype: torch.dtype | None = ...,
    budget: int = ...,
) -> list[Estimate]: ...
def estimate(
    model: Network | nn.Module | Callable[[Tensor], TensorLike],
    path: Path | Sequence[Path],
    *,
    rtol: float = 1e-2,
    atol: float = 0.0,
    max_samples: int | None = None,
    outputs: Sequence[int] | None = None,
    between: tuple[float, float] | None = None,
    dtype: torch.dtype | None = None,
    budget: int = BUDGET,
) -> Estimate | list[Estimate]:
    """Estimate the measures of a trace from samples on grids that double until they agree.

    A segment is sampled at 17 equally spaced points, then at 33, 65, ...; no point is evaluated twice. It is finished
    when two grids in a row agree with the one before: the error stated for the mean deviation of every output is at
    most ``rtol`` times the largest of the segment's, plus ``atol``, and the last doubling changed the extrapolated
    flips by at most twice ``rtol`` of them and four (it halves what is missed).

    What lies between two samples of every grid stays unseen, so that intervals are stated and not proved: they are
    empirical, and wrong for a function that is much rougher in one place than elsewhere.

    Args:
        model: A captured network; a module, captured on the fly where that is possible; or any function of a batch of
            points ``(N, *input_shape)`` that gives a row of outputs for each. Of modules that cannot be captured and of
            functions only outputs are seen: they have no flips.
        path: A path, or several, which share their batches.
        rtol: Relative tolerance, as above.
        atol: Absolute tolerance of the mean deviation, in units of the outputs.
        max_samples: Samples of a segment, at most (at least 17). By default 129, or a hundredth of the flips where that
            is more, but never above 2^20 + 1; 1025 where flips are not counted.
        outputs: Indices of the outputs wanted; all by default.
        between: Only this stretch of each path, in units of segments.
        dtype: Dtype to evaluate in. By default that of a captured network; of a module its own (float32 for a module in
            half precision that can be captured); for a function the dtype of the anchors is handed to it.
        budget: Most numbers that one evaluation keeps alive; also bounds what is kept of the samples.

    Returns:
        An :class:`Estimate`, or a list of them where several paths were given.

    Raises:
        InvalidInput: An argument is not usable, or the outputs are not; the message says what was expected.

    Example:
        >>> import torch, transect
        >>> found = transect.estimate(torch.sin, transect.Path([[0.0], [torch.pi]]))
        >>> found.samples.tolist(), found.absolute_deviation().round(decimals=4).tolist()
        ([33], [[2.0]])
    """
    tolerances = _checked(rtol, "rtol"), _checked(atol, "atol")
    check_whole(1, budget=budget)
    if max_samples is not None:
        check_whole(FIRST + 1, max_samples=max_samples)
    paths = as_paths(path, between)
    _check_shapes(model, paths)
    with torch.no_grad():
        function = as_function(model, paths, dtype)  # captures modules, which changes of autocast would disturb
    with torch.no_grad(), full_precision():
        chosen = output_indices(outputs, function)
        sampler = Sampler(function, Lines.of(paths, function.device), function.rows_at_once(budget), chosen)
        tolerance = Accuracy(*tolerances, max_samples, torch.finfo(function.dtype).eps)
        settled = joined(list(settle(sampler, tolerance, bytes_held(budget))))
    numbers = tuple(range(function.outputs) if chosen is None else chosen.tolist())
    estimates = _one_a_path(settled, paths, function, numbers, tolerance)
    return estimates[0] if isinstance(path, Path) else estimates


def bytes_held(budget: int) -> int:
    """What the samples of several segments may take, in bytes."""
    return _BYTES_A_NUMBER * budget


def _checked(tolerance: Any, name: str) -> float:
    if not isinstance(tolerance, int | float) or not 0 <= tolerance < math.inf:
        raise InvalidInput(f"{name}: expected a number of at least 0 such as 1e-2, got {tolerance!r}.")
    return float(tolerance)


def _check_shapes(model: Any, paths: Sequence[Path]) -> None:
    if isinstance(model, Network):
        check_paths(model, paths)
    wanted = tuple(paths[0].anchors.shape[1:])
    for index, path in enumerate(paths):
        shape = tuple(path.anchors.shape[1:])
        if shape != wanted:
            raise InvalidInput(
                f"path {index}: its anchors have shape {shape}, but those of path 0 are of shape {wanted}."
            )


def _one_a_path(
    settled: Settled, paths: Sequence[Path], function: SampledFunction, outputs: tuple[int, ...], tolerance: Accuracy
) -> list[Estimate]:
    found, low = [], 0
    for path in paths:
        rows = slice(low, low + len(path))
        found.append(
            Estimate(
                path=path,
                function=function.kind,
                operations=function.operations,
                units=function.units,
                outputs=outputs,
                dtype=function.dtype,
                rtol=tolerance.rtol,
                atol=tolerance.atol,
                start=settled.start[rows],
                end=settled.end[rows],
                length=path.lengths.cpu(),
                samples=settled.samples[rows],
                converged=settled.converged[rows],
                estimates={name: one.part(rows) for name, one in settled.estimates.items()},
                counts=settled.counts[rows],
                uncounted=function.uncounted,
            )
        )
        low = rows.stop
    return found
