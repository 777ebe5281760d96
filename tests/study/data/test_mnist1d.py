"""MNIST-1D: made as the package makes it, cached, remade when damaged."""

from __future__ import annotations

import multiprocessing
import random

import numpy as np
import pytest
import torch
from mnist1d.data import get_dataset_args, make_dataset

from transect.errors import StudyError
from transect.study.config import DataConfig
from transect.study.data.cache import default_cache_folder
from transect.study.data.dataset import SPLITS
from transect.study.data.embedded import load_mnist1d
from transect.study.data.load import load_data


def test_the_samples_are_those_of_the_package(tmp_path):
    data = load_mnist1d(30, 20, seed=5, cache=tmp_path)
    args = get_dataset_args()
    args.num_samples, args.seed, args.train_split = 50, 5, 0.6
    theirs = make_dataset(args)
    assert (data.classes, data.input_shape, data.train.inputs.dtype) == (10, (40,), torch.float32)
    np.testing.assert_array_equal(data.train.inputs.numpy(), theirs["x"].astype(np.float32))
    np.testing.assert_array_equal(data.test.labels.numpy(), theirs["y_test"])
    assert len(data.train.flipped) == len(data.test.flipped) == 0


def test_the_global_seeds_of_python_and_numpy_are_left_alone(tmp_path):
    before = random.getstate(), np.random.get_state()  # noqa: NPY002
    load_mnist1d(10, 10, seed=0, cache=tmp_path)
    assert random.getstate() == before[0]
    assert all(np.array_equal(now, then) for now, then in zip(np.random.get_state(), before[1]))  # noqa: NPY002


def test_sizes_that_are_no_tens_and_seeds_are_respected(tmp_path):
    first, other = (load_mnist1d(7, 5, seed, tmp_path) for seed in (0, 1))
    assert (len(first.train), len(first.test)) == (7, 5)
    assert not torch.equal(first.train.inputs, other.train.inputs)


def test_validation_samples_come_between_the_training_and_the_test_samples(tmp_path):
    parts = load_data(DataConfig(train_samples=23, validation_samples=9, test_samples=18, label_noise=0.5), tmp_path)
    whole = load_mnist1d(32, 18, seed=0, cache=tmp_path)
    assert [len(parts.split(name)) for name in SPLITS] == [23, 9, 18]
    assert torch.equal(torch.cat([parts.train.inputs, parts.validation.inputs]), whole.train.inputs)
    assert torch.equal(torch.cat([parts.train.clean_labels, parts.validation.labels]), whole.train.labels)
    assert torch.equal(parts.test.inputs, whole.test.inputs)
    assert len(parts.validation.noisy_indices) == 0


def test_signals_are_what_the_network_sees(tmp_path):
    data = load_mnist1d(10, 10, 0, tmp_path)
    assert data.normalisation is None
    assert torch.equal(data.prepare(data.train.inputs), data.train.inputs)
    assert torch.equal(data.prepare(data.train.inputs, torch.float64), data.train.inputs.double())


def test_an_image_size_makes_no_sense_for_signals(tmp_path):
    with pytest.raises(StudyError, match="signals of 40 samples"):
        load_data(DataConfig(image_size=16), tmp_path)


def test_a_seed_that_the_generator_does_not_take_is_refused(tmp_path):
    largest = DataConfig(train_samples=10, test_samples=10, seed=2**32 - 1)
    assert len(load_data(largest, tmp_path).train) == 10
    with pytest.raises(StudyError, match=r"seed: expected less than 2\*\*32 for mnist1d"):
        DataConfig.parse({"seed": 2**32})


@pytest.mark.parametrize("damage", ["truncated", "empty", "flipped bit", "other content"])
def test_a_damaged_cache_file_is_made_again(tmp_path, damage):
    good = load_mnist1d(10, 10, 0, tmp_path)
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    spoilt = {
        "truncated": content[:-100],
        "empty": b"",
        "flipped bit": content[:-9] + bytes([content[-9] ^ 1]) + content[-8:],
        "other content": b"hello" * 100,
    }
    path.write_bytes(spoilt[damage])
    again = load_mnist1d(10, 10, 0, tmp_path)
    assert torch.equal(again.train.inputs, good.train.inputs)
    assert torch.equal(again.test.labels, good.test.labels)
    assert path.read_bytes() == content


def test_the_cache_is_read_and_not_made_again(tmp_path, monkeypatch):
    made = load_mnist1d(10, 10, 0, tmp_path)
    monkeypatch.setattr("mnist1d.data.make_dataset", lambda args: pytest.fail("made again"))
    assert torch.equal(load_mnist1d(10, 10, 0, tmp_path).test.inputs, made.test.inputs)


def test_processes_that_make_it_at_once_all_get_it(tmp_path):
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        data = pool.starmap(load_mnist1d, [(20, 10, 0, tmp_path)] * 4, chunksize=1)
    assert all(torch.equal(each.train.inputs, data[0].train.inputs) for each in data)
    assert len(list(tmp_path.iterdir())) == 1


def test_an_unusable_cache_folder_says_what_to_do(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StudyError, match="XDG_CACHE_HOME"):
        load_mnist1d(10, 10, 0, tmp_path / "file" / "cache")


def test_the_default_cache_follows_xdg(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache_folder() == tmp_path / "transect"
    load_data(DataConfig(train_samples=10, test_samples=10))
    assert len(list((tmp_path / "transect").iterdir())) == 1


def test_label_noise_is_in_the_training_labels_only(tmp_path):
    data = load_data(DataConfig(train_samples=50, test_samples=50, label_noise=0.2, noise_seed=3), tmp_path)
    wrong = (data.train.labels != data.train.clean_labels).nonzero().squeeze(1)
    assert torch.equal(wrong, data.train.flipped)
    assert len(wrong) == 10
    assert torch.equal(data.test.labels, data.test.clean_labels)
