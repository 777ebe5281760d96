"""What a user gives to ``measure`` as models: named, opened one at a time, told apart by their weights."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from transect.errors import InvalidInput
from transect.graph.node import leaves
from transect.network import Network

Model = Network | nn.Module


@dataclass(frozen=True)
class Source:
    """A model by name, made when it is wanted."""

    name: str
    open: Callable[[], Model]


@dataclass(frozen=True)
class Survey:
    """What is known of a model before it is measured.

    Attributes:
        fingerprint: Digest of its structure and weights.
        on_cpu: Whether they lie on the CPU.
    """

    fingerprint: str
    on_cpu: bool


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


def survey(source: Source) -> Survey:
    """Open a model, look at it, and let it go.

    Raises:
        InvalidInput: It is not a model, or cannot be loaded.
    """
    model = source.open()
    tensors = _tensors(model)
    return Survey(_fingerprint(model, tensors), all(tensor.device.type == "cpu" for _, tensor in tensors))


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

    return Source(name, opened)


def _tensors(model: Model) -> list[tuple[str, Tensor]]:
    if isinstance(model, nn.Module):
        return [(name, value) for name, value in model.state_dict().items() if isinstance(value, Tensor)]
    held = [part for node in model.graph.nodes for part in leaves((node.args, dict(node.kwargs)))]
    return [(str(index), part) for index, part in enumerate(held) if isinstance(part, Tensor)]


def _fingerprint(model: Model, tensors: list[tuple[str, Tensor]]) -> str:
    structure = re.sub(r" at 0x[0-9a-fA-F]+", "", _structure(model))  # of functions: another one in every process
    digest = hashlib.sha256(structure.encode())
    for name, tensor in tensors:
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:32]


def _structure(model: Model) -> str:
    """The classes and settings of a module's parts, or the operations of a network with all that is no tensor."""
    if isinstance(model, nn.Module):
        return f"{type(model).__module__}.{type(model).__qualname__} {model}"
    arguments = (
        [repr(part) for part in leaves((node.args, dict(node.kwargs))) if not isinstance(part, Tensor)]
        for node in model.graph.nodes
    )
    lines = [f"{node.operation} {known}" for node, known in zip(model.graph.nodes, arguments, strict=True)]
    return "\n".join([f"{model.name} {model.dtype} {model.input_shape}", *lines])
