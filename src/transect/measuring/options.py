"""How paths are measured: the arguments of ``measure`` that decide the numbers, checked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from transect.errors import InvalidInput, check_one_of
from transect.network import WORKING_DTYPES

METHODS = ("exact", "estimate")


@dataclass(frozen=True)
class Options:
    """What a row depends on beside model and path.

    Attributes:
        method: ``"exact"`` or ``"estimate"``.
        outputs: Indices of the outputs measured; None for all.
        dtype: Working dtype; None for the default of the method.
        device: Where modules are captured to; None for their own.
        budget: Most numbers that are kept alive; None for the default of the method.
        rtol: Relative tolerance of an estimate.
        atol: Absolute tolerance of an estimate.
        max_samples: Samples of a segment, at most; None for the default.
        verify: Whether traces are compared with the model.
    """

    method: str = "exact"
    outputs: tuple[int, ...] | None = None
    dtype: torch.dtype | None = None
    device: str | None = None
    budget: int | None = None
    rtol: float = 1e-2
    atol: float = 0.0
    max_samples: int | None = None
    verify: bool = True

    def __post_init__(self) -> None:
        check_one_of("method", self.method, METHODS)
        check_one_of("dtype", self.dtype, (None, *WORKING_DTYPES))
        _check_device(self.device)
        for name, least in (("budget", 1), ("max_samples", 18)):
            value = getattr(self, name)
            if value is not None and not is_whole(value, least):
                raise InvalidInput(f"{name}: expected a whole number of at least {least}, got {value!r}.")
        for name in ("rtol", "atol"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0 <= value < math.inf:
                raise InvalidInput(f"{name}: expected a number of at least 0 such as 1e-2, got {value!r}.")

    def settings(self) -> dict[str, Any]:
        """What decides the rows, as plain values."""
        common = {
            "method": self.method,
            "outputs": None if self.outputs is None else list(self.outputs),
            "dtype": None if self.dtype is None else str(self.dtype),
            "device": self.device,
            "budget": self.budget,
        }
        sampled = {"rtol": self.rtol, "atol": self.atol, "max_samples": self.max_samples}
        return common | (sampled if self.method == "estimate" else {})


def checked_outputs(outputs: Sequence[int] | None) -> tuple[int, ...] | None:
    """Indices of outputs as plain numbers; whether a model has them is for the method to say.

    Raises:
        InvalidInput: They are not whole numbers.
    """
    if outputs is None:
        return None
    try:
        return tuple(int(output.__index__()) for output in outputs)
    except (TypeError, AttributeError) as error:
        raise InvalidInput(f"outputs: expected a sequence of whole numbers such as [0, 3], got {outputs!r}.") from error


def is_whole(value: Any, least: int) -> bool:
    """Whether a value is a whole number of at least ``least``."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _check_device(device: str | None) -> None:
    if device is None:
        return
    try:
        torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise InvalidInput(f'device: expected a device of torch such as "cpu" or "cuda", got {device!r}.') from error
