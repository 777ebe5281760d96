"""``measure``: models along many paths, or on many planes, to a table."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, TypeAlias

import pyarrow as pa
import torch
from torch import nn

from transect.errors import FolderInUse, InvalidInput, MeasuringError
from transect.jobs import ProgressCallback
from transect.measures import Measure
from transect.measuring.forecasting import Forecast, forecast_of, forecast_on_planes
from transect.measuring.kinds import PLANES, inputs_of
from transect.measuring.measurements import Measurements
from transect.measuring.models import Source, as_sources, lies_on_cpu
from transect.measuring.paths import Places, taken_together
from transect.measuring.pool import Task, Watcher, watching, work_through
from transect.measuring.prepared import Options, Prepared, checked_outputs, is_whole, prepare
from transect.measuring.rows import one_thread, ordered
from transect.measuring.scales import Scale, as_scale
from transect.measuring.store import TABLE, Folder, Memory, OtherMeasurements, Store, as_folder
from transect.networks.network import Network
from transect.paths import Path, Plane
from transect.support.types import TensorLike
from transect.tables.ownership import Ownership, owned

Models: TypeAlias = (
    nn.Module
    | Network
    | Sequence[nn.Module | Network]
    | Mapping[str, nn.Module]
    | Mapping[str, Network]
    | Mapping[str, nn.Module | Network]
)
PathsGiven: TypeAlias = Path | Mapping[str, Path] | Iterable[Path] | Plane | Mapping[str, Plane] | Iterable[Plane]

_LONG = 10.0  # seconds of work from which a forecast is worth a line


def measure(
    models: Models,
    paths: PathsGiven,
    *,
    method: Literal["exact", "estimate"] = "exact",
    out: str | os.PathLike[str] | None = None,
    workers: int = 1,
    together: int | None = None,
    outputs: Sequence[int] | None = None,
    data: TensorLike | None = None,
    std: float | Sequence[float] | None = None,
    dtype: torch.dtype | None = None,
    device: str | None = None,
    budget: int | None = None,
    rtol: float = 1e-2,
    atol: float = 0.0,
    max_samples: int | None = None,
    verify: bool = True,
    measures: Sequence[Measure] = (),
    progress: ProgressCallback | Literal[False] | None = None,
) -> Measurements:
    """Measure one or several models along the same paths: a table with a row for each model and path.

    Or on the same planes: each is sliced (:func:`transect.slice`), and a row has regions, borders, decision boundary,
    slopes and, on triangles, the deviation; see :data:`transect.measuring.planes.PLANE_SCHEMA`. In what follows, planes
    are paths; measure each of the two in a call, and a folder, of its own.

    Paths are traced ``together`` at a time, in groups counted from the first. A row is what ``transect.trace`` or
    ``transect.estimate`` gives for its group; it does not depend on ``workers``, nor on how often the work was
    interrupted. In its last bits it depends on ``together``: with 1 it is that of the path traced alone.

    With ``out``, every finished group is written at once, and the same call after an interruption of any kind goes on
    from there. Models may be added between calls; everything else must stay.

    Args:
        models: A module in evaluation mode or a captured network; a sequence of them (named ``"0"``, ``"1"``, ...), or
            a mapping from names, such as :func:`transect.checkpoints`: one is open at a time. Capture a model yourself
            where it has several inputs or outputs.
        paths: A path, or a sequence, mapping from names, or other iterable of paths; or likewise of planes. A generator
            is read group by group; for several models, its paths lie in a temporary file meanwhile.
        method: ``"exact"`` traces, ``"estimate"`` samples (and takes models that are not piecewise affine); planes are
            sliced, ``"exact"``.
        out: Folder for the results: ``table.parquet`` and ``table.csv`` in the end.
        workers: Processes, on a CPU; each has one thread, and so has this process if it is the only one. They are
            spawned: a script that uses them must call this under ``if __name__ == "__main__":``.
        together: Paths traced together; by default as many as share rows well (at most 32; on a GPU 1024). Planes are
            sliced one by one, and by default every one is written at once.
        outputs: Indices of the outputs to measure; all by default.
        data: Inputs of a data set, ``(N, *input_shape)``: deviations are given beside in units of the outputs' standard
            deviations over it, so that models with outputs of different scales can be compared.
        std: These standard deviations, where they are known: one for each output measured, or one for all.
        dtype: Working dtype of modules; by default float64, for estimates their own.
        device: Where modules are captured to; their own device by default.
        budget: Most numbers that are kept alive, as in ``trace`` and ``estimate``.
        rtol: Relative tolerance of estimates.
        atol: Absolute tolerance of estimates.
        max_samples: Samples of a segment in an estimate, at most.
        verify: Compare every trace with the model.
        measures: Measures of your own beside the listed ones, of exact traces: see :class:`transect.measures.Measure`.
            Their columns are called ``own_NAME``; for several workers, define them at the top of a file.
        progress: Hears of events (a job is a model, its steps are paths); False for nothing. By default bars are drawn
            where the standard error is a terminal, and the log hears (level INFO) where it is not.

    Returns:
        The table, ordered by model and path.

    Raises:
        InvalidInput: An argument is not usable, or ``out`` holds something else.
        FolderInUse: Another process works in ``out``.
        UnsupportedModel: A model cannot be traced exactly; the message begins with its name.
        VerificationError: A trace and its model disagree.
        MeasuringError: A worker process died, twice over the same paths, or a model raised an error in it.

    Example:
        >>> import torch, transect
        >>> def network(width):
        ...     torch.manual_seed(width)
        ...     return torch.nn.Sequential(torch.nn.Linear(2, width), torch.nn.ReLU(), torch.nn.Linear(width, 1)).eval()
        >>> paths = [transect.Path([[0.0, k], [1.0, -k]]) for k in range(1, 6)]
        >>> table = transect.measure({"narrow": network(4), "wide": network(64)}, paths, progress=False)
        >>> table
        Measurements(10 rows; 2 models: narrow, wide; exact)
        >>> table.of("wide").column("crossings").mean() > table.of("narrow").column("crossings").mean()
        np.True_
    """
    options = Options(
        method, checked_outputs(outputs), dtype, device, budget, rtol, atol, max_samples, verify, tuple(measures)
    )
    for name, value in (("workers", workers), ("together", 1 if together is None else together)):
        if not is_whole(value, 1):
            raise InvalidInput(f"{name}: expected a whole number of at least 1, got {value!r}.")
    scale = as_scale(data, std)
    if out is None:
        return _measured(models, paths, options, scale, workers, together, progress, None, None)
    folder = as_folder(out)
    with owned(folder) as ownership:
        return _measured(models, paths, options, scale, workers, together, progress, folder, ownership)


def _measured(
    models: Models,
    paths: PathsGiven,
    options: Options,
    scale: Scale,
    workers: int,
    together: int | None,
    progress: ProgressCallback | Literal[False] | None,
    folder: pathlib.Path | None,
    ownership: Ownership | None,
) -> Measurements:
    sources = as_sources(models)
    given = Places(paths, again=len(sources) > 1)
    given.kind.check(options)
    on_cpu = [lies_on_cpu(source) for source in sources]  # all are opened once: what cannot be loaded is named at once
    device = torch.device(options.device or ("cpu" if all(on_cpu) else "cuda")).type
    if workers > 1 and device != "cpu":
        raise InvalidInput(f"workers: one process feeds a GPU best, with many paths together; got workers={workers}.")
    group = together or taken_together(given.first, device == "cpu")
    store: Store = Memory(given.kind)
    if folder is not None and ownership is not None:
        settings = options.settings() | scale.settings() | {"device": device, "together": group}
        store = Folder(folder, ownership, settings, given.kind)
    kept = store.rows
    with watching(len(sources), given.total, progress, given.kind.noun) as watcher:
        try:
            table = _worked_through(sources, given, group, options, scale, workers, store, watcher)
        except BaseException as error:
            if folder is not None and not isinstance(error, OtherMeasurements | FolderInUse):
                error.add_note(f"{store.rows:,} finished rows are kept in {folder}; {_way_on(error)}")
            raise
        where = "" if folder is None else f" in {folder / TABLE} ({kept:,} rows kept from before)"
        found = Measurements(ordered(table, {source.name: index for index, source in enumerate(sources)}))
        watcher.say.line(f"{found!r}{where}{_remarks(found)}")
    return found


def _worked_through(
    sources: Sequence[Source],
    paths: Places,
    together: int,
    options: Options,
    scale: Scale,
    workers: int,
    store: Store,
    watcher: Watcher,
) -> pa.Table:
    """The table of all rows of the store, after everything that was missing has been done."""
    if paths.total is not None:  # what can be read at any time is compared before anything is done
        for chunk in paths.chunks(paths.total):
            store.expect(chunk)
        store.end(paths.total)
    with one_thread():
        for source in (source for source in sources if store.knows(source.name)):
            store.admit(prepare(source, inputs_of(paths.first), options, scale))
    _say_what_is_coming(sources, paths, options, workers, store, watcher)
    tasks = _tasks(sources, paths, together, options, scale, store, watcher)
    if paths.total is not None:
        workers = min(workers, len(sources) * -(-paths.total // together))
    for finished in work_through(tasks, workers):
        if finished.error is not None:
            if not _may_go_next_time(finished.error):
                store.failed(finished.model)
            raise finished.error
        store.add(finished.model, finished.chunk, finished.rows)
        watcher.advanced(finished.model, len(finished.rows))
    return store.finish()


def _tasks(
    sources: Sequence[Source],
    paths: Places,
    together: int,
    options: Options,
    scale: Scale,
    store: Store,
    watcher: Watcher,
) -> Iterator[Task]:
    """What is not done yet, model after model; a model is opened when its first missing chunk is reached."""
    for source in sources:
        model: Prepared | None = None
        seen = 0
        watcher.began(source.name)
        for chunk in paths.chunks(together):
            seen += len(chunk.places)
            if paths.total is None:
                store.expect(chunk)
            if store.has(source.name, chunk):
                watcher.advanced(source.name, len(chunk.places))
                continue
            if model is None:
                model = prepare(source, inputs_of(paths.first), options, scale)
                store.admit(model)
            yield Task(model, chunk, options)
        store.end(seen)
        watcher.handed_out(source.name, seen)


def _may_go_next_time(error: BaseException) -> bool:
    """Whether the same call may go on where it ended: it was interrupted, or the machine gave out."""
    if isinstance(error, MeasuringError):
        return error.lost
    return not isinstance(error, Exception) or isinstance(error, MemoryError | OSError | torch.OutOfMemoryError)


def _way_on(error: BaseException) -> str:
    if _may_go_next_time(error):
        return "the same call goes on from there."
    return "with what failed mended, replaced or left out, the call goes on from there."


def _say_what_is_coming(
    sources: Sequence[Source], paths: Places, options: Options, workers: int, store: Store, watcher: Watcher
) -> None:
    """A forecast, where the work is long, somebody listens, and there is no earlier call to know it from."""
    if not watcher.say.heard or store.rows:
        return
    look = forecast_on_planes if paths.kind is PLANES else forecast_of
    found = look(sources, paths, paths.total, workers, options)
    seconds = found.exact_seconds
    if isinstance(found, Forecast) and options.method == "estimate":
        seconds = found.estimate_seconds
    if seconds is not None and (seconds.value > _LONG or paths.total is None):
        watcher.say.line(f"Forecast: {found}")


def _remarks(found: Measurements) -> str:
    """What the rows say that a person should not miss."""
    unresolved = sum((row or 0) > 0 for row in found.table["unresolved"].to_pylist())
    converged = found.table["converged"].to_pylist() if "converged" in found.table.column_names else []
    open_ones = sum(row is False for row in converged)
    remarks = [
        f"{unresolved:,} rows with crossings that rounding cannot resolve" if unresolved else "",
        f"{open_ones:,} estimates that did not converge" if open_ones else "",
    ]
    return "".join(f"; {remark}" for remark in remarks if remark)
