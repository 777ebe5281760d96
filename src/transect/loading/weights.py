"""Weights from a file into a model: tensors only, and every name and shape accounted for."""

from __future__ import annotations

import os
import pickle
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from transect.errors import InvalidInput

_NESTED = ("state_dict", "model_state_dict", "model")
_PREFIXES = ("module.", "_orig_mod.", "model.")  # DataParallel, torch.compile, checkpoints with an optimizer beside it
_SHOWN = 5


def load_weights(model: nn.Module, path: str | os.PathLike[str]) -> None:
    """Load a file of weights into a model; all of its parameters and buffers must be there, and nothing else.

    Args:
        model: Filled in place.
        path: See :func:`read_weights`.

    Raises:
        InvalidInput: The file cannot be read as data, or its names or shapes are not those of the model; the model is
            as it was.
    """
    given, own = read_weights(path), model.state_dict()
    state = _without_prefix(given, own)
    differences = _differences(state, own)
    if differences:
        raise InvalidInput(
            f"weights: {os.fspath(path)} does not fit the model, which expects {len(own)} tensors; the file has "
            f"{len(state)}.\n{differences}\nBuild the model with the arguments it was trained with (number of classes, "
            "width, ...), or give the file that belongs to it."
        )
    model.load_state_dict(state)


def read_weights(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """The tensors of a file by name, on the CPU; no code in it is run.

    Args:
        path: ``.safetensors``, or ``.pt`` or ``.pth`` as ``torch.save`` writes a state dict, alone or in a dictionary
            under ``state_dict``, ``model_state_dict`` or ``model``.

    Raises:
        InvalidInput: There is no such file, it is damaged, of another kind, or holds objects that are not data.
    """
    path = Path(path)
    if not path.is_file():
        raise InvalidInput(f"weights: there is no file {path}.")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if path.suffix in (".pt", ".pth"):
        return _state_dict(_read_torch(path), path)
    raise InvalidInput(
        f"weights: expected a file that ends in .safetensors, .pt or .pth, got {path.name}. "
        'Save weights with safetensors.torch.save_model(model, "weights.safetensors") or '
        'torch.save(model.state_dict(), "weights.pt").'
    )


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise InvalidInput(f"weights: {path} is damaged, or not a safetensors file ({error}).") from error


def _read_torch(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch would say of a file that is then refused
            return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, AttributeError) as error:
        if isinstance(error, pickle.UnpicklingError) and zipfile.is_zipfile(path):
            raise InvalidInput(
                f"weights: {path} holds Python objects, such as a whole pickled module, and not only tensors. "
                "Unpickling would run code of the file, so nothing in it was loaded. If you trust the file, load it "
                'where its code is and save the tensors alone: torch.save(model.state_dict(), "weights.pt").'
            ) from error
        raise InvalidInput(
            f"weights: {path} is damaged, or not a file of tensors alone: modules that were pickled whole and "
            "TorchScript archives are not loaded, since that would run code of the file. Save weights with "
            'torch.save(model.state_dict(), "weights.pt").'
        ) from error


def _state_dict(found: Any, path: Path) -> dict[str, Tensor]:
    """The state dict itself, or the one a checkpoint holds."""
    for key in _NESTED:
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if isinstance(found, Mapping) and found and all(isinstance(value, Tensor) for value in found.values()):
        return {str(name): value for name, value in found.items()}
    what = (
        f"a dictionary with the keys {_some(map(str, found))}" if isinstance(found, Mapping) else type(found).__name__
    )
    raise InvalidInput(
        f"weights: expected a state dict in {path} (names and tensors), alone or under one of {', '.join(_NESTED)}; "
        f'found {what}. Save one with torch.save(model.state_dict(), "weights.pt").'
    )


def _without_prefix(state: dict[str, Tensor], own: Mapping[str, Any]) -> dict[str, Tensor]:
    """The part of the state under a prefix that wrappers add to names, where that is exactly what the model has."""
    for prefix in _PREFIXES:
        part = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
        if part and (part.keys() == own.keys() or (len(part) == len(state) and prefix == _PREFIXES[0])):
            return part
    return state


def _differences(state: Mapping[str, Tensor], own: Mapping[str, Any]) -> str:
    """One line for each way in which two state dicts differ; empty for none."""
    shapes = [
        f"{name} {tuple(state[name].shape)} instead of {tuple(own[name].shape)}"
        for name in own
        if name in state and isinstance(own[name], Tensor) and state[name].shape != own[name].shape
    ]
    found = {
        "missing": [name for name in own if name not in state],
        "unexpected": [name for name in state if name not in own],
        "of another shape": shapes,
    }
    return "\n".join(f"  {len(names)} {what}: {_some(names)}" for what, names in found.items() if names)


def _some(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
