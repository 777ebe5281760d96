"""From the data section of a configuration to tensors."""

from __future__ import annotations

from pathlib import Path

from transect.study.config import DataConfig
from transect.study.data.cache import default_cache_folder
from transect.study.data.dataset import DataSet, with_label_noise
from transect.study.data.mnist1d import load_mnist1d


def load_data(config: DataConfig, cache: Path | None = None) -> DataSet:
    """The data set that a study trains on, with its label noise.

    Args:
        config: Which data set, its sizes and seeds.
        cache: Folder of the cache; :func:`~transect.study.data.cache.default_cache_folder` where None.

    Returns:
        The data set.

    Raises:
        StudyError: If the data cannot be made.
    """
    folder = default_cache_folder() if cache is None else cache
    clean = load_mnist1d(config.train_samples, config.test_samples, config.seed, folder)
    return with_label_noise(clean, config.label_noise, config.noise_seed)
