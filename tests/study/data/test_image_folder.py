"""A folder of images: decoded as Pillow does, cached, decoded again when anything changed."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from transect.errors import StudyError
from transect.study.config import DataConfig
from transect.study.data.dataset import DataSet
from transect.study.data.image_folder import load_image_folder
from transect.study.data.load import load_data


def picture(seed: int, height: int = 6, width: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def save(path: Path, pixels: np.ndarray, mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).convert(mode).save(path)


@pytest.fixture
def folder(tmp_path):
    """Two classes; 4 training images and 2 test images of each, PNG."""
    for label, name in enumerate(("zebra", "ant")):
        for index in range(6):
            part = "train" if index < 4 else "test"
            save(tmp_path / "images" / part / name / f"{index}.png", picture(10 * label + index))
    return tmp_path / "images"


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def load(folder: Path, cache: Path, **settings) -> DataSet:
    given = {"name": "images", "folder": str(folder), "train_samples": None, "test_samples": None, "label_noise": 0.0}
    return load_data(DataConfig(**given | settings), cache)


def found(folder: Path, cache: Path, size: int | None = None) -> list[np.ndarray]:
    """All training images in the order of the files, ``(height, width, 3)``."""
    return list(load_image_folder(str(folder), size, cache).train.images.permute(0, 2, 3, 1).numpy())


def test_images_come_in_the_order_of_their_names_with_classes_sorted(folder, cache):
    source = load_image_folder(str(folder), None, cache)
    expected = [picture(10 + index) for index in range(4)] + [picture(index) for index in range(4)]
    np.testing.assert_array_equal(source.train.images.permute(0, 2, 3, 1).numpy(), np.stack(expected))
    assert source.train.labels.tolist() == [0] * 4 + [1] * 4
    assert (source.classes, source.train.images.dtype, len(source.test)) == (2, torch.uint8, 4)


def test_drawn_samples_are_those_of_the_folder(folder, cache):
    data = load(folder, cache, validation_samples=2, train_samples=4, label_noise=0.5)
    assert data.input_shape == (3, 6, 6)
    assert [len(data.train), len(data.validation), len(data.test)] == [4, 2, 4]
    assert len(data.train.noisy_indices) == 2


def test_jpegs_are_decoded_and_resized_as_pillow_does(folder, cache):
    path = folder / "train" / "ant" / "0.png"
    path.unlink()
    save(path.with_suffix(".JPG"), picture(5, 40, 24))
    with Image.open(path.with_suffix(".JPG")) as image:
        expected = np.asarray(image.resize((16, 16), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(found(folder, cache, 16)[0], expected)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "1"])
def test_every_image_becomes_rgb(folder, cache, mode):
    path = folder / "train" / "ant" / "0.png"
    save(path, picture(5), mode)
    with Image.open(path) as image:
        expected = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(found(folder, cache)[0], expected)


def test_other_files_are_passed_over(folder, cache):
    (folder / "train" / "ant" / "notes.txt").write_text("none of ours")
    (folder / "train" / "ant" / "._0.png").write_bytes(b"left by another system")
    (folder / "train" / ".hidden").mkdir()
    assert len(found(folder, cache)) == 8


def test_images_are_decoded_once(folder, cache, monkeypatch):
    first = load(folder, cache)
    monkeypatch.setattr("transect.study.data.image_folder.decoded", lambda *_: pytest.fail("decoded again"))
    assert torch.equal(load(folder, cache).train.inputs, first.train.inputs)
    assert len(list(cache.iterdir())) == 1


@pytest.mark.parametrize("change", ["content", "time", "name", "image size"])
def test_a_change_of_the_folder_is_seen(folder, cache, change):
    before = np.stack(found(folder, cache))
    path = folder / "train" / "ant" / "0.png"
    if change == "content":
        save(path, picture(99))
    elif change == "time":
        os.utime(path, ns=(1, 1))
    elif change == "name":
        path.rename(path.with_name("9.png"))
    after = np.stack(found(folder, cache, 3 if change == "image size" else None))
    assert len(list(cache.iterdir())) == 2
    assert np.array_equal(before, after) == (change == "time")


@pytest.mark.parametrize("damage", ["truncated", "empty", "flipped bit"])
def test_a_damaged_cache_file_is_made_again(folder, cache, damage):
    good = found(folder, cache)
    (path,) = cache.iterdir()
    content = path.read_bytes()
    spoilt = {
        "truncated": content[:-10],
        "empty": b"",
        "flipped bit": content[:-99] + bytes([content[-99] ^ 1]) + content[-98:],
    }
    path.write_bytes(spoilt[damage])
    np.testing.assert_array_equal(found(folder, cache), good)
    assert path.read_bytes() == content


def test_the_folder_is_only_read(folder, cache):
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    load(folder, cache)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_images_of_several_sizes_need_a_size(folder, cache):
    save(folder / "test" / "zebra" / "5.png", picture(0, 8, 7))
    with pytest.raises(StudyError, match=r"6 x 6 pixels \(.*0\.png\) and 7 x 8 pixels .*5\.png.*data.image_size"):
        load(folder, cache)
    assert load(folder, cache, image_size=5).input_shape == (3, 5, 5)


@pytest.mark.parametrize("content", [b"", b"no image at all", b"\x89PNG\r\n\x1a\n and then nonsense"])
def test_a_file_that_is_no_image_is_named(folder, cache, content):
    (folder / "train" / "zebra" / "2.png").write_bytes(content)
    with pytest.raises(StudyError, match=r"cannot read the image .*zebra.2\.png"):
        load(folder, cache)


def test_a_truncated_image_is_named(folder, cache):
    path = folder / "train" / "zebra" / "2.png"
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(StudyError, match=r"cannot read the image .*zebra.2\.png"):
        load(folder, cache)


def test_more_than_eight_bits_are_refused(folder, cache):
    Image.fromarray(np.full((6, 6), 40_000, dtype=np.uint16)).save(folder / "train" / "ant" / "0.png")
    with pytest.raises(StudyError, match=r"0\.png: expected images of 8 bits a channel, got mode I;16"):
        load(folder, cache)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "train").rename(folder / "training"), "got no folder .*train"),
        (
            lambda folder: (folder / "test" / "ant").rename(folder / "test" / "bee"),
            "got only ant in train, bee in test",
        ),
        (
            lambda folder: [path.unlink() for path in (folder / "test" / "ant").iterdir()],
            r"images .* in .*ant, got none",
        ),
    ],
)
def test_a_folder_of_another_form_is_refused(folder, cache, spoil, message):
    spoil(folder)
    with pytest.raises(StudyError, match=message):
        load(folder, cache)


def test_a_folder_without_classes_or_none_at_all_is_refused(tmp_path, cache):
    for part in ("train", "test"):
        (tmp_path / "empty" / part).mkdir(parents=True)
    with pytest.raises(StudyError, match=r"one folder a class in .*train, got none"):
        load(tmp_path / "empty", cache)
    with pytest.raises(StudyError, match=r"data.folder: .*got none"):
        load_data(DataConfig(name="images"), cache)
