"""Indices that a user gives, checked."""

from __future__ import annotations

import operator
from collections.abc import Sequence

import torch
from torch import Tensor

from transect.errors import InvalidInput


def whole_numbers(given: Sequence[int], below: int, argument: str) -> Tensor:
    """Indices a user gives, from the end where negative.

    Raises:
        InvalidInput: One of them does not exist, or they are not whole numbers.
    """
    try:
        indices = [operator.index(index) for index in given]
    except TypeError as error:
        raise InvalidInput(
            f"{argument}: expected a sequence of whole numbers such as [0, 3], got {given!r}."
        ) from error
    if not all(-below <= index < below for index in indices):
        raise InvalidInput(f"{argument}: expected indices below {below}, got {indices}.")
    return torch.tensor([index % below for index in indices], dtype=torch.int64)
