"""MNIST-1D: digits as one-dimensional signals of 40 samples (Greydanus and Kobak, 2024), made on this machine."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from transect.errors import StudyError
from transect.study.data.cache import read_cached, write_cached
from transect.study.data.dataset import DataSet, Split

CLASSES = 10
_GENERATOR_VERSION = "1"  # part of the file name: another way of making the data must not find the old file


def load_mnist1d(train_samples: int, test_samples: int, seed: int, cache: Path, validation_samples: int = 0) -> DataSet:
    """MNIST-1D of the given size, without label noise, from the cache or newly made.

    The signals are used raw: the generator gives them mean zero and variance one over all samples together, so that
    another size of one part means other signals in all parts.

    Args:
        train_samples: Number of training samples.
        test_samples: Number of test samples.
        seed: Seed of the generator.
        cache: Folder of the cache. Several processes may make the file at once; a damaged file is made again.
        validation_samples: Number of validation samples.

    Returns:
        Inputs ``(N, 40)`` float32; ten classes, as equally frequent as the total allows.

    Raises:
        StudyError: If a size is not positive, or the cache cannot be written.
    """
    if train_samples < 1 or test_samples < 1:
        raise StudyError(f"expected positive sizes of MNIST-1D, got {train_samples} and {test_samples} samples")
    sizes = (train_samples, validation_samples, test_samples)
    total = sum(sizes)
    path = cache / f"mnist1d-{total}-samples-seed-{seed}-v{_GENERATOR_VERSION}.safetensors"
    tensors = read_cached(path)
    if tensors is None:
        tensors = _generate(total, seed)
        write_cached(tensors, path)
    inputs, labels = tensors["inputs"].split(sizes), tensors["labels"].split(sizes)
    train, validation, test = (Split.clean(*part) for part in zip(inputs, labels, strict=True))
    return DataSet("mnist1d", CLASSES, train, validation, test)


def _generate(samples: int, seed: int) -> dict[str, Tensor]:
    from mnist1d.data import get_dataset_args, make_dataset  # here: it imports matplotlib and requests

    args = get_dataset_args()
    args.num_samples = -(-samples // CLASSES) * CLASSES  # it makes whole tens only; the rest is dropped below
    args.seed = seed
    with _global_seeds_restored():
        made = make_dataset(args)
    inputs = np.concatenate([made["x"], made["x_test"]])[:samples]  # already shuffled, both parts alike
    labels = np.concatenate([made["y"], made["y_test"]])[:samples]
    return {"inputs": torch.tensor(inputs, dtype=torch.float32), "labels": torch.tensor(labels, dtype=torch.int64)}


@contextmanager
def _global_seeds_restored() -> Iterator[None]:
    """The generator seeds and uses the global random states of Python and NumPy: leave them as they were."""
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002
