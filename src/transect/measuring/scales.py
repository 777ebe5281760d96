"""How large the outputs of a model are: a data set, or standard deviations, by which deviations are normalised."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from transect.errors import InvalidInput
from transect.measuring.models import Model
from transect.networks.network import Network
from transect.support.precision import full_precision
from transect.support.types import TensorLike

_ROWS = 256  # inputs evaluated together
_ROUNDING = 1e-12  # of an output's mean: a spread below it is none
_EXPECTED = "std: expected a positive number, or one for each output that is measured"


@dataclass(frozen=True)
class Scale:
    """What deviations are normalised by.

    Attributes:
        data: Inputs of a data set, ``(N, *input_shape)``.
        std: Standard deviations, one for each output or one for all; where there are no data.
    """

    data: Tensor | None = None
    std: tuple[float, ...] | None = None

    def settings(self) -> dict[str, Any]:
        """What decides the normalised columns, as plain values."""
        known = None if self.std is None else list(self.std)
        return {"std": known, "data": None if self.data is None else _digest(self.data)}

    def of(self, model: Model, like: Tensor, outputs: Sequence[int] | None) -> Tensor | None:
        """Standard deviation of each output that is measured, ``(C,)`` or ``(1,)`` float64; None where none is known.

        Raises:
            InvalidInput: An output does not vary, or the data are not inputs of the model.
        """
        if self.data is None:
            return None if self.std is None else torch.tensor(self.std, dtype=torch.float64)
        if self.data.shape[1:] != like.shape[1:]:
            raise InvalidInput(
                f"data: expected inputs of shape (N, {', '.join(map(str, like.shape[1:]))}), as the anchors of the "
                f"paths have, got {tuple(self.data.shape)}."
            )
        found = _spread(model, self.data)
        found = found if outputs is None else found[list(outputs)]
        flat = [index for index, value in enumerate(found.tolist()) if not 0 < value < float("inf")]
        if flat:
            raise InvalidInput(
                f"data: outputs {flat[:5]} of those measured do not vary over the data set, or are not finite: there "
                "is nothing to normalise by; leave them out with outputs=[...]."
            )
        return found


def as_scale(data: TensorLike | None, std: float | Sequence[float] | None) -> Scale:
    """What a user gives as ``data`` and ``std``, checked.

    Raises:
        InvalidInput: They are not usable, or both are given.
    """
    if data is not None and std is not None:
        raise InvalidInput("std: expected either std or data, from which it is computed, got both.")
    if data is not None:
        return Scale(data=_as_inputs(data))
    if std is None:
        return Scale()
    try:
        numbers = torch.as_tensor(std, dtype=torch.float64).reshape(-1)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidInput(f"{_EXPECTED}, got {std!r}.") from error
    if not len(numbers) or not bool(((numbers > 0) & numbers.isfinite()).all()):
        raise InvalidInput(f"{_EXPECTED}, got {std!r}.")
    return Scale(std=tuple(numbers.tolist()))


def _as_inputs(data: Any) -> Tensor:
    try:
        inputs = torch.as_tensor(data)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidInput(
            "data: expected the inputs of a data set in one tensor or array of shape (N, *input_shape), such as "
            f"torch.stack([x for x, _ in dataset]), got {type(data).__name__}."
        ) from error
    if inputs.dim() < 1 or len(inputs) < 2 or not inputs.is_floating_point():
        raise InvalidInput(
            f"data: expected at least two inputs of floating-point numbers, of shape (N, *input_shape), got "
            f"{inputs.dtype} of shape {tuple(inputs.shape)}."
        )
    return inputs.detach()


@full_precision()
def _spread(model: Model, data: Tensor) -> Tensor:
    """Standard deviation of every output over a data set, ``(C,)`` float64, batch by batch (Chan et al. 1979)."""
    count, mean, squares = 0, torch.zeros(()), torch.zeros(())
    with torch.no_grad():
        for part in data.split(_ROWS):
            made = _outputs(model, part)
            ours, rows = made.mean(0), len(made)
            apart = ours - mean
            squares = squares + (made - ours).square().sum(0) + apart.square() * (count * rows / (count + rows))
            mean = mean + apart * (rows / (count + rows))
            count += rows
    spread = (squares / count).sqrt()
    return torch.where(spread > _ROUNDING * mean.abs(), spread, 0.0)


def _outputs(model: Model, inputs: Tensor) -> Tensor:
    if isinstance(model, Network):
        return model(inputs).cpu().double()
    tensors = (*model.parameters(), *model.buffers())
    like = next((part for part in tensors if part.is_floating_point()), inputs)
    made: Tensor = model(inputs.to(like))
    return made.reshape(len(inputs), -1).cpu().double()


def _digest(data: Tensor) -> str:
    numbers = np.ascontiguousarray(data.cpu().reshape(-1).contiguous().view(torch.uint8).numpy())
    return f"{tuple(data.shape)} {hashlib.sha256(numbers.data).hexdigest()[:16]}"
