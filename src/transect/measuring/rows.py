"""The rows of a table: measured, checked, put in order."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor, nn

from transect.errors import TransectError, TransectWarning
from transect.estimation import Estimate, estimate
from transect.jobs import ReportProgress
from transect.measuring.columns import row_of
from transect.measuring.kinds import PATHS, Kind, Place, inputs_of, kind_of, kind_of_table
from transect.measuring.models import Model
from transect.measuring.paths import Chunk, unpacked_places
from transect.measuring.planes import row_of_slice
from transect.measuring.prepared import Options, Packed, unpacked
from transect.networks.network import Network
from transect.paths import Path, Plane
from transect.slicing import slice
from transect.support.types import Row
from transect.tables.files import with_settings
from transect.tracing import trace
from transect.tracing.result import Trace

_ANCHORS = 256  # evaluated together


def measure_together(model: Model, places: Sequence[Place], options: Options, std: Tensor | None = None) -> list[Row]:
    """Measure paths together, or planes one by one; a row for each, without names.

    What the warnings would say of single values is in the rows: bounds, and unresolved crossings. With standard
    deviations of the outputs there are normalised deviations too.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TransectWarning)
        planes = [place for place in places if isinstance(place, Plane)]
        if planes:
            return [_sliced(model, plane, options, std) for plane in planes]
        return _traced(model, [place for place in places if isinstance(place, Path)], options, std)


def _traced(model: Model, paths: Sequence[Path], options: Options, std: Tensor | None) -> list[Row]:
    began = time.perf_counter()
    rows = [
        row_of(found, _at_anchors(found, model), std, options.measures) for found in found_along(model, paths, options)
    ]
    seconds = (time.perf_counter() - began) / len(paths)
    return [row | {"seconds": seconds} for row in rows]


def _sliced(model: Model, plane: Plane, options: Options, std: Tensor | None) -> Row:
    began = time.perf_counter()
    options_of_slice: Any = {"outputs": options.outputs, "verify": options.verify, "budget": options.budget}
    found = slice(model, plane, keep="measures", **options_of_slice)
    corners = model(inputs_of(plane)).cpu()[:, list(found.outputs)]
    return row_of_slice(found, corners, std) | {"seconds": time.perf_counter() - began}


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
        return trace(
            model,
            paths,
            keep="measures",
            outputs=options.outputs,
            verify=options.verify,
            measures=options.measures,
            **budget,
        )
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
    model: Packed, places: bytes, options: Options, std: Tensor | None, report: ReportProgress
) -> list[Row] | TransectError:
    """The work of a worker process; an error made on purpose is handed back as a value, with all it says."""
    try:
        return measure_together(unpacked(model), unpacked_places(places), options, std)
    except TransectError as error:
        return error


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for torch, as in every worker: sums depend on the number of threads, and rows must not."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


_FRESH = 1024  # rows kept as dictionaries, which take ten times the memory, before they are packed


class RowStore:
    """Rows of models and paths or planes, each kept once.

    Args:
        kind: Which of the two.
    """

    def __init__(self, kind: Kind = PATHS) -> None:
        self._kind = kind
        self._fresh: list[Row] = []
        self._packed: list[pa.Table] = []
        self._done: dict[str, set[int]] = {}

    def add(self, rows: Sequence[Row]) -> None:
        """Keep those rows that are not there yet."""
        for row in rows:
            model, place = row["model"], row[self._kind.noun]
            assert isinstance(model, str) and isinstance(place, int)  # noqa: PT018
            done = self._done.setdefault(model, set())
            if place not in done:
                done.add(place)
                self._fresh.append(row)
        if len(self._fresh) >= _FRESH:
            self._pack()

    def has(self, model: str, positions: Collection[int]) -> bool:
        """Whether all these of a model are there."""
        return self._done.get(model, set()).issuperset(positions)

    def count(self, model: str) -> int:
        """Rows of a model."""
        return len(self._done.get(model, ()))

    def drop(self, model: str) -> None:
        """Forget the rows of a model."""
        self._pack()
        self._packed = [table.filter(pa.compute.not_equal(table["model"], model)) for table in self._packed]
        self._done.pop(model, None)

    def table(self) -> pa.Table:
        """All rows, in no order."""
        self._pack()
        schema = self._kind.schema
        return pa.concat_tables(self._packed, promote_options="default") if self._packed else schema.empty_table()

    def __len__(self) -> int:
        return sum(map(len, self._done.values()))

    def _pack(self) -> None:
        if self._fresh:
            schema = with_settings(self._kind.schema, self._fresh)
            self._packed.append(pa.Table.from_pylist(self._fresh, schema=schema))
            self._fresh = []


def named(model: str, chunk: Chunk, rows: Sequence[Row]) -> list[Row]:
    """The rows of a model and chunk, with the columns that say whose they are."""
    noun = kind_of(chunk.places[0]).noun
    return [
        {"model": model, noun: position, f"{noun}_name": name, **row}
        for position, name, row in zip(chunk.positions, chunk.names, rows, strict=True)
    ]


def ordered(table: pa.Table, models: Mapping[str, int]) -> pa.Table:
    """The rows of some models, in their order and that of the paths or planes."""
    pairs = zip(table["model"].to_pylist(), table[kind_of_table(table).noun].to_pylist(), strict=True)
    keys = [(models[model], place, row) for row, (model, place) in enumerate(pairs) if model in models]
    return table.take(pa.array([row for *_, row in sorted(keys)], pa.int64())).combine_chunks()
