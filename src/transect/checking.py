"""``transect check``: whether a model can be traced exactly, operation by operation, for a person or a program."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from rich.console import Console
from rich.text import Text
from torch import nn

from transect.errors import InvalidInput, UnsupportedModel
from transect.loading import Loaded, load_model
from transect.network import capture
from transect.report import Report, report_refusal

Dtype = Literal["float64", "float32"]
_DTYPES = {"float64": torch.float64, "float32": torch.float32}


@dataclass(frozen=True)
class Question:
    """What is to be checked.

    Attributes:
        model: Name of the model, as :func:`transect.loading.load_model` takes it.
        weights: File of its weights.
        arguments: For the callable that makes it.
        shape: Shape of one input; None for the one that comes with the model.
        output: Which output, where there are several: an index, a key, or a submodule.
        dtype: Working dtype.
    """

    model: str
    weights: str | os.PathLike[str] | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    shape: tuple[int, ...] | None = None
    output: str | None = None
    dtype: Dtype = "float64"


def check_model(question: Question) -> Report:
    """Load a model, capture it, and report on it whether it is refused or not.

    Raises:
        TransectError: There is no such model, it cannot be used with the input, or it is refused as a whole.
    """
    loaded = load_model(question.model, question.weights, question.arguments)
    shape, dtype = _input_shape(question, loaded), _DTYPES[question.dtype]
    name = question.model if question.output is None else f"{question.model}[{question.output}]"
    example = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    try:
        report = capture(loaded.module, example, dtype, output=_output(question.output, loaded.module)).report()
    except UnsupportedModel as refused:
        if not refused.problems:
            raise
        return report_refusal(name, refused, shape, dtype)
    return replace(report, name=name)


def show_report(report: Report, console: Console, operations: bool = False) -> None:
    """Print a report for a person.

    Args:
        report: What to print.
        console: Where to; lines are never cut.
        operations: Whether to list the bending operations by name.
    """
    text = Text(report.text(operations))
    text.highlight_regex(r"Can be traced exactly", "bold green")
    text.highlight_regex(r"REFUSED|refused:", "bold red")
    text.highlight_regex(r"^[^\n]+?(?=: )", "bold")
    console.print(text, soft_wrap=True)
    console.print()
    console.print(Text(_next_step(report, operations), style="dim"), soft_wrap=True)


def show_json(report: Report, console: Console) -> None:
    """Print a report for a program."""
    console.print(Text(json.dumps(report.to_dict(), indent=2)), soft_wrap=True)


def parse_shape(text: str) -> tuple[int, ...]:
    """``3,224,224`` or ``3x224x224``.

    Raises:
        InvalidInput: It is something else.
    """
    sizes = text.replace("x", ",").split(",")
    if not all(size.strip().isdecimal() and int(size) > 0 for size in sizes):
        raise InvalidInput(
            f"shape: expected the sizes of one input without the batch, such as 3,224,224, got {text!r}."
        )
    return tuple(map(int, sizes))


def parse_arguments(text: str) -> dict[str, Any]:
    """Arguments by name, from a JSON object.

    Raises:
        InvalidInput: It is none.
    """
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        found = error
    if not isinstance(found, dict):
        raise InvalidInput(f"""arguments: expected a JSON object, such as '{{"width": 64}}', got {text!r}.""")
    return found


def _input_shape(question: Question, loaded: Loaded) -> tuple[int, ...]:
    shape = question.shape or loaded.input_shape
    if shape is None:
        raise InvalidInput(
            f"shape: give the shape of one input of {question.model}, without the batch, such as --shape 3,32,32."
        )
    return shape


def _output(output: str | None, model: nn.Module) -> int | str | None:
    """An index where it is a number, unless a submodule has it as its name."""
    is_index = output is not None and output.isdecimal() and output not in dict(model.named_modules())
    return int(output) if output is not None and is_index else output


def _next_step(report: Report, operations: bool) -> str:
    if not report.traceable:
        return "Replace what is refused, or trace a part of the model: --output NAME of a submodule before it."
    more = "" if operations or not report.operations else "--operations lists the bending operations by name. "
    return f"{more}Next: transect.trace(model, path) finds every linear region along a path."
