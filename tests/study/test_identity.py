"""What a study takes for done: data, weights and models by what they are."""

from __future__ import annotations

import os
import shutil

import pytest
import safetensors.torch
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from support.study_fakes import GIVEN
from transect.errors import StudyError
from transect.study.config import StudyConfig
from transect.study.data.load import load_data
from transect.study.identity import identified, refuse_changed, structure_digest
from transect.study.running.status import study_status
from transect.study.running.sweep import claim, read_configuration


@pytest.fixture
def images(tmp_path):
    for part in ("train", "test"):
        for label in ("one", "two"):
            folder = tmp_path / "A" / "images" / part / label
            folder.mkdir(parents=True)
            for index in range(2):
                noise = torch.randint(256, (4, 4, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(index))
                Image.fromarray(noise.numpy()).save(folder / f"{index}.png")
    return tmp_path / "A" / "images"


def of_images(folder, cache):
    data = {"name": "images", "folder": str(folder), "train_samples": None, "test_samples": None}
    return identified(StudyConfig.parse({"data": data, "paths": {"kind": "circle"}}), cache)


def hash_of(study):
    return study.networks()[0].hash()


def test_images_are_known_by_their_pixels_wherever_they_lie(images, tmp_path):
    cache = tmp_path / "cache"
    before = of_images(images, cache)
    shutil.copytree(images, tmp_path / "B" / "other")
    assert hash_of(of_images(tmp_path / "B" / "other", cache)) == hash_of(before)
    shutil.copytree(images, tmp_path / "C" / "images")
    (tmp_path / "C" / "images" / "train" / "one" / "0.png").unlink()
    assert hash_of(of_images(tmp_path / "C" / "images", cache)) != hash_of(before)
    file = images / "train" / "two" / "1.png"
    stat = file.stat()
    written = bytearray(Image.new("RGB", (4, 4)).tobytes())
    Image.frombytes("RGB", (4, 4), bytes(written)).save(file)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    after = of_images(images, cache)
    assert hash_of(after) != hash_of(before)
    with pytest.raises(StudyError, match=r"the images in data.folder changed while"):
        refuse_changed(before.networks()[0], load_data(before.data[0], cache), cache)


def test_other_images_in_the_folder_of_a_study_are_refused_with_what_differs(images, tmp_path):
    claim(of_images(images, tmp_path / "cache"), tmp_path / "study")
    (tmp_path / "study" / "runs").mkdir()
    claim(of_images(images, tmp_path / "cache"), tmp_path / "study")
    (images / "train" / "one" / "0.png").unlink()
    with pytest.raises(StudyError, match=r"contents.data: \w+ there, \w+ here"):
        claim(of_images(images, tmp_path / "cache"), tmp_path / "study")


def test_checkpoints_are_known_by_their_weights(tmp_path):
    def study(name):
        model = {"name": "mlp", "width": 3, "checkpoint": str(tmp_path / name)}
        return identified(StudyConfig.parse(GIVEN | {"model": model, "train": {}}), tmp_path / "cache")

    weights = {"a": torch.ones(3), "b": torch.zeros(2, 2)}
    torch.save(weights, tmp_path / "one.pt")
    safetensors.torch.save_file(weights, tmp_path / "two.safetensors", metadata={"made": "later"})
    assert hash_of(study("one.pt")) == hash_of(study("two.safetensors"))
    torch.save(weights | {"b": torch.zeros(4)}, tmp_path / "two.pt")
    torch.save({"model": {**weights, "a": torch.tensor([1, 1, 1 + 1e-6])}}, tmp_path / "three.pt")
    assert len({hash_of(study(name)) for name in ("one.pt", "two.pt", "three.pt")}) == 3
    before = study("one.pt")
    torch.save({"a": torch.zeros(3)}, tmp_path / "one.pt")
    assert hash_of(study("one.pt")) != hash_of(before)
    (tmp_path / "four.pt").write_bytes(b"no tensors")
    assert study("four.pt").contents == ({},)  # the work on it says why


class Net(nn.Module):
    def __init__(self, forward, slope=0.1, mask=1.0, units=3):
        super().__init__()
        self.first, self.last, self.slope = nn.Linear(4, units), nn.Linear(units, 2), slope
        self.register_buffer("mask", torch.full((2,), mask), persistent=False)
        self._forward = forward

    def forward(self, x):
        return self.last(self._forward(self.first(x), self.slope)) * self.mask


def plain(y, slope):
    return F.relu(y)


EDITED = {
    "function": lambda y, slope: F.leaky_relu(y, 0.2),
    "constant": lambda y, slope: F.relu(y) * 2,
    "constant tensor": lambda y, slope: F.relu(y) * torch.tensor(2.0),
    "other constant tensor": lambda y, slope: F.relu(y) * torch.tensor(3.0),
    "order": lambda y, slope: F.relu(y.abs()) + y,
    "operands": lambda y, slope: F.relu(y) + y.abs(),
    "first twice": lambda y, slope: F.relu(y) + 1,
}


def test_models_are_known_by_their_parts_and_operations_whatever_their_weights():
    torch.manual_seed(0)
    before = structure_digest(Net(plain), (4,))
    assert structure_digest(Net(lambda y, slope: torch.relu(y)), (4,)) == before
    found = {name: structure_digest(Net(forward), (4,)) for name, forward in EDITED.items()}
    found |= {name: structure_digest(Net(plain, **{name: 5}), (4,)) for name in ("slope", "mask", "units")}
    assert len({before, *found.values()}) == 1 + len(found)


def test_a_model_whose_code_was_edited_is_another_network(tmp_path, monkeypatch):
    from support import study_models

    monkeypatch.chdir(os.path.dirname(__file__))
    config = StudyConfig.parse(GIVEN | {"model": {"name": "support.study_models:small", "width": [2, 3]}})
    before = identified(config, tmp_path)
    assert len({tuple(one.items()) for one in before.contents}) == 2
    assert identified(config, tmp_path) == before
    monkeypatch.setattr(study_models, "small", lambda width, classes: nn.Sequential(nn.Linear(40, classes)))
    after = identified(config, tmp_path)
    assert not {one.hash() for one in before.networks()} & {one.hash() for one in after.networks()}
    with pytest.raises(StudyError, match=r"the model that model.name makes changed while"):
        refuse_changed(before.networks()[0], load_data(before.data[0], tmp_path), tmp_path)


def test_the_folder_of_an_older_version_is_read_where_it_is_provably_the_same_and_refused_elsewhere(tmp_path):
    old = StudyConfig.parse({"data": {"name": "digits"}, "model": {"width": 3}})
    claim(old, tmp_path / "generated")
    assert study_status(tmp_path / "generated").runs[0].condition == "waiting"
    claim(StudyConfig.parse({"data": {"name": "images", "folder": "a"}}), tmp_path / "images")
    with pytest.raises(StudyError, match=r"written by an older version.*another folder"):
        study_status(tmp_path / "images")
    with pytest.raises(StudyError, match="older version"):
        read_configuration(tmp_path / "images")
