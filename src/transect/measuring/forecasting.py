"""``forecast``: what measuring would cost, from a quick estimate and a short stretch traced against the clock."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

from torch import nn

from transect.errors import InvalidInput, TransectWarning, UnsupportedModel
from transect.estimation import Estimate, estimate
from transect.estimation.estimate import BUDGET, bytes_held
from transect.measuring.kinds import PLANES, inputs_of
from transect.measuring.models import Model, Source, as_sources, lies_on_cpu
from transect.measuring.paths import Places, taken_together
from transect.measuring.prepared import Options, checked_outputs, is_whole, prepare
from transect.measuring.rows import measure_together, one_thread
from transect.networks.network import Network
from transect.paths import Path, Plane
from transect.slicing import forecast_slice
from transect.support.guesses import CLOCK, Guess, counted, duration, mean_of
from transect.support.types import Row, number
from transect.tracing.arguments import constant_bytes, numbers_alive, peak_bytes

_MODELS, _PATHS = 4, 3  # looked at, at most and at least
_QUICK_SAMPLES = 33
_FIRST_FLIPS, _ENOUGH_SECONDS = 500.0, 0.5  # a stretch begins with so many flips, and grows until it takes so long
_ENOUGH_FOR_THE_FIRST = 5.0
_STARTING = (4.0, 2.0, 15.0)  # seconds until workers have imported torch


@dataclass(frozen=True)
class Forecast:
    """What measuring models on paths would take; times are in seconds on this machine.

    Attributes:
        models: Number of models.
        paths: Number of paths; None where it is not known, and everything is for one path.
        workers: Worker processes.
        crossings: Crossings in all; None where they cannot be traced.
        exact_seconds: Time of ``method="exact"``; None where that is not possible.
        estimate_seconds: Time of ``method="estimate"``.
        bytes: Memory that each process needs beside its libraries and your data, at most (about).
    """

    models: int
    paths: int | None
    workers: int
    crossings: Guess | None
    exact_seconds: Guess | None
    estimate_seconds: Guess
    bytes: int

    def __str__(self) -> str:
        what, memory = _what(self.models, self.paths, "path"), _memory(self.bytes, self.workers)
        sampled = f'{duration(self.estimate_seconds)} with method="estimate"'
        if self.crossings is None or self.exact_seconds is None:
            return f"{what}: {sampled}; up to about {memory}"
        found = f"about {counted(self.crossings)} crossings, {duration(self.exact_seconds)} exactly"
        return f"{what}: {found}, {sampled}; up to about {memory}"


@dataclass(frozen=True)
class PlanesForecast:
    """What measuring models on planes would take; times are in seconds on this machine.

    Attributes:
        models: Number of models.
        planes: Number of planes; None where it is not known, and everything is for one plane.
        workers: Worker processes.
        regions: Regions in all.
        exact_seconds: Time of slicing.
        bytes: Memory that each process needs beside its libraries and your data, at most (about).
    """

    models: int
    planes: int | None
    workers: int
    regions: Guess
    exact_seconds: Guess
    bytes: int

    def __str__(self) -> str:
        return (
            f"{_what(self.models, self.planes, 'plane')}: about {counted(self.regions)} regions, "
            f"{duration(self.exact_seconds)}; up to about {_memory(self.bytes, self.workers)}"
        )


def _what(models: int, count: int | None, noun: str) -> str:
    number = f"a {noun}" if count is None else f"{count:,} {noun}{'s' if count > 1 else ''}"
    return f"{models:,} model{'s' if models > 1 else ''} on {number}"


def _memory(most: int, workers: int) -> str:
    return f"{most / 2**20:,.0f} MiB in each of {workers} process{'es' if workers > 1 else ''}"


@dataclass(frozen=True)
class _Cost:
    """What one model costs: crossings and seconds of a path, seconds once, bytes."""

    crossings: Guess | None
    exact: Guess | None
    sampled: Guess
    once: float
    bytes: int


@overload
def forecast(
    models: Model | Sequence[Model] | Mapping[str, Model],
    paths: Path | Sequence[Path] | Mapping[str, Path],
    *,
    count: int | None = ...,
    workers: int = ...,
    outputs: Sequence[int] | None = ...,
    device: str | None = ...,
) -> Forecast: ...
@overload
def forecast(
    models: Model | Sequence[Model] | Mapping[str, Model],
    paths: Plane | Sequence[Plane] | Mapping[str, Plane],
    *,
    count: int | None = ...,
    workers: int = ...,
    outputs: Sequence[int] | None = ...,
    device: str | None = ...,
) -> PlanesForecast: ...
def forecast(
    models: Model | Sequence[Model] | Mapping[str, Model],
    paths: Path | Sequence[Path] | Mapping[str, Path] | Plane | Sequence[Plane] | Mapping[str, Plane],
    *,
    count: int | None = None,
    workers: int = 1,
    outputs: Sequence[int] | None = None,
    device: str | None = None,
) -> Forecast | PlanesForecast:
    """Forecast what ``transect.measure`` would take: crossings, time and memory, and what an estimate would cost.

    Looks at up to four of the models and some of the paths: their flips are estimated from few samples, and a short
    stretch of each is traced against the clock. That takes seconds. The ranges hold what was stated for the estimate,
    what a sample of models and paths leaves open (t intervals, 90 %), and a factor of 1.5 for the clock; other programs
    on the machine can make more of it.

    Args:
        models: As for :func:`transect.measure`.
        paths: The paths, or some of them; or planes, each of a few of which is forecast by
            :func:`transect.forecast_slice`.
        count: Number of paths in all, where ``paths`` are only some.
        workers: Worker processes.
        outputs: Indices of the outputs to measure.
        device: Where modules are captured to.

    Raises:
        InvalidInput: An argument is not usable. Generators are none, since looking at them would use them up.
    """
    if not isinstance(paths, Path | Plane | Sequence | Mapping):
        raise InvalidInput(
            "paths: a forecast would use them up; give a list of some of them, and their number as count=..., got "
            f"{type(paths).__name__}."
        )
    for name, value in (("workers", workers), ("count", 1 if count is None else count)):
        if not is_whole(value, 1):
            raise InvalidInput(f"{name}: expected a whole number of at least 1, got {value!r}.")
    options = Options(outputs=checked_outputs(outputs), device=device)
    given = Places(paths, again=True)
    look = forecast_on_planes if given.kind is PLANES else forecast_of
    return look(as_sources(models), given, count or given.total, workers, options)


def forecast_of(
    sources: Sequence[Source], paths: Places, count: int | None, workers: int, options: Options
) -> Forecast:
    """The forecast for models and paths that have been looked at already."""
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore", TransectWarning)
        costs = [_cost(source, paths, count, options) for source in _some(sources)]
    every = len(sources)
    times = every * (count or 1)
    once = Guess(*[sum(cost.once for cost in costs) / len(costs) * every] * 3).times(1.0, CLOCK)
    once = once.plus(Guess(*_STARTING)) if workers > 1 else once

    def seconds(guesses: list[Guess]) -> Guess:
        return mean_of(guesses, every).times(times / workers).plus(once)

    crossings = [cost.crossings for cost in costs if cost.crossings is not None]
    exact = [cost.exact for cost in costs if cost.exact is not None]
    return Forecast(
        models=every,
        paths=count,
        workers=workers,
        crossings=mean_of(crossings, every).times(times) if len(crossings) == len(costs) else None,
        exact_seconds=seconds(exact) if len(exact) == len(costs) else None,
        estimate_seconds=seconds([cost.sampled for cost in costs]),
        bytes=max(cost.bytes for cost in costs),
    )


def forecast_on_planes(
    sources: Sequence[Source], planes: Places, count: int | None, workers: int, options: Options
) -> PlanesForecast:
    """The forecast for models and planes that have been looked at already: every one of a few is forecast."""
    budget: Any = {} if options.budget is None else {"budget": options.budget}
    regions, seconds, most = [], [], 0
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore", TransectWarning)
        for source in _some(sources):
            network = prepare(source, inputs_of(planes.first), options).model
            sample = [plane for plane in planes.sample(_PATHS) if isinstance(plane, Plane)]
            found = [forecast_slice(network, plane, outputs=options.outputs, **budget) for plane in sample]
            regions.append(mean_of([one.regions for one in found], count))
            seconds.append(mean_of([one.seconds for one in found], count))
            most = max(most, *(one.bytes_measures for one in found))
    every = len(sources)
    times = every * (count or 1)
    once = Guess(*_STARTING) if workers > 1 else Guess(0.0, 0.0, 0.0)
    return PlanesForecast(
        models=every,
        planes=count,
        workers=workers,
        regions=mean_of(regions, every).times(times),
        exact_seconds=mean_of(seconds, every).times(times / workers).plus(once),
        bytes=most,
    )


def _some(sources: Sequence[Source]) -> list[Source]:
    """Some models, spread evenly over all."""
    most = min(_MODELS, len(sources))
    return [sources[index] for index in sorted({round(k * (len(sources) - 1) / max(1, most - 1)) for k in range(most)})]


def _cost(source: Source, paths: Places, count: int | None, options: Options) -> _Cost:
    together = taken_together(paths.first, lies_on_cpu(source))
    sample = [path for path in paths.sample(max(_PATHS, together)) if isinstance(path, Path)]
    # Timed in groups as large as those that will be measured, though of the same few paths again and again.
    group = (sample * together)[: max(len(sample), min(together, count or together))]
    try:
        model: Model | None = prepare(source, inputs_of(paths.first), replace(options, method="exact")).model
    except UnsupportedModel:
        model = None
    began = time.perf_counter()
    sampled_model = prepare(source, inputs_of(paths.first), replace(options, method="estimate")).model
    once = time.perf_counter() - began  # the second time: the first one of a process takes seconds longer
    looked = estimate(model or sampled_model, sample, outputs=options.outputs, max_samples=_QUICK_SAMPLES)
    sampled = _seconds_of_estimate(sampled_model, group, options).times(1 / len(group))
    crossings, exact = (None, None) if model is None else _exact(model, group, looked, count, options)
    return _Cost(crossings, exact, sampled, once, _bytes(model or sampled_model, options.budget))


def _seconds_of_estimate(model: Model, paths: list[Path], options: Options) -> Guess:
    """Timed with few samples and, where that was not long, in full."""
    quick = replace(options, method="estimate", max_samples=_QUICK_SAMPLES)
    seconds = _seconds(measure_together(model, paths, quick))
    if seconds > _ENOUGH_SECONDS:
        return Guess(2 * seconds, seconds, 4 * seconds).times(1.0, CLOCK)
    full = replace(options, method="estimate")
    return Guess(*[_seconds(measure_together(model, paths, full))] * 3).times(1.0, CLOCK)


def _exact(
    model: Model, group: list[Path], looked: list[Estimate], count: int | None, options: Options
) -> tuple[Guess, Guess]:
    """Crossings and seconds of a path: its estimated flips, times what a stretch has of each for a flip."""
    flips = mean_of([Guess(float(e.flips.sum()), *e.flips_interval.sum(0).tolist()) for e in looked], count)
    part = min(1.0, _FIRST_FLIPS / max(1.0, flips.value * len(group)))
    rows = _stretch(model, group, part, options)
    if _seconds(rows) < _ENOUGH_FOR_THE_FIRST:  # of a process, which is slower than those after it
        rows = _stretch(model, group, part, options)
    while part < 1 and _seconds(rows) < _ENOUGH_SECONDS:
        part = min(1.0, part * min(20.0, max(2.0, _ENOUGH_SECONDS / _seconds(rows))))
        rows = _stretch(model, group, part, options)
    seconds = _seconds(rows)
    seen, crossings = (sum(number(row[name]) for row in rows) for name in ("flips", "path_crossings"))
    if not seen:
        return flips, Guess(*[seconds / len(group)] * 3).times(1.0, CLOCK)
    return flips.times(crossings / seen), flips.times(seconds / seen, CLOCK)


def _stretch(model: Model, paths: list[Path], part: float, options: Options) -> list[Row]:
    """Trace a part of every path, from a place that differs from path to path."""
    stretches = [
        path if part == 1 else _between(path, part, (index + 0.5) / len(paths)) for index, path in enumerate(paths)
    ]
    return measure_together(model, stretches, replace(options, method="exact"))


def _seconds(rows: list[Row]) -> float:
    return sum(number(row["seconds"]) for row in rows)


def _between(path: Path, part: float, place: float) -> Path:
    start = place * (1 - part) * len(path)
    return path.between(start, start + part * len(path))


def _bytes(model: Model, budget: int | None) -> int:
    """What a trace takes at its peak, or an estimate where the model cannot be traced."""
    if not isinstance(model, Network):
        return bytes_held(budget or BUDGET) + _constants(model)
    numbers = numbers_alive(budget, model)
    return peak_bytes(numbers, model.dtype, model.program.row_elements) + _constants(model)


def _constants(model: Model) -> int:
    """Bytes of weights, as they are held and as they are compiled."""
    if isinstance(model, nn.Module):
        return sum(part.nbytes for part in (*model.parameters(), *model.buffers()))
    return constant_bytes(model)
