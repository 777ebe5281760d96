"""A GPU that is not there: tensors say that they are on it, and compute on the CPU.

What is shown with it: nothing is mixed up between devices (a CPU tensor beside one of the GPU is refused, as CUDA
refuses it), and what crosses between them is counted. Nothing about speed, or the arithmetic of a real one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

GPU = torch.device("cuda", 0)
CAN_SIMULATE = hasattr(torch._C, "_ensureCUDADeviceGuardSet")  # what PyTorch's own fake tensors use, newer than 2.6
_ATEN = torch.ops.aten
_MAY_MIX = {  # as with CUDA
    _ATEN.copy_.default,
    _ATEN._to_copy.default,
    _ATEN.index.Tensor,
    _ATEN.index_put_.default,
    _ATEN._index_put_impl_.default,
    _ATEN.index_put.default,
}


class OnGpu(Tensor):
    """A tensor that says it is on the GPU, around one that is not."""

    held: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, held: Tensor) -> OnGpu:
        return Tensor._make_wrapper_subclass(  # type: ignore[attr-defined,no-any-return]
            cls, held.size(), strides=held.stride(), storage_offset=held.storage_offset(), dtype=held.dtype,
            device=GPU, requires_grad=held.requires_grad,
        )  # fmt: skip

    def __init__(self, held: Tensor) -> None:
        self.held = held

    def __repr__(self) -> str:  # type: ignore[override]
        return f"OnGpu({self.held!r})"

    def tolist(self) -> Any:
        """Of a subclass PyTorch refuses it."""
        return self.cpu().tolist()

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        with SimulatedGpu():
            return function(*args, **(kwargs or {}))


class SimulatedGpu(TorchDispatchMode):
    """Runs every operation on the CPU, and says of its results where a GPU would have left them."""

    def __init__(self) -> None:
        super().__init__()
        self.copied = 0  # elements that went from the GPU to the CPU, numbers read by Python among them

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        on_gpu = [tensor for tensor in tensors if isinstance(tensor, OnGpu)]
        elsewhere = [tensor for tensor in tensors if not isinstance(tensor, OnGpu) and tensor.dim() > 0]
        if on_gpu and elsewhere and function not in _MAY_MIX:
            raise RuntimeError(f"Expected all tensors to be on the same device: {function}")
        to = torch.device(kwargs["device"]) if kwargs.get("device") is not None else None
        if to is not None:
            kwargs["device"] = torch.device("cpu")
        if function is _ATEN._local_scalar_dense.default or (on_gpu and to is not None and to.type == "cpu"):
            self.copied += on_gpu[0].numel() if on_gpu else 0
        held_args, held_kwargs = tree_map(_held, (args, kwargs))
        made = function(*held_args, **held_kwargs)
        goes_to_gpu = to.type == "cuda" if to is not None else _decides(function, args, on_gpu)
        if goes_to_gpu:
            made = tree_map(lambda leaf: OnGpu(leaf) if isinstance(leaf, Tensor) else leaf, made)
            return return_and_correct_aliasing(function, args, kwargs, made)
        return made


def _held(leaf: Any) -> Any:
    return leaf.held if isinstance(leaf, OnGpu) else leaf


def _decides(function: Any, args: Any, on_gpu: list[OnGpu]) -> bool:
    """Whether the result of an operation that names no device is on the GPU."""
    if function in (_ATEN.copy_.default, _ATEN.index.Tensor, _ATEN.index_put_.default, _ATEN._index_put_impl_.default):
        return isinstance(args[0], OnGpu)
    return bool(on_gpu)


@contextmanager
def simulated_gpu(free_bytes: int = 2**33) -> Iterator[SimulatedGpu]:
    """Have a GPU with so much free memory for the time of a block."""
    torch._C._ensureCUDADeviceGuardSet()  # type: ignore[attr-defined]
    with (
        mock.patch.object(torch.cuda, "_lazy_init"),
        mock.patch.object(torch.cuda, "mem_get_info", return_value=(free_bytes, 2 * free_bytes)),
        mock.patch.object(torch.cuda, "memory_reserved", return_value=0),
        mock.patch.object(torch.cuda, "memory_allocated", return_value=0),
        SimulatedGpu() as mode,
    ):
        torch._C._set_only_lift_cpu_tensors(True)  # type: ignore[attr-defined]
        try:
            yield mode
        finally:
            torch._C._set_only_lift_cpu_tensors(False)  # type: ignore[attr-defined]
