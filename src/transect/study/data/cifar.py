"""CIFAR-10 and CIFAR-100 (Krizhevsky, 2009), as torchvision keeps them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from transect.errors import MissingDependency, StudyError
from transect.study.config import DataConfig
from transect.study.data.images import ImageSource, LabelledImages, resized


def load_cifar(config: DataConfig) -> ImageSource:
    """All of CIFAR-10 or CIFAR-100, ``(N, 3, 32, 32)`` or resized, from a folder of torchvision.

    The folder is only read, unless the configuration allows a download and the data is not there. torchvision compares
    every file with its published checksum before it opens it.

    Args:
        config: ``name``, ``folder``, ``download`` and ``image_size`` are used.

    Raises:
        StudyError: If no folder is given, or the data is not there or damaged; says which files belong where.
        MissingDependency: If torchvision is not installed.
    """
    kind = _torchvision_class(config.name)
    if config.folder is None:
        raise StudyError(
            f"data.folder: expected the folder of {config.name}, the one that has {kind.base_folder}/ in it, got none; "
            "with data.download = true the data is downloaded to it"
        )
    folder = Path(config.folder).expanduser()
    train, test = (_opened(kind, folder, config, is_train) for is_train in (True, False))
    return ImageSource(config.name, len(train.classes), *(_labelled(part, config.image_size) for part in (train, test)))


def _torchvision_class(name: str) -> Any:
    try:
        from torchvision import datasets
    except ImportError as error:
        raise MissingDependency(
            f"data.name: {name} is read by torchvision, which cannot be imported ({error}): "
            "pip install 'transect[vision]'"
        ) from error
    return {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}[name]


def _opened(kind: Any, folder: Path, config: DataConfig, is_train: bool) -> Any:
    try:
        return kind(root=str(folder), train=is_train, download=config.download)
    except (RuntimeError, OSError) as error:
        raise StudyError(_explained(kind, folder, config, error)) from error


def _explained(kind: Any, folder: Path, config: DataConfig, error: Exception) -> str:
    files = [name for name, _ in (*kind.train_list, *kind.test_list)] + [kind.meta["filename"]]
    missing = [name for name in files if not (folder / kind.base_folder / name).is_file()]
    found = f"{', '.join(missing)} not there" if missing else f"one of them is damaged ({error})"
    if config.download:
        found += f", and the download failed ({error})" if missing else ", and downloading them again did not help"
    return (
        f"data.folder: expected the files {', '.join(files)} of {config.name} in {folder / kind.base_folder}, got "
        f"{found}; unpack {kind.url} in {folder}, or set data.download = true"
    )


def _labelled(part: Any, size: int | None) -> LabelledImages:
    images = torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous()
    return LabelledImages(resized(images, size), torch.tensor(part.targets, dtype=torch.int64))
