"""From a user's module to an exported program with a dynamic batch, decomposed as far as the rules want it."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import ContextDecorator, contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch._decomp import get_decompositions
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.export import Dim, ExportedProgram
from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv, StatelessSymbolicContext
from torch.utils._python_dispatch import TorchDispatchMode

from transect.errors import UnsupportedModel, refuse_for_memory
from transect.graph.calling import Called, PassFailed
from transect.graph.canonical import raised_at
from transect.graph.constants import KnownConstants
from transect.graph.node import is_random
from transect.graph.state import attributes_kept

# Decomposed, these would lose what the user wrote (a PReLU becomes gt/mul/where) or fold the rows into another
# dimension (a linear layer on (rows, length, channels) becomes a view to (rows * length, channels)).
KEPT_WHOLE = (
    "linear matmul einsum prelu rrelu hardsigmoid hardswish silu mish elu celu selu gelu softplus hardtanh relu6 "
    "leaky_relu threshold softshrink hardshrink logit softmax log_softmax "
    "pad reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d replication_pad2d replication_pad3d "
    "upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_linear1d upsample_bilinear2d "
    "upsample_trilinear3d upsample_bicubic2d pixel_shuffle pixel_unshuffle channel_shuffle "
    "layer_norm native_layer_norm group_norm native_group_norm instance_norm "
    "stack scatter_reduce grid_sampler_2d grid_sampler_3d nan_to_num "
    "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d"
).split()

# Odd batches of at least 3: export specialises a batch of 1, and an even one can hide a fold. The second is tried where
# something in the model happens to be of the size of the first, such as what it keeps of an earlier batch.
BATCHES = (3, 7)
_FEW = 17  # numbers of samples of which each is tried, whether a condition on them names it or not, are below
_UNBOUNDED = 2**30  # conditions on larger numbers are torch's own
_MOST_TRIED, _MOST_NUMBERS = 1024, 2**24  # samples in a batch, and numbers in it


_COMPRESSED = (torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc)


class OneModuleAtATime(ContextDecorator):
    """Captures and calls of users' modules wait for each other: while torch.export runs, it changes all modules."""

    _lock = threading.RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def export_model(called: Called, example: Tensor) -> ExportedProgram:
    """Export a module with a dynamic number of rows and decompose it to core ATen.

    Args:
        called: The user's module, and how it is called; it is left as it is.
        example: One input with a batch dimension, ``(1, *input_shape)``.

    Raises:
        UnsupportedModel: The module cannot be exported, or fixes its batch size.
    """
    with torch.no_grad(), _ordinary_tensors(called), _constants_known(called):
        return _export(called, example)


def _export(called: Called, example: Tensor) -> ExportedProgram:
    for rows in BATCHES:
        batch = example.expand(rows, *example.shape[1:]).clone()
        try:
            return _exported(called, batch)
        except (Exception, PassFailed) as failed:
            error = failed.error if isinstance(failed, PassFailed) else failed
            refuse_for_memory(error)
            if rows == BATCHES[-1] or not _is_specialised(str(error)):
                raise UnsupportedModel(_explain(called, error, batch)) from error
    raise AssertionError("no batch was tried")


def _exported(called: Called, batch: Tensor) -> ExportedProgram:
    called.exporting = True
    try:
        exported = torch.export.export(called, (batch,), dynamic_shapes=({0: Dim.DYNAMIC},), strict=False)
        decomposed: ExportedProgram = exported.run_decompositions(_decompositions())
        return decomposed
    finally:
        called.exporting = False


def _is_specialised(text: str) -> bool:
    return "specialized" in text.lower() or "Constraints violated" in text


def numbers_of_samples(program: ExportedProgram) -> dict[int, str]:
    """Numbers of samples with which a model is to be tried, since it may do something else for them.

    They are one, and for each condition on their number that the exported program relies on, the least that is found
    not to meet it. With each comes the line of the condition, which may be empty.

    Raises:
        UnsupportedModel: A number is too large to be tried.
    """
    found = {1: ""}
    batch = next(node for node in program.graph.nodes if node.name in program.graph_signature.user_inputs).meta["val"]
    for guard in batch.fake_mode.shape_env.guards:
        symbols = guard.expr.free_symbols
        if symbols == batch.shape[0].node.expr.free_symbols and (rows := _not_met(guard.expr, *symbols)) is not None:
            frame: Any = getattr(guard.sloc, "framework_loc", None)
            found[rows] = f" at {frame.filename}:{frame.lineno}: {frame.line}" if hasattr(frame, "lineno") else ""
    if max(found) > _MOST_TRIED or (max(found) * batch[0].numel() > _MOST_NUMBERS and len(found) > 1):
        raise UnsupportedModel(branches_on_samples(max(found), found[max(found)]))
    return found


def _not_met(condition: Any, symbol: Any) -> int | None:
    """A small number that does not meet a condition; None where neither the first ones nor those it names are such."""
    named = {int(number) + step for number in condition.atoms() if number.is_Integer for step in (-1, 0, 1)}
    tried = sorted({*range(1, _FEW), *(number for number in named if 0 < number < _UNBOUNDED)})
    return next((number for number in tried if condition.subs(symbol, number) == False), None)  # noqa: E712


def branches_on_samples(rows: int, line: str) -> str:
    """What is said of a model that does."""
    return (
        f"model: it branches on the number of samples in a batch (something else is done for {rows} of them{line}); "
        "make it treat each sample on its own."
    )


