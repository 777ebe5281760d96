"""Types of what users give."""

from __future__ import annotations

from typing import TypeAlias

from numpy.typing import ArrayLike
from torch import Tensor

TensorLike: TypeAlias = Tensor | ArrayLike
"""What ``torch.as_tensor`` takes: a tensor, an array, nested sequences of numbers, a number."""

Cell: TypeAlias = str | int | float | bool | None
"""A value of a table."""
