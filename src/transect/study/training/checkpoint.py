"""Checkpoints: everything that training needs to go on, in one safetensors file, nothing pickled."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from transect.errors import StudyError
from transect.support.types import Row
from transect.tables.files import replacing


def snapshot_file(folder: Path, epoch: int | str) -> Path:
    """Where the weights after an epoch (counted from 1), or the ``"last"`` ones, are in the folder of a training."""
    return folder / ("weights.safetensors" if epoch == "last" else f"weights-epoch-{int(epoch):04d}.safetensors")


def save_snapshot(folder: Path, epoch: int | Literal["last"], model: nn.Module) -> None:
    """Write the weights and buffers of a model, atomically."""
    with replacing(snapshot_file(folder, epoch)) as temporary:
        safetensors.torch.save_file(plain_tensors(model), temporary)


def missing_snapshots(folder: Path, epochs: Collection[int]) -> list[int]:
    """The epochs whose weights are not in a folder, increasing."""
    return [epoch for epoch in sorted(epochs) if not snapshot_file(folder, epoch).exists()]


def plain_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Weights and buffers by name, each with memory of its own: a file does not say which weights are shared."""
    return {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, value in model.state_dict().items()
    }


_MODEL, _OPTIMIZER = "model.", "optimizer."


@dataclass
class Progress:
    """How far a training is.

    Attributes:
        epoch: Epochs done.
        seconds: Spent on them, over all interruptions.
        stopped: Whether it has reached the error at which it stops.
        curve: The learning curve, one row for each epoch done.
    """

    epoch: int = 0
    seconds: float = 0.0
    stopped: bool = False
    curve: list[Row] = field(default_factory=list)


def checkpoint_file(folder: Path) -> Path:
    """Where the checkpoint is in the folder of a training."""
    return folder / "checkpoint.safetensors"


def save_checkpoint(path: Path, model: nn.Module, optimizer: Optimizer, progress: Progress) -> None:
    """Write weights, buffers and optimizer state, and in the file's header how far training is; atomically.

    One file, so that weights, optimizer state and learning curve are always of the same moment.

    Args:
        path: The file.
        model: Its ``state_dict`` is kept.
        optimizer: The tensors of its state are kept; its settings are those of the configuration.
        progress: How far training is.
    """
    tensors = {_MODEL + name: value for name, value in plain_tensors(model).items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {
            f"{_OPTIMIZER}{index}.{name}": value.contiguous()
            for name, value in state.items()
            if isinstance(value, Tensor)
        }
    with replacing(path) as temporary:
        safetensors.torch.save_file(tensors, temporary, metadata={"progress": json.dumps(vars(progress))})


def load_checkpoint(path: Path, model: nn.Module, optimizer: Optimizer) -> Progress | None:
    """Put a checkpoint back into a model and its optimizer.

    Args:
        path: The file.
        model: Of the same architecture as the one saved, on any device.
        optimizer: Newly made, over the model's parameters.

    Returns:
        The ``progress`` that was saved; None, and nothing is changed, where there is no such file.

    Raises:
        StudyError: If the file is damaged or of another network.
    """
    if not path.exists():
        return None
    progress = read_progress(path)
    with _damage_reported(path), safetensors.safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 (no mapping)
        model.load_state_dict(_part(tensors, _MODEL))
        _restore_optimizer(optimizer, _part(tensors, _OPTIMIZER))
    return progress


def read_progress(path: Path) -> Progress:
    """How far the training of a checkpoint is.

    Raises:
        StudyError: If the file is damaged.
    """
    with _damage_reported(path), safetensors.safe_open(path, framework="pt") as file:
        return Progress(**json.loads(file.metadata()["progress"]))


@contextmanager
def _damage_reported(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, safetensors.SafetensorError, RuntimeError, LookupError, TypeError, ValueError) as error:
        raise StudyError(
            f"cannot go on from the checkpoint {path}: {error}; delete it to train from the start"
        ) from error


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _restore_optimizer(optimizer: Optimizer, tensors: dict[str, Tensor]) -> None:
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        index, _, key = name.partition(".")
        state.setdefault(int(index), {})[key] = _laid_out(value, weights[int(index)])
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _laid_out(value: Tensor, weight: Tensor) -> Tensor:
    """In memory as the weight that it belongs to: fused optimizers go through both side by side."""
    return torch.empty_like(weight, device="cpu").copy_(value) if value.shape == weight.shape else value
