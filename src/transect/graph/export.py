"""From a user's module to an exported program with a dynamic batch, decomposed as far as the rules want it."""

from __future__ import annotations

import functools
import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import ContextDecorator, contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch._decomp import get_decompositions
from torch.export import Dim, ExportedProgram

from transect.errors import InvalidInput, UnsupportedModel, refuse_for_memory
from transect.graph.calling import Called, own_name
from transect.graph.constants import KnownConstants
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


_COMPRESSED = (torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc)


class OneModuleAtATime(ContextDecorator):
    """Captures and calls of users' modules wait for each other: while torch.export runs, it changes all modules."""

    _lock = threading.RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def export_model(model: nn.Module, example: Tensor) -> ExportedProgram:
    """Export ``model`` with a dynamic number of rows and decompose it to core ATen.

    Args:
        model: The user's module; it is left as it is.
        example: One input with a batch dimension, ``(1, *input_shape)``.

    Raises:
        UnsupportedModel: The module cannot be exported, or fixes its batch size.
    """
    with torch.no_grad(), _quiet(), _ordinary_tensors(model), _constants_known(model):
        program = _export(model, example).run_decompositions(_decompositions())
    _refuse_branch_on_samples(program)
    return program


def _export(model: nn.Module, example: Tensor) -> ExportedProgram:
    for rows in BATCHES:
        batch = example.expand(rows, *example.shape[1:]).clone()
        try:
            return torch.export.export(model, (batch,), dynamic_shapes=({0: Dim.DYNAMIC},), strict=False)
        except Exception as error:
            refuse_for_memory(error)
            if rows == BATCHES[-1] or not _is_specialised(str(error)):
                raise UnsupportedModel(_explain(model, error)) from error
    raise AssertionError("no batch was tried")


def _is_specialised(text: str) -> bool:
    return "specialized" in text.lower() or "Constraints violated" in text


def _refuse_branch_on_samples(program: ExportedProgram) -> None:
    """Refuse a model that does something else for some numbers of samples.

    Raises:
        UnsupportedModel: What was exported holds from more than two samples on, or up to a number of them.
    """
    for bounds in program.range_constraints.values():
        if bounds.lower > 2 or bounds.upper < BATCHES[-1] ** 6:
            raise UnsupportedModel(
                f"model: it branches on the number of samples in a batch (what it does for {BATCHES[0]} holds for "
                f"{bounds.lower} to {bounds.upper} of them); make it treat each sample on its own."
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
        with KnownConstants(model, numbers), attributes_kept(model):  # it runs more than once
            return forward(*args)

    model.forward = forward_of_constants  # of the wrapper around the user's module, which stays as it is
    try:
        yield
    finally:
        del model.forward


@contextmanager
def _quiet() -> Iterator[None]:
    """What export would log goes into our error instead."""
    loggers = [logging.getLogger(name) for name in ("torch.export", "torch._export", "torch.fx", "torch._dynamo")]
    loggers += [logging.getLogger("torch.fx.experimental.symbolic_shapes")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _decompositions() -> dict:
    table = torch.export.default_decompositions()
    table.update(get_decompositions([torch.ops.aten.linalg_vector_norm]))  # which torch 2.6 would leave whole
    whole = {f"aten::{name}" for name in KEPT_WHOLE}
    for operator in list(table):
        if operator.name().partition(".")[0] in whole:
            table.pop(operator)
    return table


def _explain(model: nn.Module, error: Exception) -> str:
    text = str(error).strip()
    first = text.splitlines()[0] if text else type(error).__name__
    if _is_specialised(text):
        reason = "the model fixes its batch size, so that points cannot be evaluated together"
        remedy = (
            "write x.size(0) (or -1) where a number, or len(x), stands for the number of samples in a view, reshape or "
            "constant"
        )
    elif (
        "data-dependent" in text.lower() or "DataDependent" in type(error).__name__ or "GuardOn" in type(error).__name__
    ):
        reason = "the model branches on the values of its tensors"
        remedy = "remove the branch, or replace it by operations such as torch.where"
    else:
        reason = "torch.export could not capture the model"
        remedy = "try torch.export.export(model, (batch,)) on its own; the model must run on a batch of inputs"
    named = model.model if isinstance(model, Called) else model
    return f"{type(named).__name__}: {reason}; {remedy}. torch.export says: {first}\n{_frame(text)}".rstrip()


def _frame(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip().startswith("File ") and "/torch/" not in line]
    return f"  at {lines[-1]}" if lines else ""


def check_evaluation_mode(model: nn.Module) -> None:
    """Refuse modules that act on the batch, or at random, because they are in training mode.

    Raises:
        InvalidInput: Names them.
    """
    kinds = (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd, nn.RReLU)
    training = [
        f"{own_name(name) or 'the model'} ({type(module).__name__})"
        for name, module in model.named_modules()
        if isinstance(module, kinds) and module.training
    ]
    if training:
        raise InvalidInput(
            f"model: expected evaluation mode, but {len(training)} module(s) are in training mode, where they act on "
            f"the batch or at random: {', '.join(training[:5])}{', ...' if len(training) > 5 else ''}. "
            "Call model.eval() first."
        )
