"""What can be captured is tried before it is: the module itself, and whether it maps a batch like the user's example to
one tensor with a row for each input."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, jit, nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter
from torch.overrides import TorchFunctionMode

from transect.errors import InvalidInput, UnsupportedModel, refuse_for_memory
from transect.graph.calling import Called, own_name

_AT_RANDOM = (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd, nn.RReLU)
_WITHOUT_VALUES = (UninitializedParameter, UninitializedBuffer)
_QUANTIZED = (
    "torch.ao.nn.quantized.",
    "torch.ao.nn.intrinsic.quantized.",
    "torch.ao.quantization.fake_quantize.",
    "torchao.",
    "bitsandbytes.",
)
_STAND_INS = ("FloatFunctional", "FXFloatFunctional")  # for quantised arithmetic, in models that are not quantised


def check_usable(called: Called) -> None:
    """Refuse a model with parts that cannot be captured in their present state, before it is called.

    Raises:
        InvalidInput: Parts of it have no weights yet, or act on the batch or at random in training mode.
        UnsupportedModel: Parts of it are compiled to another language, or quantised.
    """
    _refuse(
        UnsupportedModel,
        _modules(called, lambda module: isinstance(module, jit.ScriptModule)),
        "is made of TorchScript, whose operations have no modules and lines",
        "Give the module it was scripted or traced from; its weights are in scripted.state_dict().",
    )
    _refuse(
        UnsupportedModel,
        _modules(called, lambda module: isinstance(module, nn.parallel.DistributedDataParallel)),
        "is spread over processes, which torch.export does not follow",
        "Put what it wraps in its place: ddp.module.",
    )
    _refuse(
        UnsupportedModel,
        _modules(called, lambda module: _is_quantized(module) or any(tensor.is_quantized for tensor in _own(module))),
        "is quantised: it rounds activations, and so jumps",
        "Give the model as it was before quantisation, or with the same weights dequantised to floating point.",
    )
    _refuse(
        InvalidInput,
        _modules(called, lambda module: any(isinstance(tensor, _WITHOUT_VALUES) for tensor in _own(module))),
        "is a lazy layer, which has no weights before the model has been called",
        "Call the model once on a batch of inputs, or load its weights, before it is captured.",
    )
    _refuse(
        InvalidInput,
        _modules(called, lambda module: any(tensor.is_meta for tensor in _own(module))),
        "has weights on the meta device, which have a shape and no values",
        'Build the model on a device, or call model.to_empty(device="cpu") and load its weights.',
    )
    _refuse(
        InvalidInput,
        _modules(called, lambda module: isinstance(module, _AT_RANDOM) and module.training),
        "is in training mode, where it acts on the batch or at random; expected evaluation mode",
        "Call model.eval() first.",
    )


def _is_quantized(module: nn.Module) -> bool:
    kind = type(module)
    return f"{kind.__module__}.".startswith(_QUANTIZED) and kind.__name__ not in _STAND_INS


def _modules(called: Called, at_fault: Callable[[nn.Module], bool]) -> list[str]:
    found: list[str] = []
    for name, module in called.named_modules():
        inside = any(not known or name.startswith(f"{known}.") for known in found)
        if at_fault(module) and not inside:
            found.append(name)
    return [f"{own_name(name) or 'the model'} ({type(called.get_submodule(name)).__name__})" for name in found]


def _own(module: nn.Module) -> Iterator[Tensor]:
    yield from module.parameters(recurse=False)
    yield from module.buffers(recurse=False)


def _refuse(kind: type[Exception], names: list[str], fault: str, remedy: str) -> None:
    if names:
        more = f" (and {len(names) - 1} more: {', '.join(names[1:4])}{', ...' if len(names) > 4 else ''})"
        raise kind(f"model: {names[0]} {fault}{more if len(names) > 1 else ''}. {remedy}")


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
    tried: list[_Tried] = []
    ways = itertools.product((False, True) if called.choice.submodule else (False,), called.ways(), candidates)
    for called.choice.may_end, called.rows, batch in ways:
        tried.append(_Tried(called, batch, {2, 3, len(batch)} - {1}))
        if not any(tried[-1].outcomes.values()):
            called.choice.may_end = True  # from now on
            return batch
    called.rows, called.choice.may_end = called.ways()[0], False
    first = [_Tried(called, reading.batch, {1, *reading.outcomes}) for reading in tried[: len(candidates)]]
    _refuse_fixed_batch(first)
    raise InvalidInput(_not_taken(called, tensor, first))


class _Tried:
    """A reading of the example as a batch, tried with some numbers of inputs.

    Attributes:
        batch: The batch.
        outcomes: For each number what went wrong, or an empty string for nothing.
        shapes: For each number the shape of what the model made of it, where it made something.
        progress: Least number of operations that were called before one went wrong.
    """

    def __init__(self, called: Called, batch: Tensor, sizes: set[int]) -> None:
        self.batch, self.outcomes, progress = batch, dict[int, str](), []
        self.shapes: dict[int, tuple[int, ...]] = {}
        for rows in sorted(sizes):
            repeated = batch[torch.arange(rows, device=batch.device) % len(batch)].clone()
            with _Counted() as counted:
                self.outcomes[rows], shape = _outcome(called, repeated)
            if shape is not None:
                self.shapes[rows] = shape
            progress += [counted.operations] if self.outcomes[rows] else []
        self.progress = min(progress, default=0)


class _Counted(TorchFunctionMode):
    """Counts calls of torch's functions."""

    operations = 0

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.operations += 1
        return function(*args, **(kwargs or {}))


