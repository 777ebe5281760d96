"""Arithmetic that is what the dtype says: no TF32, no bfloat16, whatever the user has allowed for training."""

from __future__ import annotations

import threading
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
    rounding. Autocast, which is a thread's own setting, is off as well. The others are those of the whole process: they
    are put back when the last of all threads that are inside leaves.
    """
    with ExitStack() as restored:
        for device in ("cpu", "cuda"):
            if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
                restored.enter_context(torch.autocast(device, enabled=False))
        restored.enter_context(_PROCESS)
        yield


class _Process:
    """The settings of the process while any thread is inside: the first sets them, the last puts them back."""

    def __init__(self) -> None:
        self._lock, self._inside, self._restored = threading.Lock(), 0, ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._set()
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._restored.close()

    def _set(self) -> None:
        self._restored.callback(_put_back, [(part, part.fp32_precision) for part in _parts()])  # after all others
        for holder, name, value in _settings():
            try:
                before = getattr(holder, name)
            except RuntimeError:  # an older setting, and the user has used the newer ones
                continue
            if before != value and not (name == "fp32_precision" and before in _EXACT):
                setattr(holder, name, value)
                self._restored.callback(setattr, holder, name, before)


_PROCESS = _Process()  # one, since the settings are: two threads that each put them back would do so too early


def _settings() -> Iterator[tuple[Any, str, Any]]:
    """What to set. The older settings come first: PyTorch refuses to tell them where only the newer ones were set."""
    yield _MatmulPrecision(), "value", "highest"
    yield torch.backends.cudnn, "allow_tf32", False
    yield from ((part, "fp32_precision", "ieee") for part in _parts())
    yield torch.backends.cudnn, "deterministic", True
    yield torch.backends.cudnn, "benchmark", False


def _parts() -> tuple[Any, ...]:
    """What has a precision of its own since PyTorch 2.9, parents before the children that may follow them."""
    backends: Any = torch.backends  # its attributes differ between versions
    if not hasattr(backends, "fp32_precision"):
        return ()
    cudnn, mkldnn = backends.cudnn, backends.mkldnn
    return (backends, cudnn, mkldnn, backends.cuda.matmul, cudnn.conv, cudnn.rnn, mkldnn.matmul, mkldnn.conv,
            mkldnn.rnn)  # fmt: skip


def _put_back(parts: list[tuple[Any, str]]) -> None:
    """The older settings stand for several of the newer ones, which may have been told apart."""
    for part, before in parts:
        if part.fp32_precision != before:
            part.fp32_precision = before


class _MatmulPrecision:
    """``torch.get_float32_matmul_precision`` and its setter as an attribute."""

    @property
    def value(self) -> str:
        return torch.get_float32_matmul_precision()

    @value.setter
    def value(self, precision: str) -> None:
        torch.set_float32_matmul_precision(precision)
