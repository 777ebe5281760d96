"""Weights that a training leaves: after chosen epochs, and at its end."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Literal

import safetensors.torch
import torch
from torch import Tensor, nn

from transect.storage.atomic import replacing


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
