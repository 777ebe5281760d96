"""What data, files of weights and models of the user are, where the settings of a study only name them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from transect.errors import StudyError, TransectError
from transect.measuring.fingerprints import fingerprint
from transect.networks import read_weights
from transect.study.config import DataConfig, MeasuringConfig, NetworkConfig, StudyConfig
from transect.study.data.dataset import DataSet
from transect.study.data.load import data_digest, load_data
from transect.study.models import build_model
from transect.study.running.measuring import own_measures, path_maker
from transect.study.sections import canonical_json

_PLAIN = (bool, int, float, complex, str, type(None))


def structure_digest(model: nn.Module, input_shape: tuple[int, ...]) -> str:
    """A digest of a freshly built module, whatever weights it has.

    It is of the kinds of its submodules with their plain attributes, the shapes of its parameters, the values of its
    buffers, and the operations of one forward pass on zeros, in evaluation mode, with their constants. Code that this
    pass does not reach, such as what is only done in training, is not looked at.

    Args:
        model: The module; as it was when this returns.
        input_shape: Shape of one input.
    """
    lines = [*_parts(model), *_tensors(model), *_operations(model, input_shape)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def tensors_digest(tensors: Iterable[tuple[str, Tensor]]) -> str:
    """A digest of names, dtypes, shapes and values of tensors; their order does not matter."""
    digest = hashlib.sha256()
    for name, value in sorted(tensors, key=lambda pair: pair[0]):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(_bytes(value))
    return digest.hexdigest()


def _bytes(value: Tensor) -> memoryview:
    dense = value.detach().cpu().to_dense() if value.layout != torch.strided else value.detach().cpu()
    return np.ascontiguousarray(dense.contiguous().flatten().view(torch.uint8).numpy()).data


def _parts(model: nn.Module) -> list[str]:
    return [f"{name}: {type(part).__qualname__} {_attributes(part)}" for name, part in model.named_modules()]


def _attributes(part: nn.Module) -> str:
    own = {key: value for key, value in sorted(vars(part).items()) if not key.startswith("_") and key != "training"}
    return repr(
        {key: value for key, value in own.items() if all(isinstance(leaf, _PLAIN) for leaf in tree_leaves(value))}
    )


def _tensors(model: nn.Module) -> list[str]:
    shapes = [f"{name}: {value.dtype} {tuple(value.shape)}" for name, value in model.named_parameters()]
    return [*shapes, tensors_digest(model.named_buffers())]


def _operations(model: nn.Module, input_shape: tuple[int, ...]) -> list[str]:
    recorder, was_training = _Recorder(model), model.training
    try:
        with torch.no_grad(), recorder:
            model.eval()(torch.zeros(2, *input_shape))
    except Exception as error:  # whatever a user's module raises: its use will say so
        recorder.lines.append(type(error).__name__)
    finally:
        model.train(was_training)
    return recorder.lines


class _Recorder(TorchDispatchMode):
    """Writes down every operation with its constants, and which operations and weights its operands are from."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.lines: list[str] = []
        named = [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
        self._names = {id(value): name for name, value in named}
        self._kept: list[Any] = [model]  # so that no id is given twice

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        told = tree_map(self._told, (args, kwargs or {}))
        result = func(*args, **(kwargs or {}))
        for place, value in enumerate(tree_leaves(result)):
            self._names.setdefault(id(value), f"%{len(self.lines)}.{place}")
        self._kept.append(result)
        self.lines.append(f"{func}{told}")
        return result

    def _told(self, value: Any) -> str:
        if not isinstance(value, Tensor):
            return repr(value)
        self._kept.append(value)
        return self._names.get(id(value)) or f"constant {tensors_digest([('', value)])}"


_IN_WORDS = {
    "data": "the images in data.folder",
    "weights": "the weights in model.checkpoint",
    "structure": "the model that model.name makes",
}


def identified(config: StudyConfig, cache: Path | None = None, build: bool = True) -> StudyConfig:
    """The same study, with digests of what its settings only name: what is finished is known by them.

    Of a folder of images that is a digest of its pixels and labels; of a checkpoint, of its tensors; of a model of the
    user, of its structure (:func:`~transect.study.identity.structure_digest`); of a path maker or a measure of the
    user, of its code.

    Args:
        config: The study; digests that it has already are not used.
        cache: Folder of the data cache; None for the default one.
        build: Whether to build models of the user, which runs their code; else their structure is left out.

    Returns:
        The study with ``contents``. A file that cannot be read and a model that cannot be built have no digest: the
        work on that network will say why.

    Raises:
        StudyError: If the data cannot be made.
    """
    plain = config.model_copy(update={"contents": (), "code": ()})
    shapes: dict[str, tuple[tuple[int, ...], int]] = {}
    for data in plain.data:
        loaded = load_data(data, cache)  # once here, so that the workers find it in the cache
        shapes[_key(data)] = loaded.input_shape, loaded.classes
    known: dict[str, str | None] = {}

    def found(network: NetworkConfig) -> dict[str, str]:
        contents = {}
        for name, (setting, find) in _finders(network, *shapes[_key(network.data)], cache).items():
            if name == "structure" and not build:
                continue
            if (key := f"{name} {setting}") not in known:
                known[key] = None
                with suppress(TransectError):
                    known[key] = find()
            contents[name] = known[key]
        return {name: digest for name, digest in contents.items() if digest is not None}

    code = tuple(_code_of(one) if build else {} for one in plain.measurings())
    contents = tuple(found(network) for network in plain.networks())
    return plain.model_copy(update={"contents": contents, "code": code if any(code) else ()})


def _code_of(measuring: MeasuringConfig) -> dict[str, str]:
    """Digests of a user's own path maker and measures; what cannot be imported has none: measuring will say why."""
    found = {}
    with suppress(TransectError):
        if measuring.paths.is_users:
            found["paths"] = fingerprint(path_maker(measuring.paths))
        for place, measure in zip(measuring.measures.own, own_measures(measuring.measures), strict=True):
            if measure.make is not None:
                found[place] = fingerprint(measure.make)
    return found


def refuse_changed(network: NetworkConfig, data: DataSet, cache: Path | None) -> None:
    """Make sure that what a network is made of is still what it was when the study began.

    Raises:
        StudyError: If it is not.
        InvalidInput: If it cannot be read any more.
    """
    for name, (_, find) in _finders(network, data.input_shape, data.classes, cache).items():
        if name in network.contents and find() != network.contents[name]:
            raise StudyError(
                f"{_IN_WORDS[name]} changed while the study was running; run it again: what was done with the old "
                "ones is kept apart"
            )


def _finders(
    network: NetworkConfig, input_shape: tuple[int, ...], classes: int, cache: Path | None
) -> dict[str, tuple[str, Callable[[], str]]]:
    """Of what is only named, the settings on which it depends and what makes the digest."""
    data, model = network.data, network.model
    finders: dict[str, tuple[str, Callable[[], str]]] = {}
    if data.name == "images":
        finders["data"] = _key(data), lambda: data_digest(data, cache)
    if (checkpoint := model.checkpoint) is not None:
        finders["weights"] = checkpoint, lambda: tensors_digest(read_weights(checkpoint).items())
    if model.is_users:
        finders["structure"] = (
            f"{canonical_json(model.model_dump(mode='json', exclude={'checkpoint'}))} {input_shape} {classes}",
            lambda: structure_digest(build_model(model, input_shape, classes, seed=0), input_shape),
        )
    return finders


def _key(data: DataConfig) -> str:
    return canonical_json(data.model_dump(mode="json"))
