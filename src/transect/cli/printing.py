"""What commands print in one way: numbers in tables, notes, JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

LONG = 10.0  # seconds of work from which a forecast is worth a line


def cell(value: Any) -> str:
    """A number for a person: counts in full, others with four digits."""
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def columns_of(*headings: str, text: int = 0) -> Table:
    """A table of numbers, whose first ``text`` columns are text."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="left" if index < text else "right", no_wrap=True)
    return table


def print_notes(notes: Iterable[str], console: Console) -> None:
    """What a reader must know, beneath a table."""
    for note in notes:
        console.print(Text(note, style="dim"), soft_wrap=True)


def print_json(said: Any, console: Console) -> None:
    """Plain values for a program."""
    console.print(Text(json.dumps(said, indent=2)), soft_wrap=True)
