"""Files of traces and slices with something else in them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import safetensors.torch
from safetensors import safe_open
from torch import Tensor


class Saved(Protocol):
    """What can be saved."""

    def save(self, path: Path) -> Path:
        """Write it."""


def rewritten(
    found: Saved, folder: Path, key: str, about: Mapping[str, object], tensors: Mapping[str, Tensor | None]
) -> Path:
    """The file of what was found with other entries in its header ``key``, and other tensors; None for without it."""
    file = found.save(folder / "whole.safetensors")
    with safe_open(file, framework="pt") as opened:
        header = json.loads(opened.metadata()[key]) | about
        parts = {name: opened.get_tensor(name) for name in opened.keys()} | tensors  # noqa: SIM118
    other = folder / "other.safetensors"
    kept = {name: tensor for name, tensor in parts.items() if tensor is not None}
    safetensors.torch.save_file(kept, other, {key: json.dumps(header)})
    return other
