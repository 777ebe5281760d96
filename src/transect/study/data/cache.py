"""Where data sets are kept between runs, and in which form."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
from torch import Tensor

from transect.errors import StudyError
from transect.tables.files import replacing


def default_cache_folder() -> Path:
    """Folder for data that can be made again: ``$XDG_CACHE_HOME/transect``, or what the platform uses instead."""
    if folder := os.environ.get("XDG_CACHE_HOME"):
        return Path(folder) / "transect"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "transect" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "transect"
    return Path.home() / ".cache" / "transect"


def read_cached(path: Path) -> dict[str, Tensor] | None:
    """The tensors of a cache file; None where there is none, or it does not hold what was written."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no mapping)
            stated = (file.metadata() or {}).get("sha256")
    except (OSError, safetensors.SafetensorError):
        return None
    return tensors if stated == _checksum(tensors) else None


def stated_checksum(path: Path) -> str | None:
    """The checksum that a cache file has beside its tensors; None where there is none. The tensors are not read."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return (file.metadata() or {}).get("sha256")
    except (OSError, safetensors.SafetensorError):
        return None


def write_cached(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Keep tensors in a cache file, with a checksum; several processes may write the same one at once.

    Raises:
        StudyError: If it cannot be written.
    """
    try:
        with replacing(path) as temporary:
            safetensors.torch.save_file(dict(tensors), temporary, metadata={"sha256": _checksum(tensors)})
    except (OSError, safetensors.SafetensorError) as error:
        remedy = "set XDG_CACHE_HOME to a folder that can be written, or give another cache folder"
        raise StudyError(f"cannot write the data cache {path}: {error}; {remedy}") from error


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(tensors[name].numpy()).data)
    return digest.hexdigest()
