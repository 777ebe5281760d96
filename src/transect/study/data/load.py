"""From the data section of a configuration to tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from transect.errors import StudyError
from transect.study.config import DataConfig
from transect.study.data.cache import default_cache_folder
from transect.study.data.cifar import load_cifar
from transect.study.data.dataset import DataSet, with_label_noise
from transect.study.data.embedded import load_digits, load_mnist1d
from transect.study.data.image_folder import image_folder_digest, load_image_folder
from transect.study.data.images import ImageSource
from transect.study.data.samples import drawn


def load_data(config: DataConfig, cache: Path | None = None) -> DataSet:
    """The data set that a study trains on, with its label noise.

    Args:
        config: Which data set, its sizes and seeds.
        cache: Folder of the cache; :func:`~transect.study.data.cache.default_cache_folder` where None.

    Returns:
        The data set; images are 8-bit, with their normalisation.

    Raises:
        StudyError: If the data is not there or cannot be made, or more samples are asked for than there are.
        MissingDependency: If it needs torchvision, which is not installed.
    """
    folder = default_cache_folder() if cache is None else cache
    made = _SIGNALS.get(config.name)
    clean = drawn(_IMAGES[config.name](config, folder), config) if made is None else made(config, folder)
    return with_label_noise(clean, config.label_noise, config.noise_seed)


def data_digest(config: DataConfig, cache: Path | None = None) -> str:
    """Digest of the pixels and labels of a folder of images, as :func:`load_data` finds them.

    Raises:
        StudyError: As :func:`load_data`.
    """
    folder = default_cache_folder() if cache is None else cache
    return image_folder_digest(config.folder, config.image_size, folder)


def _mnist1d(config: DataConfig, cache: Path) -> DataSet:
    assert config.train_samples is not None  # filled in when it was read
    assert config.test_samples is not None
    if config.image_size is not None:
        raise StudyError("data.image_size: expected none for mnist1d, which has signals of 40 samples; leave it out")
    return load_mnist1d(config.train_samples, config.test_samples, config.seed, cache, config.validation_samples)


_SIGNALS: Mapping[str, Callable[[DataConfig, Path], DataSet]] = {"mnist1d": _mnist1d}
"""Data sets of signals: from the settings and the folder of the cache to the samples, without label noise."""

_IMAGES: Mapping[str, Callable[[DataConfig, Path], ImageSource]] = {
    "digits": lambda config, cache: load_digits(config.seed, config.image_size),
    "cifar10": lambda config, cache: load_cifar(config),
    "cifar100": lambda config, cache: load_cifar(config),
    "images": lambda config, cache: load_image_folder(config.folder, config.image_size, cache),
}
"""Collections of images, likewise: all that there is, of which samples are drawn."""
