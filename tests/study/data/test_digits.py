"""The digits of scikit-learn as 8-bit images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn import datasets

from transect.errors import StudyError
from transect.study.config import DataConfig
from transect.study.data.load import load_data

ALL = DataConfig(name="digits", train_samples=None, test_samples=None, label_noise=0.25)


def as_rows(images: np.ndarray) -> list[tuple[int, ...]]:
    return [tuple(row) for row in images.reshape(len(images), -1).tolist()]


def test_both_parts_together_are_the_collection():
    data = load_data(ALL)
    found = datasets.load_digits()
    mine = torch.cat([data.train.inputs, data.test.inputs]).numpy()
    labels = torch.cat([data.train.clean_labels, data.test.labels]).tolist()
    theirs = np.floor(found.images * 255 / 16 + 0.5).astype(np.uint8)
    assert (data.input_shape, data.classes, data.train.inputs.dtype) == ((1, 8, 8), 10, torch.uint8)
    assert sorted(zip(as_rows(mine), labels)) == sorted(zip(as_rows(theirs), found.target.tolist()))
    assert (mine.min(), mine.max()) == (0, 255)


def test_the_test_part_has_as_many_of_each_class_as_can_be():
    counts = torch.bincount(load_data(ALL).test.labels)
    assert (int(counts.sum()), int(counts.min()), int(counts.max())) == (597, 59, 60)


def test_noise_is_in_the_training_labels_only():
    data = load_data(ALL.model_copy(update={"validation_samples": 100}))
    assert len(data.train.noisy_indices) == 275
    for split in (data.validation, data.test):
        assert torch.equal(split.labels, split.clean_labels)


def test_indices_of_clean_and_noisy_samples_are_those_of_right_and_wrong_labels():
    train = load_data(ALL).train
    assert bool((train.labels == train.clean_labels)[train.indices("clean")].all())
    assert bool((train.labels != train.clean_labels)[train.indices("noisy")].all())
    assert sorted([*train.clean_indices.tolist(), *train.noisy_indices.tolist()]) == train.indices("all").tolist()


@pytest.mark.parametrize("size", [4, 12])
def test_digits_are_resized_as_pillow_does(size):
    whole, small = load_data(ALL), load_data(ALL.model_copy(update={"image_size": size}))
    expected = [
        np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR))
        for image in whole.test.inputs[:40, 0].numpy()
    ]
    difference = small.test.inputs[:40, 0].numpy().astype(int) - np.stack(expected)
    assert np.abs(difference).max() <= 1


def test_more_than_there_are_are_refused():
    with pytest.raises(StudyError, match="at most 1200 samples"):
        load_data(DataConfig(name="digits", train_samples=1201))
    data = load_data(DataConfig(name="digits"))
    assert (len(data.train), len(data.test)) == (1200, 597)
