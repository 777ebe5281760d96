"""A digest of what a model is: its parts, and the operations of its forward pass."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

_PLAIN = (bool, int, float, complex, str, type(None))


def structure_digest(model: nn.Module, input_shape: tuple[int, ...]) -> str:
    """A digest of a freshly built module, whatever weights it has.

    It is of the kinds of its submodules with their plain attributes, the shapes of its parameters, the values of its
    buffers, and the operations of one forward pass on zeros, in evaluation mode, with their constants. Code that this
    pass does not reach, such as what is only done in training, is not looked at.

    Args:
        model: The module; as it was when this returns.
        input_shape: Shape of one input.
    """
    lines = [*_parts(model), *_tensors(model), *_operations(model, input_shape)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def tensors_digest(tensors: Iterable[tuple[str, Tensor]]) -> str:
    """A digest of names, dtypes, shapes and values of tensors; their order does not matter."""
    digest = hashlib.sha256()
    for name, value in sorted(tensors, key=lambda pair: pair[0]):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(_bytes(value))
    return digest.hexdigest()


def _bytes(value: Tensor) -> memoryview:
    dense = value.detach().cpu().to_dense() if value.layout != torch.strided else value.detach().cpu()
    return np.ascontiguousarray(dense.contiguous().flatten().view(torch.uint8).numpy()).data


def _parts(model: nn.Module) -> list[str]:
    return [f"{name}: {type(part).__qualname__} {_attributes(part)}" for name, part in model.named_modules()]


def _attributes(part: nn.Module) -> str:
    own = {key: value for key, value in sorted(vars(part).items()) if not key.startswith("_") and key != "training"}
    return repr(
        {key: value for key, value in own.items() if all(isinstance(leaf, _PLAIN) for leaf in tree_leaves(value))}
    )


def _tensors(model: nn.Module) -> list[str]:
    shapes = [f"{name}: {value.dtype} {tuple(value.shape)}" for name, value in model.named_parameters()]
    return [*shapes, tensors_digest(model.named_buffers())]


def _operations(model: nn.Module, input_shape: tuple[int, ...]) -> list[str]:
    recorder, was_training = _Recorder(model), model.training
    try:
        with torch.no_grad(), recorder:
            model.eval()(torch.zeros(2, *input_shape))
    except Exception as error:  # whatever a user's module raises: its use will say so
        recorder.lines.append(type(error).__name__)
    finally:
        model.train(was_training)
    return recorder.lines


class _Recorder(TorchDispatchMode):
    """Writes down every operation with its constants, and which operations and weights its operands are from."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.lines: list[str] = []
        named = [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
        self._names = {id(value): name for name, value in named}
        self._kept: list[Any] = [model]  # so that no id is given twice

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        told = tree_map(self._told, (args, kwargs or {}))
        result = func(*args, **(kwargs or {}))
        for place, value in enumerate(tree_leaves(result)):
            self._names.setdefault(id(value), f"%{len(self.lines)}.{place}")
        self._kept.append(result)
        self.lines.append(f"{func}{told}")
        return result

    def _told(self, value: Any) -> str:
        if not isinstance(value, Tensor):
            return repr(value)
        self._kept.append(value)
        return self._names.get(id(value)) or f"constant {tensors_digest([('', value)])}"
