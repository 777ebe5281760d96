"""What a command is asked about: a model, the shape of its input, an output; files of inputs; the path to walk."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from transect.errors import InvalidInput, StudyError
from transect.networks import Loaded, load_model
from transect.networks.network import Network, capture
from transect.paths import Path as Polyline
from transect.paths import line, translation_circle
from transect.paths.translations import normalised
from transect.study.data.image_folder import decoded
from transect.support.untrusted import Untrusted, parse_json, read_array, refuse

Dtype = Literal["float64", "float32"]
_DIGITS, _MOST_NUMBERS = 12, 2**26
_DTYPES = {"float64": torch.float64, "float32": torch.float32}


@dataclass(frozen=True)
class Question:
    """A model as it is named on the command line.

    Attributes:
        model: Name of the model, as :func:`transect.networks.load_model` takes it.
        weights: File of its weights.
        arguments: For the callable that makes it.
        shape: Shape of one input; None for the one that comes with the model.
        output: Which output, where there are several: an index, a key, or a submodule.
        dtype: Working dtype; None for float64, in which a trace is exact, and for estimates the model's own.
    """

    model: str
    weights: str | os.PathLike[str] | None = None
    arguments: Mapping[str, object] = field(default_factory=dict)
    shape: tuple[int, ...] | None = None
    output: str | None = None
    dtype: Dtype | None = None

    @property
    def name(self) -> str:
        """The model, and which output of it."""
        return self.model if self.output is None else f"{self.model}[{self.output}]"


@dataclass(frozen=True, eq=False)
class Opened:
    """The model of a question.

    Attributes:
        question: The question.
        loaded: The model.
        shape: Shape of one input.
        dtype: Working dtype.
    """

    question: Question
    loaded: Loaded
    shape: tuple[int, ...]
    dtype: torch.dtype

    def example(self) -> Tensor:
        """An input of random numbers, always the same."""
        return torch.randn(self.shape, generator=torch.Generator().manual_seed(0))

    def captured(self) -> Network:
        """The captured network.

        Raises:
            UnsupportedModel: It cannot be traced exactly.
            InvalidInput: It cannot be used with the input, or has no such output.
        """
        output = _output(self.question.output, self.loaded.module)
        return capture(self.loaded.module, self.example(), self.dtype, output=output)


def opened(question: Question) -> Opened:
    """Load the model of a question.

    Raises:
        InvalidInput: There is no such model, it cannot be made, its weights do not fit, or the shape is missing.
        MissingDependency: It would be a model of torchvision, which is not installed.
    """
    loaded = load_model(question.model, question.weights, question.arguments)
    shape = question.shape or loaded.input_shape
    if shape is None:
        raise InvalidInput(
            f"shape: give the shape of one input of {question.model}, without the batch, such as --shape 3,32,32."
        )
    if math.prod(shape) > _MOST_NUMBERS:
        raise InvalidInput(f"shape: expected one input of at most {_MOST_NUMBERS:,} numbers, got {math.prod(shape):,}.")
    return Opened(question, loaded, shape, _DTYPES[question.dtype or "float64"])


def parse_shape(text: str) -> tuple[int, ...]:
    """``3,224,224`` or ``3x224x224``.

    Raises:
        InvalidInput: It is something else.
    """
    sizes = text.replace("x", ",").split(",")
    if not all(size.strip().isdecimal() and len(size) < _DIGITS and int(size) > 0 for size in sizes):
        raise InvalidInput(
            f"shape: expected the sizes of one input without the batch, such as 3,224,224, got {text[:80]!r}."
        )
    return tuple(map(int, sizes))


def parse_arguments(text: str) -> dict[str, Any]:
    """Arguments by name, from a JSON object.

    Raises:
        InvalidInput: It is none.
    """
    try:
        found = parse_json(text)
    except Untrusted:
        found = None
    if not isinstance(found, dict):
        raise InvalidInput(f"""arguments: expected a JSON object, such as '{{"width": 64}}', got {text[:200]!r}.""")
    return found


def _output(output: str | None, model: nn.Module) -> int | str | None:
    """An index where it is a number, unless a submodule has it as its name."""
    is_index = output is not None and output.isdecimal() and output not in dict(model.named_modules())
    return int(output) if output is not None and is_index else output


_RADIUS, _ANCHORS = 4.0, 8
_GREY = (0.299, 0.587, 0.114)  # of ITU-R BT.601, as Pillow converts
ChannelScaling = tuple[tuple[float, ...], tuple[float, ...]]
File: TypeAlias = str | os.PathLike[str]


class Inputs(Protocol):
    """Files of inputs, and what images among them are normalised by."""

    @property
    def files(self) -> list[File]:
        """The files."""

    @property
    def mean(self) -> tuple[float, ...] | None:
        """Subtracted from images, with values from 0 to 1, one number a channel or one for all."""

    @property
    def std(self) -> tuple[float, ...] | None:
        """By what they are divided then."""


@dataclass(frozen=True)
class Way:
    """Where to walk: from one input to another, or around one.

    Attributes:
        start: File of the first input: an image, or an array saved by ``numpy.save``.
        end: File of the last.
        around: File of an image (or of one saved as an array) that is moved along a circle, in place of both.
        radius: Of the circle, in pixels; 4 where None.
        anchors: On the circle; 8 where None.
        mean: Subtracted from images, with values from 0 to 1, one number a channel or one for all.
        std: By what they are divided then.
    """

    start: File | None = None
    end: File | None = None
    around: File | None = None
    radius: float | None = None
    anchors: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    @property
    def files(self) -> list[File]:
        """The files that are given."""
        return [file for file in (self.start, self.end, self.around) if file is not None]


def path_of(way: Way, model: Opened) -> Polyline:
    """The path in the input space of a model; images are resized to its input, and normalised.

    Raises:
        InvalidInput: It is not clear where to walk, or a file is not there or does not fit.
    """
    normalisation = normalisation_of(way, model)
    if way.around is not None:
        if way.start is not None or way.end is not None:
            raise InvalidInput("path: give either --from and --to, or --around.")
        image = _read(way.around, model.shape)
        circle = _RADIUS if way.radius is None else way.radius, _ANCHORS if way.anchors is None else way.anchors
        return translation_circle(image, *circle, None if is_array(way.around) else normalisation)
    if way.start is None or way.end is None:
        raise InvalidInput("path: say where to walk: --from FILE --to FILE, or --around IMAGE.")
    if way.radius is not None or way.anchors is not None:
        raise InvalidInput("radius, anchors: they are those of the circle of --around; leave them out of a line.")
    return line(*(input_of(file, model.shape, normalisation) for file in (way.start, way.end)))


def normalisation_of(given: Inputs, model: Opened) -> ChannelScaling | None:
    """Mean and standard deviation that images are normalised by: given, or those of torchvision's published weights.

    Raises:
        InvalidInput: One is given without the other, or there are not as many as channels.
    """
    if (given.mean, given.std) != (None, None) and given.files and all(map(is_array, given.files)):
        raise InvalidInput("mean, std: arrays are taken as they are, only images are normalised; leave them out.")
    if given.mean is None and given.std is None:
        return model.loaded.normalisation
    if given.mean is None or given.std is None:
        raise InvalidInput("mean, std: give both, such as --mean 0.5,0.5,0.5 --std 0.25,0.25,0.25.")
    if not {len(given.mean), len(given.std)} <= {1, model.shape[0]} or min(given.std) <= 0:
        raise InvalidInput(
            f"mean, std: expected 1 or {model.shape[0]} numbers each, the latter positive, got {given.mean} and "
            f"{given.std}."
        )
    return given.mean, given.std


def about_normalisation(given: Inputs, model: Opened) -> str:
    """How images were normalised, for a reader; nothing where all inputs are arrays."""
    if all(map(is_array, given.files)):
        return ""
    found = normalisation_of(given, model)
    if found is None:
        return "Images have values from 0 to 1, and were not normalised (--mean and --std do it)."
    mean, std = (", ".join(f"{number:g}" for number in part) for part in found)
    return f"Images are normalised: values from 0 to 1, less mean {mean}, over standard deviation {std}."


def parse_numbers(text: str) -> tuple[float, ...]:
    """``0.485,0.456,0.406``.

    Raises:
        InvalidInput: It is something else.
    """
    try:
        numbers = tuple(float(part) for part in text.split(","))
        return numbers if all(map(math.isfinite, numbers)) else refuse("it is no finite number")
    except ValueError as error:
        raise InvalidInput(
            f"mean, std: expected finite numbers with commas between them, such as 0.5,0.5,0.5, got {text!r}."
        ) from error


def is_array(file: File) -> bool:
    """Whether a file holds an input as it is, and no image."""
    return Path(file).suffix.lower() in (".npy", ".npz")


def input_of(file: File, shape: Sequence[int], normalisation: ChannelScaling | None) -> Tensor:
    """The input in a file: an array as it is, an image resized to the shape and normalised.

    Raises:
        InvalidInput: There is no such file, or it does not fit.
    """
    found = _read(file, shape)
    return found if is_array(file) else normalised(found.unsqueeze(0), normalisation)[0]


def _read(file: File, shape: Sequence[int]) -> Tensor:
    return _array(file, shape) if is_array(file) else _image(file, shape)


def _array(file: File, shape: Sequence[int]) -> Tensor:
    try:
        return torch.from_numpy(read_array(file, shape).astype("float64"))
    except Untrusted as error:
        raise InvalidInput(f"path: cannot take the array {os.fspath(file)}: {error}.") from error


def _image(file: File, shape: Sequence[int]) -> Tensor:
    """An image with values from 0 to 1, of the height and width wanted, in colour or grey."""
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise InvalidInput(
            f"path: the model takes inputs of shape {tuple(shape)}, which are no images; give arrays as .npy files."
        )
    try:
        colours = decoded([os.fspath(file)], None).double() / 255
    except StudyError as error:
        raise InvalidInput(f"path: {error}.") from error
    if shape[0] == 1:
        colours = (colours * torch.tensor(_GREY, dtype=colours.dtype).reshape(3, 1, 1)).sum(1, keepdim=True)
    if colours.shape[-2:] == tuple(shape[1:]):
        return colours[0]
    resized = functional.interpolate(colours, size=tuple(shape[1:]), mode="bilinear", antialias=True)
    return resized[0].clamp(0, 1)
