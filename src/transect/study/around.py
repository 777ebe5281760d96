"""The paths of a study, in the space of the network's input: of which shape, and around which samples."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from transect.errors import InvalidInput, StudyError
from transect.paths import Path, line, shift_scale_circles, translation_arcs, translation_circles
from transect.paths.legacy import normalised_repeatedly, rolled_closure
from transect.study.config import PathConfig
from transect.study.data.choosing import chosen_pairs, chosen_samples
from transect.study.data.dataset import DataSet
from transect.study.data.normalisation import as_pixels

_TRANSLATIONS = {"circle": translation_circles, "arc": translation_arcs}


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
    names = [f"sample {index} of the {config.split} part" for index in chosen.tolist()]
    if config.kind == "shift_scale_circle":
        return _shift_scale_circles(data.prepare(inputs, torch.float64), names, config)
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


def _shift_scale_circles(signals: Tensor, names: Sequence[str], config: PathConfig) -> list[Path]:
    try:
        return shift_scale_circles(signals, config.shift, config.scale, config.anchors)
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
