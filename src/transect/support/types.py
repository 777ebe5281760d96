"""Types of what users give."""

from __future__ import annotations

from typing import TypeAlias

from numpy.typing import ArrayLike
from torch import Tensor

TensorLike: TypeAlias = Tensor | ArrayLike
"""What ``torch.as_tensor`` takes: a tensor, an array, nested sequences of numbers, a number."""

Cell: TypeAlias = str | int | float | bool | None
"""A value of a table."""

Row: TypeAlias = dict[str, Cell]
"""A row of a table, by the names of its columns."""


def number(cell: Cell) -> float:
    """A value that is known to be a number, as it is.

    >>> number(3)
    3
    """
    assert isinstance(cell, int | float), f"expected a number in a table, got {cell!r}"
    return cell
