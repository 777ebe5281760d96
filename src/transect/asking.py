"""What a command is asked about: a model by its name, the shape of its input, which output, in which dtype."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from transect.errors import InvalidInput
from transect.loading import Loaded, load_model
from transect.network import Network, capture
from transect.untrusted import Untrusted, parse_json

Dtype = Literal["float64", "float32"]
_DIGITS, _MOST_NUMBERS = 12, 2**26
_DTYPES = {"float64": torch.float64, "float32": torch.float32}


@dataclass(frozen=True)
class Question:
    """A model as it is named on the command line.

    Attributes:
        model: Name of the model, as :func:`transect.loading.load_model` takes it.
        weights: File of its weights.
        arguments: For the callable that makes it.
        shape: Shape of one input; None for the one that comes with the model.
        output: Which output, where there are several: an index, a key, or a submodule.
        dtype: Working dtype; None for float64, in which a trace is exact, and for estimates the model's own.
    """

    model: str
    weights: str | os.PathLike[str] | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
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
