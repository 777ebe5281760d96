"""Models by name: ``package.module:callable``, a network of torchvision's zoo, a saved program of ``torch.export``."""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram

from transect.errors import InvalidInput, MissingDependency, did_you_mean
from transect.networks.files import WEIGHTS_SUFFIXES, load_program, load_weights


@contextmanager
def current_folder() -> Iterator[None]:
    """Imports also look in the current folder, as those of ``python -m`` do."""
    before, folder = list(sys.path), os.getcwd()
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path[:] = before


def imported(place: str, attribute: str, what: str = "model") -> Any:
    """What ``from place import attribute`` gives; the attribute may have dots.

    Args:
        place: The module.
        attribute: The attribute.
        what: What is imported, for messages.

    Raises:
        InvalidInput: There is no such module or attribute (the nearest ones are named), or importing it fails.
    """
    found: Any = _module(place, what)
    for part in attribute.split("."):
        if not hasattr(found, part):
            public = [name for name in dir(found) if not name.startswith("_")]
            raise InvalidInput(f"{what}: {place} has no {attribute!r}{did_you_mean(attribute, public)}.")
        found = getattr(found, part)
    return found


def _module(place: str, what: str) -> ModuleType:
    importlib.invalidate_caches()
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name is not None and (place == error.name or place.startswith(f"{error.name}.")):
            raise InvalidInput(
                f"{what}: there is no module {place!r}, neither in the current folder nor installed"
                f"{did_you_mean(place, (file.stem for file in Path().glob('*.py')))}; expected "
                "package.module:callable, as in an import, without .py."
            ) from error
        raise InvalidInput(f"{what}: importing {place} failed: {error}; install what it needs.") from error
    except Exception as error:  # whatever a user's file raises
        raise InvalidInput(f"{what}: importing {place} failed: {type(error).__name__}: {error}") from error


_IMAGE, _FRAMES = 224, 16  # of a torchvision model that does not say
_BATCH = "dynamic_shapes=({0: torch.export.Dim.DYNAMIC},)"


@dataclass(frozen=True, eq=False)
class Loaded:
    """A model that was found by its name.

    Attributes:
        name: The name.
        module: The model, in evaluation mode.
        input_shape: Shape of one input, where the model or its collection says it; else None.
        normalisation: Mean and standard deviation of each channel that its collection normalises images by, whose
            values lie between 0 and 1; None where nobody says so.
    """

    name: str
    module: nn.Module
    input_shape: tuple[int, ...] | None
    normalisation: tuple[tuple[float, ...], tuple[float, ...]] | None = None


def load_model(
    name: str, weights: str | os.PathLike[str] | None = None, arguments: Mapping[str, object] | None = None
) -> Loaded:
    """Find a model by its name; nothing is downloaded.

    Args:
        name: ``package.module:callable`` (a class or function that makes an ``nn.Module``, or a module; also imported
            from the current folder), a name of ``torchvision.models`` (with random weights, always the same), or the
            path of a program saved by ``torch.export.save`` that ends in ``.pt2`` (read as data).
        weights: File of weights to load into it, as data: see :func:`transect.networks.load_weights`.
        arguments: Given to the callable, or to torchvision's builder, by name.

    Raises:
        InvalidInput: There is no such model, it cannot be made, or the weights do not fit.
        MissingDependency: It would be a model of torchvision, which is not installed.
    """
    if name.endswith(".pt2"):
        if arguments:
            raise InvalidInput(f"arguments: {name} is a saved program, which takes none; leave them out.")
        return _exported(name, weights)
    loaded = _imported(name, arguments or {}) if ":" in name else _from_zoo(name, arguments or {})
    loaded.module.eval()
    if weights is not None:
        load_weights(loaded.module, weights)
    return loaded


def _imported(name: str, arguments: Mapping[str, object]) -> Loaded:
    place, _, attribute = name.partition(":")
    with current_folder():
        found: Any = imported(place, attribute)
        if not isinstance(found, nn.Module):
            found = _call(found, name, arguments)
        elif arguments:
            raise InvalidInput(f"arguments: {name} is a module already, and takes none; leave them out.")
    return Loaded(name, found, None)


def _call(build: Any, name: str, arguments: Mapping[str, object]) -> nn.Module:
    if not callable(build):
        raise InvalidInput(
            f"model: {name} is of type {type(build).__name__}; expected a torch.nn.Module, or a class or function that "
            "makes one."
        )
    try:
        made = build(**arguments)
    except Exception as error:  # whatever a user's code raises
        raise InvalidInput(
            f"model: {name}({_written(arguments)}) failed: {type(error).__name__}: {error}. Arguments are given as "
            """JSON, such as --arguments '{"width": 64}'."""
        ) from error
    if not isinstance(made, nn.Module):
        raise InvalidInput(
            f"model: {name}({_written(arguments)}) returned a value of type {type(made).__name__}; expected a "
            "torch.nn.Module."
        )
    return made


