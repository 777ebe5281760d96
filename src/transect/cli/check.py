"""``transect check``: whether a model can be traced exactly, operation by operation, for a person or a program."""

from __future__ import annotations

import json
from dataclasses import replace

from rich.console import Console
from rich.text import Text

from transect.cli.inputs import Question, opened
from transect.errors import UnsupportedModel
from transect.networks.report import Report, report_refusal


def check_model(question: Question) -> Report:
    """Load a model, capture it, and report on it whether it is refused or not.

    Raises:
        TransectError: There is no such model, it cannot be used with the input, or it is refused as a whole.
    """
    asked = opened(question)
    try:
        report = asked.captured().report()
    except UnsupportedModel as refused:
        if not refused.problems:
            raise
        return report_refusal(question.name, refused, asked.shape, asked.dtype)
    return replace(report, name=question.name)


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


def _next_step(report: Report, operations: bool) -> str:
    if not report.traceable:
        return (
            "Replace what is refused, or trace a part of the model: --output NAME of a submodule before it. "
            "transect.estimate(model, path) samples the model as it is."
        )
    more = "" if operations or not report.operations else "--operations lists the bending operations by name. "
    return f"{more}Next: transect.trace(model, path) finds every linear region along a path."
