"""A trained network along the paths of its study, as rows: one a path."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

import transect
from transect.errors import InvalidInput, StudyError, TransectWarning
from transect.measures import Measure
from transect.measures.base import across_outputs
from transect.measuring.models import Source
from transect.measuring.prepared import Options, prepare
from transect.measuring.rows import measure_together
from transect.networks.models import current_folder, imported
from transect.paths import Path, line, shift_scale_circles, translation_arcs, translation_circles
from transect.paths.translations import normalised_repeatedly, rolled_closure
from transect.study.columns import PER_PATH
from transect.study.config import MeasureConfig, PathConfig
from transect.study.data.dataset import DataSet, as_pixels
from transect.study.data.samples import chosen_pairs, chosen_samples
from transect.support.types import Row, number
from transect.tables.files import is_own
from transect.tracing.arguments import checked_measures

if TYPE_CHECKING:
    from transect.tracing.result import Trace


_TRANSLATIONS = {"circle": translation_circles, "arc": translation_arcs}
_OF_SAMPLES: Mapping[str, Callable[[Tensor, PathConfig], list[Path]]] = {
    "shift_scale_circle": lambda signals, how: shift_scale_circles(signals, how.shift, how.scale, how.anchors),
}
"""Kinds of paths that are made of the samples as the network sees them, ``(paths, *input_shape)`` float64."""


def paths_around(data: DataSet, config: PathConfig) -> list[Path]:
    """Paths around or between randomly chosen samples, or around random images; the same ones for every network.

    Args:
        data: Where the samples come from. The ends of straight lines are both from the split, and both of the kind that
            ``config.samples`` says.
        config: How many paths, of which shape, and the seed of the choice.

    Returns:
        ``config.paths`` paths in random order, their anchors as the network sees them, float64. Fewer paths are the
        first of more.

    Raises:
        StudyError: If the shape does not fit the data, the split has too few samples of the kind asked for, or there is
            no path of that shape around one of them.
    """
    _refuse_misfits(data, config)
    if config.around == "random":
        names = [f"random image {index}" for index in range(config.paths)]
        return _translations(_random_pixels(data, config), names, data, config)
    if config.kind in ("between_same_class", "between_classes"):
        return _lines(data, config)
    chosen = chosen_samples(data.split(config.split), config)
    inputs = data.split(config.split).inputs[chosen]
    if config.is_users:
        return _made_by_user(data.prepare(inputs, torch.float64), config)
    names = [f"sample {index} of the {config.split} part" for index in chosen.tolist()]
    if config.kind in _OF_SAMPLES:
        return _made_of(data.prepare(inputs, torch.float64), names, config)
    return _translations(as_pixels(inputs, torch.float64), names, data, config)


def refuse_impossible(data: DataSet, config: PathConfig) -> None:
    """Find out at once, and not after networks are trained, that there are no such paths: makes the first of them.

    Raises:
        StudyError: As :func:`paths_around`, but for what only some of the samples are wrong for.
    """
    _refuse_misfits(data, config)
    if config.around != "random":
        pairs = config.kind in ("between_same_class", "between_classes")
        (chosen_pairs if pairs else chosen_samples)(data.split(config.split), config)
    paths_around(data, config.model_copy(update={"paths": 1}))


def path_maker(config: PathConfig) -> Callable[..., Sequence[Path]]:
    """The maker of paths that ``paths.kind`` names.

    Raises:
        InvalidInput: It cannot be imported.
    """
    with current_folder():
        made: Callable[..., Sequence[Path]] = imported(*_place(config.kind), what="paths.kind")
    return made


def own_measures(how: MeasureConfig) -> tuple[Measure, ...]:
    """The measures that ``measures.own`` names.

    Raises:
        InvalidInput: They cannot be imported, or are no measures.
    """
    with current_folder():
        return checked_measures([imported(*_place(place), what="measures.own") for place in how.own])


def _place(named: str) -> tuple[str, str]:
    module, _, name = named.partition(":")
    return module, name


def _made_by_user(inputs: Tensor, config: PathConfig) -> list[Path]:
    try:
        paths = list(path_maker(config)(inputs, **config.arguments))
    except TypeError as error:
        raise StudyError(
            f"paths.kind: {config.kind} was called with the samples and {config.arguments or 'nothing else'}: {error}"
        ) from error
    odd = [type(path).__name__ for path in paths if not isinstance(path, Path)]
    if odd or len(paths) != len(inputs):
        raise StudyError(
            f"paths.kind: expected of {config.kind} a transect.Path for each of the {len(inputs)} samples, got "
            f"{f'a {odd[0]}' if odd else f'{len(paths)} paths'}"
        )
    return paths


def _made_of(inputs: Tensor, names: Sequence[str], config: PathConfig) -> list[Path]:
    try:
        return _OF_SAMPLES[config.kind](inputs, config)
    except InvalidInput as error:
        raise _without_path(error, names) from error


def _lines(data: DataSet, config: PathConfig) -> list[Path]:
    split = data.split(config.split)
    pairs = chosen_pairs(split, config)
    starts, ends = (data.prepare(split.inputs[indices], torch.float64) for indices in pairs)
    paths = []
    for start, end, first, last in zip(starts, ends, *(indices.tolist() for indices in pairs), strict=True):
        try:
            paths.append(line(start, end))
        except InvalidInput as error:
            raise StudyError(
                f"paths: between the samples {first} and {last} of the {config.split} part: {error} Choose another "
                "paths.seed."
            ) from error
    return paths


def _translations(pixels: Tensor, names: Sequence[str], data: DataSet, config: PathConfig) -> list[Path]:
    """Translate before normalising, as one does with images."""
    normalise = None if data.normalisation is None else data.normalisation.apply
    once = None if config.repeated_normalisation else normalise
    try:
        paths = _TRANSLATIONS[config.kind](pixels, config.radius, config.anchors, once)
    except InvalidInput as error:
        raise _without_path(error, names) from error
    if config.repeated_normalisation and normalise is not None:
        paths = [Path(normalised_repeatedly(path.anchors, normalise), closed=True) for path in paths]
    return rolled_closure(paths) if config.rolled_closure else paths


def _random_pixels(data: DataSet, config: PathConfig) -> Tensor:
    """Images ``(paths, channels, height, width)``: uniform in mean +- standard deviation of each channel."""
    assert data.normalisation is not None  # refused before
    generator = torch.Generator().manual_seed(config.seed)
    uniform = torch.rand(config.paths, *data.input_shape, generator=generator, dtype=torch.float64)
    mean, std = (part.reshape(-1, 1, 1) for part in (data.normalisation.mean, data.normalisation.std))
    return mean + std * (2 * uniform - 1)


def _without_path(error: InvalidInput, names: Sequence[str]) -> StudyError:
    """Errors of a batch of paths count the images or signals that they were given: name the sample instead."""
    message = re.sub(r"^(?:image|signal) (\d+): ", lambda found: f"{names[int(found[1])]}: ", str(error))
    remedy = "" if message == str(error) else " Choose another paths.seed, or take such samples out of the data."
    return StudyError(f"paths: {message}{remedy}")


def _refuse_misfits(data: DataSet, config: PathConfig) -> None:
    is_image, is_translation = not data.train.inputs.is_floating_point(), config.kind in _TRANSLATIONS
    has = f"{data.name} has {'images' if is_image else 'signals'}"
    if is_translation and not is_image:
        raise StudyError(f"paths.kind: {config.kind!r} translates images, but {has}; use 'shift_scale_circle'")
    if config.kind == "shift_scale_circle" and is_image:
        raise StudyError(f"paths.kind: 'shift_scale_circle' is for signals, but {has}; use 'circle' or 'arc'")
    if config.around == "random" and not is_translation:
        raise StudyError(f"paths.around: expected kind 'circle' or 'arc' around random images, got {config.kind!r}")
    if config.around == "random" and config.samples != "all":
        raise StudyError(f"paths.samples: random images have no labels; expected 'all', got {config.samples!r}")
    for fault in ("repeated_normalisation", "rolled_closure"):
        if getattr(config, fault) and config.kind != "circle":
            raise StudyError(f"paths.{fault}: is a fault of the released code's circles, got kind {config.kind!r}")


def legacy_deviation(t: Tensor, outputs: Tensor, length: float, upper_bound: bool, drop_last: bool) -> Tensor:
    """The absolute deviation of a segment with faults of the released code.

    With g = f - a (a: affine between the ends) worth ``c + b t`` on a region from ``t0`` to ``t1``, the released code
    takes ``|c| (t1 - t0) + |b| (t1^2 - t0^2) / 2`` for the integral of ``|c + b t|``: an upper bound, since c is what g
    would be at t = 0 if the region reached there.

    Args:
        t: Knots, ``(K,)``, from 0 to 1.
        outputs: Values of the function there, ``(K, outputs)``.
        length: Length of the segment.
        upper_bound: Fault 3, that bound; the integral itself where False.
        drop_last: Fault 5, the last region of the segment is left out.

    Returns:
        One number an output.
    """
    t, outputs = t.double()[:, None], outputs.double()
    gap = outputs - torch.lerp(outputs[:1], outputs[-1:], t)
    left, right, start, end = gap[:-1], gap[1:], t[:-1], t[1:]
    pieces = _bound(left, right, start, end) if upper_bound else _integral(left, right, end - start)
    return length * (pieces[:-1] if drop_last else pieces).sum(0)


def _bound(left: Tensor, right: Tensor, start: Tensor, end: Tensor) -> Tensor:
    slope = (right - left) / (end - start)
    at_zero = left - slope * start
    return at_zero.abs() * (end - start) + slope.abs() * (end.square() - start.square()) / 2


def _integral(left: Tensor, right: Tensor, width: Tensor) -> Tensor:
    """Of the absolute value of an affine function that is worth ``left`` and ``right`` at the ends."""
    total = left.abs() + right.abs()
    opposite = (left.sign() * right.sign()) < 0
    crossing = (left.square() + right.square()) / (2 * total.where(total > 0, torch.ones_like(total)))
    return width * torch.where(opposite, crossing, total / 2)


MeasurePaths = Callable[[nn.Module, Sequence[Path], MeasureConfig, str], list[Row]]
"""``measure(model, paths, how, device) -> rows``: one a path, with columns of
:data:`transect.study.columns.PATH_SCHEMA` from ``segments`` on.