@contextmanager
def _ordinary_tensors(model: nn.Module) -> Iterator[None]:
    """For the time of a block, what torch.export cannot take is lent in a form that it can.

    Parameters made under torch.inference_mode become copies, and compressed sparse buffers are given by their places.
    """
    lent = [
        (kept, name, part)
        for module in model.modules()
        for kept in cast("tuple[dict[str, Any], ...]", (module._parameters, module._buffers))
        for name, part in kept.items()
        if part is not None and (part.is_inference() or part.layout in _COMPRESSED)
    ]
    try:
        for kept, name, part in lent:
            copy = part.to_sparse_coo() if part.layout in _COMPRESSED else part.clone()
            kept[name] = nn.Parameter(copy, False) if isinstance(part, nn.Parameter) else copy
        yield
    finally:
        for kept, name, part in lent:
            kept[name] = part


@contextmanager
def _constants_known(model: nn.Module) -> Iterator[None]:
    """For the time of a block, the forward pass of a module works out its constants for real."""
    numbers = {name: part.detach() for name, part in (*model.named_parameters(), *model.named_buffers())}
    forward = model.forward

    @functools.wraps(forward)
    def forward_of_constants(*args: Any) -> Any:
        with _as_in_plain_passes(), KnownConstants(model, numbers), attributes_kept(model):  # it runs more than once
            return forward(*args)

    model.forward = forward_of_constants  # of the wrapper around the user's module, which stays as it is
    try:
        yield
    finally:
        del model.forward


@contextmanager
def _as_in_plain_passes() -> Iterator[None]:
    """For the time of a block, a symbolic number of samples can be a key, and modes see that arrays become tensors."""
    hashed, from_array = torch.SymInt.__hash__, torch.from_numpy

    def by_name(number: torch.SymInt) -> int:
        return hashed(number) if number.node.is_nested_int() else hash((id(number.node.shape_env), str(number)))

    torch.SymInt.__hash__, torch.from_numpy = by_name, torch.as_tensor  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        torch.SymInt.__hash__, torch.from_numpy = hashed, from_array  # type: ignore[method-assign]


def _decompositions() -> dict[Any, Callable[..., Any]]:
    table = torch.export.default_decompositions()
    table.update(get_decompositions([torch.ops.aten.linalg_vector_norm]))  # which torch 2.6 would leave whole
    whole = {f"aten::{name}" for name in KEPT_WHOLE}
    for operator in list(table):
        if operator.name().partition(".")[0] in whole:
            table.pop(operator)
    return table


_FIXED_BATCH = (
    "the model fixes its batch size, so that points cannot be evaluated together",
    "write x.size(0) or -1 where a number, or len(x), stands for the number of samples in a view, reshape or constant",
)
_VALUES = (
    "the model branches on the values of its tensors, or makes numbers of Python or arrays of them",
    "remove that, or replace it by operations such as torch.where. What comes after a submodule does not matter where "
    "its output is traced (output=...), and hooks can be removed for the capture",
)
_OTHER = (
    "torch.export cannot follow it",
    "write it with operations of torch. What comes after a submodule does not matter where its output is traced "
    "(output=...)",
)
_ROUNDED = ("it rounds activations, and so jumps", "give the model as it was before quantisation")
_SIGNS = {
    "quantize": _ROUNDED,
    "data-dependent": _VALUES,
    "DataDependent": _VALUES,
    ".numpy()": _VALUES,
    "tolist": _VALUES,
    "data pointer": _VALUES,
}


def _explain(called: Called, error: Exception, batch: Tensor) -> str:
    text = str(error).strip() or type(error).__name__
    told = f"{type(error).__name__}: {text}"
    why = _FIXED_BATCH if _is_specialised(text) else next((why for sign, why in _SIGNS.items() if sign in told), _OTHER)
    found = _where_the_batch_is_fixed(called, batch) if why is _FIXED_BATCH else error
    drawn = _where_it_draws(called, batch)
    random = f"\n  It draws random numbers{_place(drawn, called)}" * bool(drawn)
    return (
        f"{type(called.model).__name__}: {why[0]}{_place(found, called)}{random}\n  What to do: {why[1]}.\n"
        f"  torch.export says: {text.splitlines()[0]}"
    )


def _place(error: BaseException | None, called: Called) -> str:
    module, source = ("", "") if error is None else raised_at(error, called)
    return f" in {module}" * bool(module) + f"\n    at {source}" * bool(source)


class _Drawn(BaseException):
    """A random number was asked for."""


class _NothingDrawn(TorchDispatchMode):
    """Ends a forward pass before random numbers are drawn."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if is_random(function, args, kwargs or {}):
            raise _Drawn
        return function(*args, **(kwargs or {}))


def _where_it_draws(called: Called, batch: Tensor) -> BaseException | None:
    """An exception from the line that draws random numbers; None where there is no such line."""
    try:
        with _NothingDrawn():  # type: ignore[no-untyped-call]
            Called.forward(called, batch)
    except _Drawn as drawn:
        return drawn
    except Exception:
        return None
    return None


class _BatchFixed(BaseException):
    """The number of rows was taken for a number."""


def _where_the_batch_is_fixed(called: Called, batch: Tensor) -> BaseException | None:
    """An exception from the line that takes the number of rows for a number; None where there is no such line."""

    class Shapes(ShapeEnv):
        def _set_replacement(self, *args: Any, **options: Any) -> None:
            raise _BatchFixed

    sizes: StatelessSymbolicContext[Any, Any] = StatelessSymbolicContext(
        [DimDynamic.DYNAMIC, *[DimDynamic.STATIC] * (batch.dim() - 1)]
    )
    mode = FakeTensorMode(shape_env=Shapes(), allow_non_fake_inputs=True)
    try:
        with torch.no_grad(), mode:
            called(mode.from_tensor(batch, symbolic_context=sizes))
    except _BatchFixed as fixed:
        return fixed
    except Exception:
        return None
    return None
