"""``capture``: a user's module becomes a :class:`Network` that the engine can trace."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from transect.errors import InvalidInput, UnsupportedModel, VerificationError
from transect.graph import Graph, canonical_graph, check_evaluation_mode, export_model
from transect.graph.canonical import refuse_mutated_output
from transect.regions.program import Program, compile_program
from transect.rules import fold_batch_norms, prove_coverage, rewrite

WORKING_DTYPES = (torch.float64, torch.float32)

# Largest difference, relative to the largest output, between the captured graph and the user's module in its own dtype.
_AGREEMENT = {torch.float64: 1e-10, torch.float32: 2e-3, torch.bfloat16: 0.3, torch.float16: 0.1}


@dataclass(frozen=True, eq=False)
class Network:
    """A captured network: every operation has a rule, and rows never mix.

    Attributes:
        graph: The exported operations, with their constants in the working dtype.
        program: The same, compiled for the engine.
        input_shape: Shape of one input, without a batch dimension.
        outputs: Number of outputs of one input (all dimensions but the batch, flattened).
        name: Class of the user's module.
    """

    graph: Graph
    program: Program
    input_shape: tuple[int, ...]
    outputs: int
    name: str

    @property
    def operations(self) -> tuple[str, ...]:
        """Names of the bending operations, in order of execution: ``layer1.0.relu``, ``relu@1`` for a second call."""
        return self.program.bends

    @property
    def units(self) -> tuple[int, ...]:
        """Number of units of each bending operation."""
        return self.program.units

    @property
    def dtype(self) -> torch.dtype:
        """Working dtype of every value; positions on a path are float64 always."""
        return self.graph.dtype

    @property
    def device(self) -> torch.device:
        """Device the engine works on."""
        return self.graph.device

    def __call__(self, x: Any) -> Tensor:
        """Outputs of one input or a batch of inputs in the working dtype, ``(N, outputs)``.

        Raises:
            InvalidInput: The shape is not that of an input or a batch of inputs.
        """
        batch = as_batch(x, self.input_shape, "x").to(device=self.device, dtype=self.dtype)
        with torch.no_grad():
            return self.graph.evaluate(batch).reshape(len(batch), -1)

    def __repr__(self) -> str:
        return (
            f"Network({self.name}: {'x'.join(map(str, self.input_shape))} -> {self.outputs}, "
            f"{len(self.operations)} bending operations with {sum(self.units):,} units, {self.dtype})"
        )


def capture(
    model: nn.Module, example: Any, dtype: torch.dtype = torch.float64, device: torch.device | str | None = None
) -> Network:
    """Capture a module through ``torch.export`` and prove that it can be traced exactly.

    The module is left exactly as it was; the network holds a copy of its weights in the working dtype.

    Args:
        model: Any ``nn.Module`` that maps a batch of inputs to one tensor.
        example: One input, or a batch of inputs (recognised by trying), as anything ``torch.as_tensor`` takes.
        dtype: Working dtype: float64 (exact to rounding, the default) or float32 (a fast mode).
        device: Where the engine works; the module's own device by default.

    Raises:
        InvalidInput: An argument is not usable, or the model is in training mode with batch norm or dropout.
        UnsupportedModel: Lists *every* operation that cannot be traced exactly.
        VerificationError: The captured graph and the module disagree.

    Example:
        >>> import torch, transect
        >>> model = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
        >>> transect.capture(model, torch.zeros(2))
        Network(Sequential: 2 -> 3, 1 bending operations with 8 units, torch.float64)
    """
    if not isinstance(model, nn.Module):
        raise InvalidInput(f"model: expected a torch.nn.Module, got {type(model).__name__}.")
    model = _unwrapped(model)
    if dtype not in WORKING_DTYPES:
        raise InvalidInput(f"dtype: expected torch.float64 (exact) or torch.float32 (fast), got {dtype}.")
    check_evaluation_mode(model)
    own_dtype, own_device = _own(model)
    working_device = own_device if device is None else _as_device(device)
    with _buffers_kept(model):
        batch = _example_batch(model, example, own_dtype, own_device)
        exported = export_model(model, batch[:1])
    refuse_mutated_output(exported)
    graph = canonical_graph(exported, dtype, working_device)
    rewritten = rewrite(graph)
    prove_coverage(rewritten)
    folded = fold_batch_norms(rewritten)
    program = compile_program(folded, prove_coverage(folded))
    network = Network(graph, program, tuple(batch.shape[1:]), math.prod(graph.output.unit_shape), type(model).__name__)
    with _buffers_kept(model):
        _check_agreement(model, network, batch, _coarsest_dtype(exported, own_dtype))
    return network


def _unwrapped(model: nn.Module) -> nn.Module:
    """The module itself where it was compiled, or spread over devices."""
    model = getattr(model, "_orig_mod", model)
    return model.module if isinstance(model, nn.DataParallel) else model


@contextmanager
def _buffers_kept(model: nn.Module) -> Iterator[None]:
    """Some models change their buffers at every call: they get them back as they were."""
    kept: list[tuple[nn.Module, str, Tensor, Tensor]] = []
    for module in model.modules():
        for name, buffer in module._buffers.items():
            if buffer is not None:
                kept.append((module, name, buffer, buffer.detach().clone()))
    try:
        yield
    finally:
        with torch.no_grad():
            for module, name, buffer, numbers in kept:
                module._buffers[name] = buffer
                if buffer.shape != numbers.shape or not torch.equal(buffer, numbers):
                    buffer.resize_(numbers.shape).copy_(numbers)


def _coarsest_dtype(exported: torch.export.ExportedProgram, own: torch.dtype) -> torch.dtype:
    """The floating dtype with the largest rounding that the model computes in: ``x.float()`` makes islands."""
    made = [node.meta.get("val") for node in exported.graph.nodes]
    found = {value.dtype for value in made if isinstance(value, Tensor) and value.is_floating_point()}
    return max(found | {own}, key=lambda dtype: torch.finfo(dtype).eps)


def as_batch(x: Any, input_shape: tuple[int, ...], argument: str) -> Tensor:
    """``x`` as a floating tensor with a batch dimension.

    Raises:
        InvalidInput: It is neither one input nor a batch of inputs of that shape, or not made of real numbers.
    """
    tensor = as_float_tensor(x, argument)
    if tuple(tensor.shape) == input_shape:
        return tensor.unsqueeze(0)
    if tuple(tensor.shape[1:]) == input_shape:
        return tensor
    raise InvalidInput(
        f"{argument}: expected one input of shape {input_shape}, or a batch of them, got {tuple(tensor.shape)}."
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


def _as_device(device: torch.device | str) -> torch.device:
    try:
        return torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise InvalidInput(f'device: expected a device of torch such as "cpu" or "cuda", got {device!r}.') from error


def _own(model: nn.Module) -> tuple[torch.dtype, torch.device]:
    """Floating dtype and device of the module's parameters and buffers."""
    tensors = [*model.parameters(), *model.buffers()]
    floating = next((t for t in tensors if t.is_floating_point()), None)
    device = tensors[0].device if tensors else torch.device("cpu")
    return (floating.dtype if floating is not None else torch.get_default_dtype()), device


