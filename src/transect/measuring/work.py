"""The work on one chunk: paths in, rows out; in this process or in a worker."""

from __future__ import annotations

import pickle
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from transect.errors import TransectError, TransectWarning
from transect.estimation import Estimate, estimate
from transect.execution import Report
from transect.measuring.models import Model
from transect.measuring.options import Options
from transect.measuring.prepared import Packed, unpacked
from transect.measuring.values import row_of
from transect.network import Network
from transect.paths import Path
from transect.results import Trace
from transect.tracing import trace

Row = dict[str, Any]
_ANCHORS = 256  # evaluated together


def measure_together(model: Model, paths: Sequence[Path], options: Options, std: Tensor | None = None) -> list[Row]:
    """Measure paths together; a row for each, without names.

    What the warnings would say of single values is in the rows: bounds, and unresolved crossings. With standard
    deviations of the outputs there are normalised deviations too.
    """
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TransectWarning)
        rows = [row_of(found, _at_anchors(found, model), std) for found in found_along(model, paths, options)]
    seconds = (time.perf_counter() - began) / len(paths)
    return [row | {"seconds": seconds} for row in rows]


def _at_anchors(found: Trace | Estimate, model: Model) -> Tensor:
    """Outputs at the anchors of a path, ``(A, C)``."""
    if isinstance(found, Estimate):
        return found.start if found.path.closed else torch.cat([found.start, found.end[-1:]])
    outputs = torch.cat([model(part).cpu() for part in found.path.anchors.split(_ANCHORS)])
    return outputs[:, list(found.outputs)]


def found_along(model: Model, paths: Sequence[Path], options: Options) -> list[Trace] | list[Estimate]:
    """Traces, or estimates, of paths taken together."""
    budget: Any = {} if options.budget is None else {"budget": options.budget}
    if options.method == "exact":
        return trace(model, paths, keep="measures", outputs=options.outputs, verify=options.verify, **budget)
    function, dtype = (model, None) if isinstance(model, Network) else _plain(model)
    return estimate(
        function,
        paths,
        rtol=options.rtol,
        atol=options.atol,
        max_samples=options.max_samples,
        outputs=options.outputs,
        dtype=dtype,
        **budget,
    )


def _plain(model: nn.Module) -> tuple[Callable[[Tensor], Any], torch.dtype]:
    """A module that is known not to be capturable, so that it is not tried again with every chunk; and its dtype."""
    tensors = (*model.parameters(), *model.buffers())
    like = next((part for part in tensors if part.is_floating_point()), torch.empty(0))
    return (lambda x: model(x.to(like.device))), like.dtype


def measure_packed(
    model: Packed, paths: bytes, options: Options, std: Tensor | None, report: Report
) -> list[Row] | TransectError:
    """The work of a worker process; an error made on purpose is handed back as a value, with all it says."""
    try:
        return measure_together(unpacked(model), unpacked_paths(paths), options, std)
    except TransectError as error:
        return error


def packed_paths(paths: Sequence[Path]) -> bytes:
    """Paths as bytes: sent as tensors, their memory would become shared, and a file descriptor each."""
    return pickle.dumps([(path.anchors, path.closed) for path in paths], pickle.HIGHEST_PROTOCOL)


def unpacked_paths(data: bytes) -> list[Path]:
    """The paths that were packed."""
    return [Path(anchors, closed) for anchors, closed in pickle.loads(data)]


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for torch, as in every worker: sums depend on the number of threads, and rows must not."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
