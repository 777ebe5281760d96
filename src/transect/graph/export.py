"""From a user's module to an exported program with a dynamic batch, decomposed as far as the rules want it."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import ContextDecorator, contextmanager

import torch
from torch import Tensor, nn
from torch._decomp import get_decompositions
from torch.export import Dim, ExportedProgram

from transect.errors import InvalidInput, UnsupportedModel
from transect.graph.calling import Called, own_name

# Decomposed, these would lose what the user wrote (a PReLU becomes gt/mul/where) or fold the rows into another
# dimension (a linear layer on (rows, length, channels) becomes a view to (rows * length, channels)).
KEPT_WHOLE = (
    "linear matmul einsum prelu rrelu hardsigmoid hardswish silu mish elu celu selu gelu softplus hardtanh relu6 "
    "leaky_relu threshold softshrink hardshrink logit softmax log_softmax "
    "pad reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d replication_pad2d replication_pad3d "
    "upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_linear1d upsample_bilinear2d "
    "upsample_trilinear3d upsample_bicubic2d pixel_shuffle pixel_unshuffle channel_shuffle "
    "layer_norm native_layer_norm group_norm native_group_norm instance_norm "
    "nan_to_num adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d"
).split()

BATCH = 3  # an odd batch of at least 3: export specialises a batch of 1, and an even one can hide a fold


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
    batch = example.expand(BATCH, *example.shape[1:]).clone()
    program = _export(model, batch)
    return program.run_decompositions(_decompositions())


def _export(model: nn.Module, batch: Tensor) -> ExportedProgram:
    try:
        with torch.no_grad(), _quiet():
            return torch.export.export(model, (batch,), dynamic_shapes=({0: Dim.DYNAMIC},), strict=False)
    except Exception as error:
        raise UnsupportedModel(_explain(model, error)) from error


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
    if "specialized" in text.lower() or "Constraints violated" in text:
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