def _outcome(called: Called, batch: Tensor) -> tuple[str, tuple[int, ...] | None]:
    """What went wrong, or an empty string for nothing; and the shape of what was made, if something was."""
    try:
        with torch.no_grad():
            made = called(batch)
            return _rows_lost(made, len(batch)), tuple(made.shape)
    except InvalidInput:  # of the choice among its outputs
        raise
    except Exception as error:  # whatever a user's forward raises on a shape it does not take
        refuse_for_memory(error)
        return (str(error).strip() or type(error).__name__).splitlines()[0], None


def _not_taken(called: Called, example: Tensor, tried: list[_Tried]) -> str:
    shapes = "\n".join(
        f"  with shape {(rows, *reading.batch.shape[1:])}: {outcome}"
        for reading in tried
        for rows, outcome in reading.outcomes.items()
    )
    missing = called.missing()
    needed = ", ".join(f"{name!r}: ..." for name in missing)
    remedy = f" Its forward pass also takes {', '.join(missing)}: give capture(..., fixed={{{needed}}})." * bool(
        missing
    )
    imaginary = [own_name(name) for name, weight in called.named_parameters() if weight.is_complex()]
    remedy += f" Its weights {', '.join(imaginary[:3])} are complex numbers, and inputs are real." * bool(imaginary)
    return (
        "example: the model does not map a batch of it to one tensor with a row for each input (the example has shape "
        f"{tuple(example.shape)}); give one input, or a batch of inputs in dimension 0.{remedy}\n{shapes}"
    )


def _rows_lost(made: Tensor, rows: int) -> str:
    if made.dim() > 0 and made.numel() == 0:
        return f"the model has no outputs (shape {tuple(made.shape)})"
    return "" if made.dim() > 0 and len(made) == rows else f"the output has shape {tuple(made.shape)}"


def _refuse_fixed_batch(tried: list[_Tried]) -> None:
    """Refuse a model that takes some numbers of inputs only, by the reading with which it gets furthest."""
    by_progress = sorted(tried, key=lambda reading: -reading.progress)
    for reading in by_progress:
        _refuse_one_shape(reading)
    some = [reading for reading in tried if not all(reading.outcomes.values())]
    furthest = [reading for reading in some if reading.progress == max(reading.progress for reading in some)]
    if furthest:
        outcomes = furthest[0].outcomes
        works = next(rows for rows, outcome in outcomes.items() if not outcome)
        fails, why = next((rows, outcome) for rows, outcome in outcomes.items() if outcome)
        shapes = " or ".join(str(tuple(reading.batch.shape[1:])) for reading in furthest)
        raise UnsupportedModel(
            f"The model fixes its batch size: it takes {works} input(s) of shape {shapes} at a time, but not {fails} "
            f"({why}). Write x.size(0) or -1 where a number of samples stands in a view, reshape or constant."
        )
    for reading in by_progress:
        _refuse_flattened(reading)


def _refuse_one_shape(reading: _Tried) -> None:
    """Refuse a model whose output has one shape whatever the number of samples."""
    inputs, shapes = tuple(reading.batch.shape[1:]), reading.shapes
    if len(shapes) > 1 and len(set(shapes.values())) == 1:
        made = next(iter(shapes.values()))
        raise UnsupportedModel(
            f"The model loses its samples: its output has the shape {made} whatever the number of inputs of shape "
            f"{inputs}. Does it read one sample only, or sum over all? Keep them apart, in dimension 0."
        )


def _refuse_flattened(reading: _Tried) -> None:
    """Refuse a model that takes one sample alone, of which it makes an output without a dimension for samples."""
    inputs, shapes = tuple(reading.batch.shape[1:]), reading.shapes
    if set(shapes) == {1} and reading.outcomes[1] and len(reading.outcomes) > 1:
        raise UnsupportedModel(
            f"The model fixes its batch size: of one input of shape {inputs} it makes an output of shape {shapes[1]}, "
            "without a dimension for the samples, and of more it makes none. Keep dimension 0 for them: "
            "x.flatten(1) in place of x.flatten(), x.view(x.size(0), -1) in place of x.view(-1)."
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
    if tensor.is_meta or tensor.is_quantized or tensor.layout != torch.strided:
        kind = "one on the meta device" if tensor.is_meta else f"{tensor.dtype} ({tensor.layout})"
        raise InvalidInput(f"{argument}: expected a dense tensor of real numbers, got {kind}.")
    if tensor.is_complex() or tensor.dtype == torch.bool:
        raise InvalidInput(f"{argument}: expected real numbers, got {tensor.dtype}.")
    tensor = tensor.detach()
    return tensor if tensor.is_floating_point() else tensor.to(torch.get_default_dtype())


def as_batch(x: Any, input_shape: tuple[int, ...], argument: str) -> tuple[Tensor, bool]:
    """``x`` as a floating tensor with a batch dimension, and whether it had one.

    Raises:
        InvalidInput: It is neither one input nor a batch of inputs of that shape, or not made of real numbers.
    """
    tensor = as_float_tensor(x, argument).contiguous()  # what is exported may hold views of its input
    if tuple(tensor.shape) == input_shape:
        return tensor.unsqueeze(0), False
    if tuple(tensor.shape[1:]) == input_shape:
        return tensor, True
    raise InvalidInput(
        f"{argument}: expected one input of shape {input_shape}, or a batch of them, got {tuple(tensor.shape)}."
    )
