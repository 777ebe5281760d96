"""Does a model map a batch like the user's example to one tensor with a row for each input? It is tried."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from transect.errors import InvalidInput, UnsupportedModel
from transect.graph.calling import Called


def accepted_batch(called: Called, example: Any, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The example as a batch that the model takes: as it is, or with a batch dimension in front.

    Fixed tensors without a row for each input are given one where the model takes nothing else (``called.rows``).

    Raises:
        InvalidInput: The example is not made of ordinary numbers, or the model takes no batch of it.
        UnsupportedModel: The model takes only so many inputs at a time.
    """
    tensor = as_float_tensor(example, "example")
    if tensor.numel() == 0:
        raise InvalidInput(f"example: expected at least one input, got an empty tensor of shape {tuple(tensor.shape)}.")
    if not bool(torch.isfinite(tensor).all()):
        raise InvalidInput("example: it contains NaN or infinite values; expected an ordinary input.")
    tensor = tensor.to(device=device, dtype=dtype)
    candidates = [tensor, tensor.unsqueeze(0)] if tensor.dim() > 1 else [tensor.unsqueeze(0)]
    tried = []
    for rows in called.ways():
        called.rows = rows
        for batch in candidates:
            outcomes = _try_batches(called, batch, {2, 3, len(batch)} - {1})
            if not any(outcomes.values()):
                return batch
            tried.append((batch, outcomes))
    called.rows = called.ways()[0]
    first = [(batch, _try_batches(called, batch, {1}) | outcomes) for batch, outcomes in tried[: len(candidates)]]
    _refuse_fixed_batch(first)
    raise InvalidInput(_not_taken(called, tensor, first))


def _not_taken(called: Called, example: Tensor, tried: list[tuple[Tensor, dict[int, str]]]) -> str:
    shapes = "\n".join(
        f"  with shape {(rows, *batch.shape[1:])}: {outcome}"
        for batch, outcomes in tried
        for rows, outcome in outcomes.items()
    )
    missing = called.missing()
    needed = ", ".join(f"{name!r}: ..." for name in missing)
    remedy = f" Its forward pass also takes {', '.join(missing)}: give capture(..., fixed={{{needed}}})." * bool(
        missing
    )
    return (
        "example: the model does not map a batch of it to one tensor with a row for each input (the example has shape "
        f"{tuple(example.shape)}); give one input, or a batch of inputs in dimension 0.{remedy}\n{shapes}"
    )


def _try_batches(called: Called, batch: Tensor, sizes: set[int]) -> dict[int, str]:
    """For some numbers of inputs: what went wrong, or an empty string for nothing."""
    found = {}
    for rows in sorted(sizes):
        repeated = batch[torch.arange(rows, device=batch.device) % len(batch)].clone()
        try:
            with torch.no_grad():
                found[rows] = _rows_lost(called(repeated), rows)
        except InvalidInput:  # of the choice among its outputs
            raise
        except Exception as error:  # whatever a user's forward raises on a shape it does not take
            found[rows] = (str(error).strip() or type(error).__name__).splitlines()[0]
    return found


def _rows_lost(made: Tensor, rows: int) -> str:
    if made.dim() > 0 and made.numel() == 0:
        return f"the model has no outputs (shape {tuple(made.shape)})"
    return "" if made.dim() > 0 and len(made) == rows else f"the output has shape {tuple(made.shape)}"


def _refuse_fixed_batch(tried: list[tuple[Tensor, dict[int, str]]]) -> None:
    for batch, outcomes in tried:
        works = [rows for rows, outcome in outcomes.items() if not outcome]
        if works:
            rows, outcome = next((rows, outcome) for rows, outcome in outcomes.items() if outcome)
            raise UnsupportedModel(
                f"The model fixes its batch size: it takes {works[0]} input(s) of shape {tuple(batch.shape[1:])} at a "
                f"time, but not {rows} ({outcome}). Write x.size(0) or -1 where a number of samples stands in a view, "
                "reshape or constant."
            )


def as_float_tensor(x: Any, argument: str) -> Tensor:
    """``x`` as a floating tensor (integers of Python and NumPy are converted; complex numbers are refused).

    Raises:
        InvalidInput: It cannot be one.
    """
    try:
        tensor = torch.as_tensor(x)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidInput(
            f"{argument}: expected a tensor or array of real numbers, got {type(x).__name__}."
        ) from error
    if tensor.is_complex() or tensor.dtype == torch.bool:
        raise InvalidInput(f"{argument}: expected real numbers, got {tensor.dtype}.")
    tensor = tensor.detach()
    return tensor if tensor.is_floating_point() else tensor.to(torch.get_default_dtype())


def as_batch(x: Any, input_shape: tuple[int, ...], argument: str) -> tuple[Tensor, bool]:
    """``x`` as a floating tensor with a batch dimension, and whether it had one.

    Raises:
        InvalidInput: It is neither one input nor a batch of inputs of that shape, or not made of real numbers.
    """
    tensor = as_float_tensor(x, argument)
    if tuple(tensor.shape) == input_shape:
        return tensor.unsqueeze(0), False
    if tuple(tensor.shape[1:]) == input_shape:
        return tensor, True
    raise InvalidInput(
        f"{argument}: expected one input of shape {input_shape}, or a batch of them, got {tuple(tensor.shape)}."
    )
