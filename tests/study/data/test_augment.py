"""Random crops and mirror images, against a padded crop made one image at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from transect.study.data.dataset import augmented


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int, height: int = 6, width: int = 5) -> torch.Tensor:
    return torch.randint(1, 256, (count, 3, height, width), generator=generator(7), dtype=torch.uint8)


def every_crop(image: torch.Tensor, crop: int, mirrored: bool) -> dict[bytes, tuple[int, int]]:
    """All results that are allowed for an image, made slowly."""
    height, width = image.shape[1:]
    padded = np.pad(image.numpy(), ((0, 0), (crop, crop), (crop, crop)))
    found = {}
    for down in range(2 * crop + 1):
        for right in range(2 * crop + 1):
            part = padded[:, down : down + height, right : right + width]
            found[(part[:, :, ::-1] if mirrored else part).tobytes()] = (down, right)
    return found


@pytest.mark.parametrize(("crop", "flip"), [(2, True), (2, False), (0, True), (7, True)])
def test_every_result_is_a_crop_of_the_padded_image_or_its_mirror_image(crop, flip):
    before = images(40)
    for image, result in zip(before, augmented(before, crop, flip, generator()), strict=True):
        allowed = every_crop(image, crop, False) | (every_crop(image, crop, True) if flip else {})
        assert result.numpy().tobytes() in allowed
    assert torch.equal(before, images(40))


def test_half_of_the_images_are_mirrored():
    many = images(1).expand(9000, -1, -1, -1)
    mirrored = (augmented(many, 0, True, generator()) == many[0].flip(2)).flatten(1).all(1)
    assert 4300 < int(mirrored.sum()) < 4700


def test_crops_lie_everywhere():
    """With a crop of one pixel there are nine places; each is met by about a ninth of the images."""
    many = images(1).expand(9000, -1, -1, -1)
    places = every_crop(many[0], 1, False)
    met = [places[result.numpy().tobytes()] for result in augmented(many, 1, False, generator())]
    counts = [met.count(place) for place in places.values()]
    assert len(counts) == 9
    assert all(850 < count < 1150 for count in counts)


def test_the_generator_decides():
    first, again, other = (augmented(images(20), 2, True, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert (first.dtype, first.shape) == (torch.uint8, (20, 3, 6, 5))


def test_nothing_to_do_changes_nothing_and_draws_nothing():
    one = generator()
    assert torch.equal(augmented(images(5), 0, False, one), images(5))
    assert torch.equal(one.get_state(), generator().get_state())
