"""What a user gives to ``measure`` as models: named, and opened one at a time."""

from __future__ import annotations

import inspect
import os
import pathlib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from transect.errors import InvalidInput, check_name
from transect.networks import WEIGHTS_SUFFIXES, load_weights
from transect.networks.network import Network

Model = Network | nn.Module


@dataclass(frozen=True)
class Source:
    """A model by name, made when it is wanted."""

    name: str
    open: Callable[[], Model]


def as_sources(models: Any) -> list[Source]:
    """The models by name, in their order.

    Raises:
        InvalidInput: There is none, or what was given is not a model, a mapping or a sequence.
    """
    if isinstance(models, nn.Module | Network):
        models = {models.name if isinstance(models, Network) else type(models).__name__: models}
    if isinstance(models, Mapping):
        found = [_source(name, partial(models.__getitem__, name)) for name in models]
    elif isinstance(models, Sequence) and not isinstance(models, str | bytes):
        found = [_source(str(index), partial(models.__getitem__, index)) for index in range(len(models))]
    else:
        raise InvalidInput(
            "models: expected a torch.nn.Module or a captured network, a sequence of them, a mapping from names to "
            f"them, or transect.checkpoints(folder, builder); got {type(models).__name__}."
        )
    if not found:
        raise InvalidInput("models: expected at least one model, got none.")
    return found


def lies_on_cpu(source: Source) -> bool:
    """Open a model, look where its weights lie, and let it go.

    Raises:
        InvalidInput: It is not a model, or cannot be loaded.
    """
    model = source.open()
    if isinstance(model, Network):
        return model.device.type == "cpu"
    return all(tensor.device.type == "cpu" for tensor in (*model.parameters(), *model.buffers()))


def _source(name: Any, open_it: Callable[[], Any]) -> Source:
    if not isinstance(name, str):
        raise InvalidInput(f"models: expected names of models to be text, got {name!r}.")

    def opened() -> Model:
        model = open_it()
        if not isinstance(model, nn.Module | Network):
            raise InvalidInput(
                f"models: expected model {name!r} to be a torch.nn.Module or a captured network, got "
                f"{type(model).__name__}."
            )
        return model

    return Source(check_name("models", name), opened)


class Checkpoints(Mapping[str, nn.Module]):
    """Models by name; asking for one builds it and loads its weights. Made by :func:`checkpoints`.

    Attributes:
        files: The file of every name, in their order.
    """

    def __init__(self, files: Mapping[str, pathlib.Path], builder: Callable[..., nn.Module]) -> None:
        self.files, self._builder = dict(files), builder
        self._wants_path = _has_required_parameter(builder)

    def __getitem__(self, name: str) -> nn.Module:
        file = self.files[name]
        model = self._builder(file) if self._wants_path else self._builder()
        if not isinstance(model, nn.Module):
            raise InvalidInput(
                f"builder: expected a torch.nn.Module for {file}, got a value of type {type(model).__name__}."
            )
        load_weights(model, file)
        return model.eval()

    def __iter__(self) -> Iterator[str]:
        return iter(self.files)

    def __len__(self) -> int:
        return len(self.files)

    def __repr__(self) -> str:
        names = list(self.files)
        between = f"{names[0]}" if len(names) == 1 else f"{names[0]} to {names[-1]}"
        return f"Checkpoints({len(names)}: {between})"


def checkpoints(
    folder: str | os.PathLike[str], builder: Callable[..., nn.Module], pattern: str | None = None
) -> Checkpoints:
    """The checkpoints of a folder as models, for :func:`transect.measure`; one is in memory at a time.

    Weights are read as data: no code in a file is run (see :func:`transect.networks.read_weights` for what files may
    hold). Models are put into evaluation mode.

    Args:
        folder: Where the files are.
        builder: Makes the module whose weights they are: called without arguments or, where it has a parameter without
            a default, with the file's path, so that one folder may hold networks of several widths.
        pattern: Which files, such as ``"epoch_*.pt"`` or ``"**/*.pth"``; every file of weights directly in the
            folder by default (``.safetensors``, ``.pt``, ``.pth``, ``.ckpt``, ``.bin``, ``.pth.tar``).

    Returns:
        A mapping from the files' names without their suffix (with it, where that is not unique; of files in folders of
        the folder, their relative path) to modules, in natural order: ``epoch_9`` before ``epoch_10``.

    Raises:
        InvalidInput: There is no such folder, or no file in it fits.
    """
    if not callable(builder):
        raise InvalidInput(f"builder: expected a function that makes a torch.nn.Module, got {builder!r}.")
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise InvalidInput(f"folder: there is no folder {folder}.")
    files = [file for file in folder.glob(pattern or "*") if file.is_file() and not file.name.startswith(".")]
    files = [file for file in files if file.suffix in WEIGHTS_SUFFIXES]
    if not files:
        wanted = f"fits {pattern!r} and ends in" if pattern else "ends in"
        raise InvalidInput(f"folder: no file of {folder} {wanted} {', '.join(WEIGHTS_SUFFIXES)}.")
    return Checkpoints(_by_name(files, folder), builder)


def _by_name(files: list[pathlib.Path], folder: pathlib.Path) -> dict[str, pathlib.Path]:
    whole = {file: str(file.relative_to(folder)) for file in files}
    short = {file: _without_suffix(name) for file, name in whole.items()}
    twice = {name for name, number in Counter(short.values()).items() if number > 1}
    names = {file: whole[file] if short[file] in twice else short[file] for file in files}
    return {names[file]: file for file in sorted(files, key=lambda file: _natural(names[file]))}


def _without_suffix(name: str) -> str:
    for suffix in (".tar", *WEIGHTS_SUFFIXES):  # .pth.tar are two
        name = name.removesuffix(suffix)
    return name


def _natural(name: str) -> list[tuple[int, int, str]]:
    """A key under which numbers in names are ordered as numbers."""
    parts = re.split(r"(\d+)", name)
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]


def _has_required_parameter(builder: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(builder).parameters.values()
    except (TypeError, ValueError):  # of some built-in callables nothing is known
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return any(one.default is one.empty and one.kind in positional for one in parameters)