It must be importable by its name, since it travels to worker processes."""

_RENAMED = {"length": "path_length", "samples": "samples_taken"}
_COLUMNS = frozenset(name for name, _ in PER_PATH) - {"path"}


def measure_paths(model: nn.Module, paths: Sequence[Path], how: MeasureConfig, device: str = "cpu") -> list[Row]:
    """Measure a network along paths, all together.

    Crossings that rounding cannot tell apart are counted in ``unresolved`` and not warned about one by one.

    Args:
        model: The network, in evaluation mode.
        paths: The paths.
        how: Exactly or from samples, and with which faults of the released code.
        device: Where to.

    Returns:
        One row a path. With a fault of the released code switched on, deviations that it does not touch are left out.

    Raises:
        UnsupportedModel: If regions are asked for and the network is not piecewise affine.
    """
    options = Options(
        method=how.method,
        dtype=getattr(torch, how.dtype) if how.method == "exact" else None,
        device=device,
        rtol=how.rtol,
        max_samples=how.max_samples,
        measures=own_measures(how),
    )
    network = prepare(Source("the network", lambda: model), paths[0].anchors, options).model
    rows = [_renamed(row) for row in measure_together(network, paths, options)]
    if how.upper_bound_integral or how.drop_last_region:
        return [_with_faults(row, network, path, how) for row, path in zip(rows, paths, strict=True)]
    return rows


def _renamed(row: Row) -> Row:
    named = {_RENAMED.get(name, name): value for name, value in row.items() if name not in _RENAMED.values()}
    return {name: value for name, value in named.items() if name in _COLUMNS or is_own(name)}


def _with_faults(row: Row, network: Any, path: Path, how: MeasureConfig) -> Row:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TransectWarning)
        found = transect.trace(network, path, keep="all", verify=False)
    deviation = float(across_outputs(_deviations(found, how)).sum())
    unharmed = {name: value for name, value in row.items() if "deviation" not in name}
    return unharmed | {"absolute_deviation": deviation, "mean_deviation": deviation / number(row["path_length"])}


def _deviations(found: Trace, how: MeasureConfig) -> Tensor:
    return torch.stack(
        [
            legacy_deviation(segment.t, segment.outputs, float(length), how.upper_bound_integral, how.drop_last_region)
            for segment, length in zip(found.segments, found.length, strict=True)
        ]
    )