def _example_batch(model: nn.Module, example: Any, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The example as a batch: as it is if the module takes it so, else with a batch dimension in front."""
    tensor = as_float_tensor(example, "example")
    if tensor.numel() == 0:
        raise InvalidInput(f"example: expected at least one input, got an empty tensor of shape {tuple(tensor.shape)}.")
    if not bool(torch.isfinite(tensor).all()):
        raise InvalidInput("example: it contains NaN or infinite values; expected an ordinary input.")
    tensor = tensor.to(device=device, dtype=dtype)
    candidates = [tensor, tensor.unsqueeze(0)] if tensor.dim() > 1 else [tensor.unsqueeze(0)]
    tried = [_try_batches(model, batch, {2, 3, len(batch)} - {1}) for batch in candidates]
    for batch, outcomes in zip(candidates, tried, strict=True):
        if not any(outcomes.values()):
            return batch
    _refuse_fixed_batch(candidates, [_try_batches(model, batch, {1}) | outcomes
                                     for batch, outcomes in zip(candidates, tried, strict=True)])  # fmt: skip
    shapes = "\n".join(
        f"  with shape {(rows, *batch.shape[1:])}: {outcome}"
        for batch, outcomes in zip(candidates, tried, strict=True)
        for rows, outcome in outcomes.items()
    )
    raise InvalidInput(
        "example: the model does not map a batch of it to one tensor with a row for each input (the example has shape "
        f"{tuple(tensor.shape)}); give one input, or a batch of inputs in dimension 0.\n{shapes}"
    )


def _try_batches(model: nn.Module, batch: Tensor, sizes: set[int]) -> dict[int, str]:
    """For some numbers of inputs: what went wrong, or an empty string for nothing."""
    found = {}
    for rows in sorted(sizes):
        repeated = batch[torch.arange(rows, device=batch.device) % len(batch)].clone()
        try:
            with torch.no_grad():
                found[rows] = _rows_lost(model(repeated), rows)
        except Exception as error:  # whatever a user's forward raises on a shape it does not take
            found[rows] = (str(error).strip() or type(error).__name__).splitlines()[0]
    return found


def _rows_lost(made: Any, rows: int) -> str:
    if not isinstance(made, Tensor):
        return f"the model returns {type(made).__name__}, expected one tensor"
    if made.dim() > 0 and made.numel() == 0:
        return f"the model has no outputs (shape {tuple(made.shape)})"
    return "" if made.dim() > 0 and len(made) == rows else f"the output has shape {tuple(made.shape)}"


def _refuse_fixed_batch(candidates: list[Tensor], tried: list[dict[int, str]]) -> None:
    for batch, outcomes in zip(candidates, tried, strict=True):
        works = [rows for rows, outcome in outcomes.items() if not outcome]
        if works:
            rows, outcome = next((rows, outcome) for rows, outcome in outcomes.items() if outcome)
            raise UnsupportedModel(
                f"The model fixes its batch size: it takes {works[0]} input(s) of shape {tuple(batch.shape[1:])} at a "
                f"time, but not {rows} ({outcome}). Write x.size(0) or -1 where a number of samples stands in a view, "
                "reshape or constant."
            )


def _check_agreement(model: nn.Module, network: Network, batch: Tensor, coarsest: torch.dtype) -> None:
    unusable = [name for name, value in model.state_dict().items() if not bool(torch.isfinite(value).all())]
    if unusable:
        raise InvalidInput(f"model: expected finite weights, but these contain NaN or infinity: {', '.join(unusable)}.")
    points = batch[: min(len(batch), 4)]
    with torch.no_grad():
        own = model(points.clone()).reshape(len(points), -1)
    if not bool(own.isfinite().all()):
        raise InvalidInput(f"model: its outputs at the example overflow {own.dtype}; look for very large weights.")
    captured = network(points).to(own.device)
    scale = float(own.abs().max().double().clamp_min(1e-300))
    worst = float((own.double() - captured.double()).abs().max()) / scale
    allowed = max(_AGREEMENT.get(coarsest, 2e-3), _AGREEMENT[network.dtype])
    if not worst <= allowed:
        raise VerificationError(
            f"capture: the captured graph and the model differ by {worst:.1e} of the largest output at the example "
            f"(at most {allowed:.0e} is expected of {coarsest}). Is the model random, or does it change from call to "
            "call? Otherwise please report it with the model."
        )