def _written(arguments: Mapping[str, object]) -> str:
    return ", ".join(f"{key}={value!r}" for key, value in arguments.items())


def _from_zoo(name: str, arguments: Mapping[str, object]) -> Loaded:
    if name.endswith(WEIGHTS_SUFFIXES):
        raise InvalidInput(
            f"model: {name} is a file of weights, which do not say what to compute with them. Name the model, and give "
            "the file as --weights."
        )
    try:
        from torchvision import models
    except ImportError as error:
        raise MissingDependency(
            f"model: {name!r} is looked for among the models of torchvision, which cannot be imported ({error}): "
            "pip install 'transect[vision]'. A model of your own is given as package.module:callable."
        ) from error
    if name not in (known := models.list_models()):
        raise InvalidInput(
            f"model: torchvision has no model {name!r}{did_you_mean(name, known)}. Expected one of its {len(known)} "
            "models, a model of your own as package.module:callable, or a program of torch.export that ends in .pt2."
        )
    builder = models.get_model_builder(name)
    own = {key: None for key in ("weights", "weights_backbone") if key in inspect.signature(builder).parameters}
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # how some will draw their first weights in future
        torch.default_generator.manual_seed(0)
        module = _call(functools.partial(builder, **own), name, arguments)
    return Loaded(name, module, _zoo_shape(name), _zoo_normalisation(name))


def _zoo_shape(name: str) -> tuple[int, ...]:
    """Shape of the images or films that the published weights of a model of torchvision take."""
    from torchvision import models

    weights = list(models.get_model_weights(name))
    options = getattr(weights[0].transforms, "keywords", {}) if weights else {}
    size = options.get("crop_size", _IMAGE)
    height, width = size if isinstance(size, Iterable) else (size, size)
    is_film = models.get_model_builder(name).__module__.startswith("torchvision.models.video")
    return (3, *((_FRAMES,) if is_film else ()), height, width)


def _zoo_normalisation(name: str) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """What the published weights of a model of torchvision have images normalised by."""
    from torchvision import models

    weights = list(models.get_model_weights(name))
    transform = weights[0].transforms() if weights else None
    mean, std = getattr(transform, "mean", None), getattr(transform, "std", None)
    return None if mean is None or std is None else (tuple(mean), tuple(std))


class Exported(nn.Module):
    """An exported program as a module that remembers, when it is exported again, where its operations come from.

    Its mode, training or evaluation, is the one it was exported in.
    """

    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__()
        self.graph = graph

    def forward(self, x: Tensor) -> Any:
        """Run the program, one operation after the other."""
        with fx.traceback.preserve_node_meta():
            return fx.Interpreter(self.graph).run(x)

    def train(self, mode: bool = True) -> Exported:
        """Nothing: the mode is part of the operations."""
        return self


def _exported(path: str, weights: str | os.PathLike[str] | None) -> Loaded:
    program = load_program(path)
    shape = _program_shape(program, path)
    # Without decompositions: only writing in place is undone, which torch.export does not always take a second time.
    graph = program.run_decompositions({}).module()
    if weights is not None:
        load_weights(graph, weights)
    return Loaded(path, Exported(graph), shape)


def _program_shape(program: ExportedProgram, path: str) -> tuple[int, ...]:
    """Shape of one input of a program whose first dimension counts the inputs."""
    names = program.graph_signature.user_inputs
    made = [node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder" and node.name in names]
    if len(made) != 1 or not isinstance(made[0], torch.Tensor):
        raise InvalidInput(f"model: the program {path} takes {len(names)} inputs; expected one tensor.")
    rows, *sizes = (*made[0].shape, 0)
    if not isinstance(rows, torch.SymInt):
        raise InvalidInput(
            f"model: the program {path} fixes its batch, its input has the shape {tuple(made[0].shape)}. Export it "
            f"with a dynamic one: torch.export.export(model, (batch,), {_BATCH}), with two or more inputs in the batch."
        )
    return tuple(_hint(size) for size in sizes[:-1])


def _hint(size: int | torch.SymInt) -> int:
    """A size, or for a dynamic one that of the example the program was exported with."""
    return int(str(size.node.hint)) if isinstance(size, torch.SymInt) else size
