"""Where a training runs, and in which arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from transect.errors import StudyError
from transect.study.config import TrainConfig

_KNOWN_CODE = ("torch.nn.", "transect.")


def resolved_device(config: TrainConfig) -> torch.device:
    """The device that a training runs on: ``auto`` is a CUDA device where there is one, else the CPU.

    Raises:
        StudyError: If it is to be a CUDA device and there is none.
    """
    has_cuda = torch.cuda.is_available()
    if config.device == "cuda" and not has_cuda:
        raise StudyError('train.device is cuda, but PyTorch finds no CUDA device here; use "auto" or "cpu"')
    wants_cuda = config.device == "cuda" or (config.device == "auto" and has_cuda)
    # by its index: "cuda" alone would follow whoever changes the current device
    return torch.device("cuda", torch.cuda.current_device()) if wants_cuda else torch.device("cpu")


def refuse_impossible_precision(config: TrainConfig, device: torch.device) -> None:
    """Make sure that the device has the arithmetic asked for.

    Raises:
        StudyError: If it is TF32 on a CPU.
    """
    if config.precision == "tf32" and device.type != "cuda":
        raise StudyError(
            'train.precision is tf32, which only CUDA devices have, but the training runs on the CPU; use "float32"'
        )


@contextmanager
def placed(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Have a model on a device for the time of a block, then back on the CPU, whatever happens.

    On the CPU its convolutions have their channels last meanwhile, where that is safe: steps of narrow networks take
    less time then.
    """
    model.to(device)
    last = device.type == "cpu" and _takes_any_layout(model)
    kept = _channels_last(model) if last else []
    try:
        yield
    finally:
        for hook in kept:
            hook.remove()
        model.to("cpu", memory_format=torch.contiguous_format)  # type: ignore[call-overload]


def _channels_last(model: nn.Module) -> list[RemovableHandle]:
    """Move the channels of convolutions last, but for those that oneDNN cannot take so.

    Its gradient of the weights of strided 1 x 1 convolutions of few channels writes past its workspace on processors
    without AVX-512 (uxlfoundation/oneDNN, issue 6035; PyTorch 2.13 and 2.14 have it): crashes, or wrong numbers.

    Returns:
        Hooks that keep the inputs of these as they were.
    """
    model.to(memory_format=torch.channels_last)
    strided = [module for module in model.modules() if _is_strided_pointwise(module)]
    for module in strided:
        weight: Tensor = module.weight  # type: ignore[assignment]
        weight.data = _channels_first(weight.data)
    return [module.register_forward_pre_hook(lambda _, inputs: (_channels_first(*inputs),)) for module in strided]


def _is_strided_pointwise(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d) and max(module.kernel_size) == 1 and max(module.stride) > 1


def _channels_first(x: Tensor) -> Tensor:
    """The same numbers with strides that say so: where sides are 1, those of both layouts are called contiguous."""
    return x.reshape(len(x), -1).view(x.shape)


@contextmanager
def reproducible_arithmetic(config: TrainConfig, device: torch.device) -> Iterator[None]:
    """On CUDA, for the time of a block: TF32 only where it is asked for, and cuDNN's deterministic kernels.

    PyTorch lets convolutions use TF32 unless told otherwise. The settings are restored afterwards.
    """
    if device.type != "cuda":
        yield
        return
    tf32, before = config.precision == "tf32", torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = tf32
    try:
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=tf32):
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


@contextmanager
def seeded_layers(seed: int, device: torch.device) -> Iterator[None]:
    """Give the global generators, which dropout and the like draw from, a seed for the time of a block."""
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        torch.default_generator.manual_seed(seed)
        if cuda:
            torch.cuda.manual_seed(seed)
        yield


def _takes_any_layout(model: nn.Module) -> bool:
    """Whether a model has no code of its own, which might take a ``view`` that only one layout allows."""
    known = all(type(module).__module__.startswith(_KNOWN_CODE) for module in model.modules())
    return known and all(tensor.dim() < 5 for tensor in model.state_dict().values())


def in_precision(model: nn.Module, config: TrainConfig, device: torch.device) -> Callable[[Tensor], Tensor]:
    """The model's forward pass in the arithmetic asked for.

    With bfloat16 its operations are autocast, while weights, gradients of weights and the optimizer stay float32.
    """
    if config.precision != "bfloat16":
        return model

    def forward(batch: Tensor) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16):
            logits: Tensor = model(batch)
        return logits

    return forward
