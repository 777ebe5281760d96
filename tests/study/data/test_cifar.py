"""CIFAR in torchvision's folder: small files of its form, whose checksums are those that torchvision is told."""

from __future__ import annotations

import hashlib
import os
import pickle
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import datasets

from transect.errors import MissingDependency, StudyError
from transect.study.config import DataConfig, StudyConfig
from transect.study.data.load import load_data
from transect.study.running.forecasting import forecast_study

NAMES = [f"class {index}" for index in range(10)]


def write(path: Path, content: dict) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content))
    return hashlib.md5(path.read_bytes()).hexdigest()


def rows(seed: int, count: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 3 * 32 * 32), dtype=np.uint8)


@pytest.fixture
def cifar10(tmp_path, monkeypatch):
    """Two training batches of 20 images and a test batch of 10; image i of a batch is of class i mod 10."""
    folder = tmp_path / datasets.CIFAR10.base_folder

    def batch(name: str, seed: int, count: int) -> list[str]:
        labels = [index % 10 for index in range(count)]
        return [name, write(folder / name, {"data": rows(seed, count), "labels": labels})]

    monkeypatch.setattr(datasets.CIFAR10, "train_list", [batch("data_batch_1", 1, 20), batch("data_batch_2", 2, 20)])
    monkeypatch.setattr(datasets.CIFAR10, "test_list", [batch("test_batch", 3, 10)])
    md5 = write(folder / "batches.meta", {"label_names": NAMES})
    monkeypatch.setattr(datasets.CIFAR10, "meta", datasets.CIFAR10.meta | {"md5": md5})
    return tmp_path


def config(folder: Path, **settings) -> DataConfig:
    given = {"name": "cifar10", "folder": str(folder), "train_samples": None, "test_samples": None, "label_noise": 0.0}
    return DataConfig(**given | settings)


def as_set(images: torch.Tensor) -> set[bytes]:
    return {image.numpy().tobytes() for image in images}


def test_the_images_and_labels_are_those_of_the_files(cifar10):
    data = load_data(config(cifar10))
    expected = np.concatenate([rows(1, 20), rows(2, 20)])
    of_row = {row.tobytes(): index % 10 for index, row in enumerate(expected)}
    assert (data.input_shape, data.classes, data.train.inputs.dtype) == ((3, 32, 32), 10, torch.uint8)
    assert as_set(data.train.inputs) == set(of_row)
    assert as_set(data.test.inputs) == {row.tobytes() for row in rows(3, 10)}
    assert data.train.labels.tolist() == [of_row[image.numpy().tobytes()] for image in data.train.inputs]


def test_the_fine_labels_of_cifar100_are_used(tmp_path, monkeypatch):
    folder, kind = tmp_path / datasets.CIFAR100.base_folder, datasets.CIFAR100
    for name, attribute in (("train", "train_list"), ("test", "test_list")):
        content = {"data": rows(4, 5), "fine_labels": [99, 3, 3, 0, 7], "coarse_labels": [0] * 5}
        monkeypatch.setattr(kind, attribute, [[name, write(folder / name, content)]])
    md5 = write(folder / "meta", {"fine_label_names": [str(index) for index in range(100)]})
    monkeypatch.setattr(kind, "meta", kind.meta | {"md5": md5})
    data = load_data(config(tmp_path, name="cifar100"))
    assert data.classes == 100
    assert sorted(data.train.labels.tolist()) == [0, 3, 3, 7, 99]


def test_images_are_resized_as_pillow_does(cifar10):
    data = load_data(config(cifar10, image_size=16))
    images = rows(3, 10).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    expected = [np.asarray(Image.fromarray(image).resize((16, 16), Image.Resampling.BILINEAR)) for image in images]
    order = data.test.labels  # image i has the label i
    difference = data.test.inputs.permute(0, 2, 3, 1).numpy().astype(int) - np.stack(expected)[order]
    assert data.input_shape == (3, 16, 16)
    assert np.abs(difference).max() <= 1


def test_the_folder_is_only_read(cifar10):
    before = {path: path.stat().st_mtime_ns for path in cifar10.rglob("*")}
    load_data(config(cifar10, download=True))
    assert {path: path.stat().st_mtime_ns for path in cifar10.rglob("*")} == before


def test_nothing_is_downloaded_unless_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.CIFAR10, "download", lambda self: pytest.fail("downloaded"))
    with pytest.raises(StudyError, match="download = true"):
        load_data(config(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_forecast_downloads_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.CIFAR10, "download", lambda self: pytest.fail("downloaded"))
    study = StudyConfig(data={"name": "cifar10", "folder": str(tmp_path), "download": True}, model={"name": "cnn5"})
    with pytest.raises(StudyError, match="It is set: the run downloads, a forecast of it does not"):
        list(forecast_study(study, cache=tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_missing_files_are_named_with_the_folder_where_they_belong(cifar10):
    (cifar10 / "cifar-10-batches-py" / "data_batch_2").unlink()
    with pytest.raises(StudyError, match=r"data_batch_2 not there; unpack https.*tar.gz in .*download = true") as error:
        load_data(config(cifar10))
    assert str(cifar10 / "cifar-10-batches-py") in str(error.value)
    assert "data_batch_1, data_batch_2, test_batch, batches.meta" in str(error.value)


def test_a_damaged_file_is_refused_before_it_is_opened(cifar10):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(cifar10 / "opened"),)

    write(cifar10 / "cifar-10-batches-py" / "test_batch", {"data": Trap()})
    with pytest.raises(StudyError, match="one of them is damaged"):
        load_data(config(cifar10))
    assert not (cifar10 / "opened").exists()


def test_a_download_that_fails_says_so(tmp_path, monkeypatch):
    def unreachable(self):
        raise OSError("no network")

    monkeypatch.setattr(datasets.CIFAR10, "download", unreachable)
    with pytest.raises(StudyError, match=r"download failed \(no network\)"):
        load_data(config(tmp_path, download=True))


def test_a_folder_is_needed():
    with pytest.raises(StudyError, match=r"data.folder: .*cifar-10-batches-py.*got none"):
        load_data(DataConfig(name="cifar10"))


def test_without_torchvision_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", SimpleNamespace())
    with pytest.raises(MissingDependency, match=r"pip install 'transect\[vision\]'"):
        load_data(DataConfig(name="cifar10", folder="somewhere"))
