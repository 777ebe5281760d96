"""What a user gives to ``measure`` as models: named, and opened one at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from transect.errors import InvalidInput, check_name
from transect.network import Network

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
