"""Straight paths between two inputs."""

from __future__ import annotations

from typing import Any

import torch

from transect.errors import InvalidInput
from transect.paths.path import Path


def line(start: Any, end: Any) -> Path:
    """The segment from one input to another.

    Args:
        start: One input, ``(*input_shape)``.
        end: Another of the same shape; of two dtypes the more precise is kept.

    Raises:
        InvalidInput: The shapes differ, the inputs are equal, or not finite floating-point numbers.
    """
    start, end = torch.as_tensor(start), torch.as_tensor(end)
    if start.shape != end.shape:
        raise InvalidInput(f"line: expected two inputs of one shape, got {tuple(start.shape)} and {tuple(end.shape)}.")
    dtype = torch.promote_types(start.dtype, end.dtype)
    return Path(torch.stack([start.to(dtype), end.to(dtype)]))


def lines(starts: Any, ends: Any) -> list[Path]:
    """The segments from each input of one batch to the same one of another, ``(N, *input_shape)`` each.

    Raises:
        InvalidInput: As for :func:`line`, or batches of different size.
    """
    starts, ends = torch.as_tensor(starts), torch.as_tensor(ends)
    if len(starts) != len(ends):
        raise InvalidInput(f"lines: expected two batches of one size, got {len(starts)} and {len(ends)} inputs.")
    return [line(start, end) for start, end in zip(starts, ends, strict=True)]
