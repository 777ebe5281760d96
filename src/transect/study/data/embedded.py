"""Data sets that need no download: handwritten digits of scikit-learn, MNIST-1D."""

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
from transect.study.data.dataset import LARGEST, DataSet, Split
from transect.study.data.images import ImageSource, LabelledImages, resized
from transect.study.data.samples import interleaved

CLASSES = 10
TEST_PART = 597
"""Samples of the test part; the other 1,200 are the training part."""
_LARGEST_STORED = 16


def load_digits(seed: int, image_size: int | None = None) -> ImageSource:
    """The digits as 8-bit images ``(N, 1, 8, 8)``, in a training part of 1,200 and a test part of 597 images.

    The collection has no test part of its own: this one is drawn, as many of each class as can be.

    Args:
        seed: Of the choice of the test part.
        image_size: Side in pixels to which the images are resized; 8 where None.
    """
    from sklearn import datasets  # here: it takes a second

    found = datasets.load_digits()
    grey = torch.from_numpy(found.images) * (LARGEST / _LARGEST_STORED)
    images = resized(grey.round().to(torch.uint8).unsqueeze(1), image_size)
    samples = LabelledImages(images, torch.from_numpy(found.target).long())
    order = torch.randperm(len(samples), generator=torch.Generator().manual_seed(seed))
    order = order[interleaved(samples.labels[order])]
    return ImageSource("digits", CLASSES, train=samples[order[TEST_PART:]], test=samples[order[:TEST_PART]])


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
