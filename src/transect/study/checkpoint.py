"""Checkpoints: everything that training needs to go on, in one safetensors file, nothing pickled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor, nn
from torch.optim import Optimizer

from transect.errors import StudyError
from transect.storage.atomic import replacing

_MODEL, _OPTIMIZER = "model.", "optimizer."


def save_checkpoint(path: Path, model: nn.Module, optimizer: Optimizer, progress: dict[str, Any]) -> None:
    """Write weights, buffers and optimizer state, and in the file's header how far training is; atomically.

    One file, so that weights and optimizer state are always of the same moment.

    Args:
        path: The file.
        model: Its ``state_dict`` is kept.
        optimizer: The tensors of its state are kept; its settings are those of the configuration.
        progress: What JSON can hold: the epoch and the like.
    """
    tensors = {_MODEL + name: value.contiguous() for name, value in model.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"{_OPTIMIZER}{index}.{name}": value for name, value in state.items() if isinstance(value, Tensor)}
    with replacing(path) as temporary:
        safetensors.torch.save_file(tensors, temporary, metadata={"progress": json.dumps(progress)})


def load_checkpoint(path: Path, model: nn.Module, optimizer: Optimizer) -> dict[str, Any] | None:
    """Put a checkpoint back into a model and its optimizer.

    Args:
        path: The file.
        model: Of the same architecture as the one saved.
        optimizer: Newly made, over the model's parameters.

    Returns:
        The ``progress`` that was saved; None, and nothing is changed, where there is no such file.

    Raises:
        StudyError: If the file is damaged or of another network.
    """
    if not path.exists():
        return None
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 (no mapping)
            progress: dict[str, Any] = json.loads(file.metadata()["progress"])
        model.load_state_dict(_part(tensors, _MODEL))
        _restore_optimizer(optimizer, _part(tensors, _OPTIMIZER))
    except (OSError, safetensors.SafetensorError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise StudyError(
            f"cannot go on from the checkpoint {path}: {error}; delete it to train from the start"
        ) from error
    return progress


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _restore_optimizer(optimizer: Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        index, _, key = name.partition(".")
        state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
