"""Arithmetic that is what the dtype says: no TF32, no bfloat16, whatever the user has allowed for training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

_EXACT = ("ieee", "none")  # "none" asks for nothing, which is full precision unless a parent or an operation says more


@contextmanager
def full_precision() -> Iterator[None]:
    """For the time of a block, products of float32 are products of float32, and cuDNN's kernels are deterministic.

    A kink is found where two nearly equal numbers are subtracted: with the ten bits of TF32, which PyTorch lets
    convolutions on a GPU use unless told otherwise, or the eight of bfloat16, which
    ``torch.set_float32_matmul_precision("medium")`` allows on CPUs too, most of what a trace in float32 found would be
    rounding. Autocast is off as well. The settings are those of the whole process; they are put back afterwards.
    """
    with ExitStack() as restored:
        for device in ("cpu", "cuda"):
            if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
                restored.enter_context(torch.autocast(device, enabled=False))
        for holder, name, value in _settings():
            before = getattr(holder, name)
            if before != value and not (name == "fp32_precision" and before in _EXACT):
                setattr(holder, name, value)
                restored.callback(setattr, holder, name, before)
        yield


def _settings() -> Iterator[tuple[Any, str, Any]]:
    """What to set, parents before children: a child that only follows its parent is then right already."""
    backends: Any = torch.backends  # their attributes differ between versions
    if hasattr(backends, "fp32_precision"):  # since 2.9, where older settings must not be touched beside these
        cudnn, mkldnn = backends.cudnn, backends.mkldnn
        parts = (backends, cudnn, mkldnn, backends.cuda.matmul, cudnn.conv, cudnn.rnn, mkldnn.matmul, mkldnn.conv,
                 mkldnn.rnn)  # fmt: skip
        yield from ((part, "fp32_precision", "ieee") for part in parts)
    else:
        yield _MatmulPrecision, "value", "highest"
        yield backends.cudnn, "allow_tf32", False
    yield backends.cudnn, "deterministic", True
    yield backends.cudnn, "benchmark", False


class _MatmulPrecisionSetting:
    """``torch.get_float32_matmul_precision`` and its setter as an attribute."""

    @property
    def value(self) -> str:
        return torch.get_float32_matmul_precision()

    @value.setter
    def value(self, precision: str) -> None:
        torch.set_float32_matmul_precision(precision)


_MatmulPrecision = _MatmulPrecisionSetting()
