"""What data, files of weights and models of the user are, where the settings of a study only name them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from transect.errors import StudyError, TransectError
from transect.loading import read_weights
from transect.study.config import DataConfig, NetworkConfig, StudyConfig
from transect.study.data.dataset import DataSet
from transect.study.data.load import data_digest, load_data
from transect.study.models import build_model
from transect.study.models.structure import structure_digest, tensors_digest
from transect.study.settings import canonical_json

_IN_WORDS = {
    "data": "the images in data.folder",
    "weights": "the weights in model.checkpoint",
    "structure": "the model that model.name makes",
}


def identified(config: StudyConfig, cache: Path | None = None, build: bool = True) -> StudyConfig:
    """The same study, with digests of what its settings only name: what is finished is known by them.

    Of a folder of images that is a digest of its pixels and labels; of a checkpoint, of its tensors; of a model of the
    user, of its structure (:func:`~transect.study.models.structure.structure_digest`).

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
    plain = config.model_copy(update={"contents": ()})
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

    return plain.model_copy(update={"contents": tuple(found(network) for network in plain.networks())})


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
