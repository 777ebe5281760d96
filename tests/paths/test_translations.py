"""Translated images, against a crop written pixel by pixel."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from transect.errors import InvalidInput
from transect.paths import Path, translation_arc, translation_arcs, translation_circle, translation_circles

_EIGHT_OF_RADIUS_4 = [(4, 0), (3, 3), (0, 4), (-3, 3), (-4, 0), (-3, -3), (0, -4), (3, -3)]


def _image(seed: int, channels: int = 3, height: int = 9, width: int = 7) -> np.ndarray:
    return np.random.default_rng(seed).uniform(size=(channels, height, width))


def _moved(image: np.ndarray, right: int, down: int) -> np.ndarray:
    """Every pixel shows the one that lies so far to its left and above, or the nearest on the edge."""
    channels, height, width = image.shape
    found = np.empty_like(image)
    for c in range(channels):
        for y in range(height):
            for x in range(width):
                found[c, y, x] = image[c, min(max(y - down, 0), height - 1), min(max(x - right, 0), width - 1)]
    return found


def _displacements(path: Path) -> list[tuple[int, int]]:
    """Read off the middle of a picture whose two channels are the coordinates, 41 by 41 pixels."""
    return [(20 - int(right), 20 - int(down)) for right, down in path.anchors[:, :, 20, 20].tolist()]


def _coordinates() -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(41.0), torch.arange(41.0), indexing="ij")
    return torch.stack([x, y])


@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 10**6), height=st.integers(2, 9), width=st.integers(2, 9), radius=st.sampled_from([2, 3.5, 4])
)
def test_a_circle_is_the_slow_crop_at_every_anchor(seed: int, height: int, width: int, radius: float) -> None:
    image = _image(seed, 2, height, width)
    angles = [2 * math.pi * k / 8 for k in range(8)]
    expected = [_moved(image, round(radius * math.cos(a)), round(radius * math.sin(a))) for a in angles]
    path = translation_circle(image, radius=radius)
    assert path.closed
    np.testing.assert_array_equal(path.anchors.numpy(), np.stack(expected))


def test_the_protocol_of_the_paper_is_the_default() -> None:
    assert _displacements(translation_circle(_coordinates())) == _EIGHT_OF_RADIUS_4


@pytest.mark.parametrize("radius", [2.5, 3, 5, 6.5, 8])
def test_a_circle_is_symmetric_halves_included(radius: float) -> None:
    moves = _displacements(translation_circle(_coordinates(), radius=radius, anchors=12))
    assert set(moves) == {(-right, down) for right, down in moves} == {(down, right) for right, down in moves}
    assert moves[2][0] == math.floor(radius / 2 + 0.5)  # cos 60 degrees


def test_an_arc_goes_from_top_to_bottom_at_a_fixed_shift() -> None:
    path = translation_arc(_coordinates())
    assert not path.closed
    assert _displacements(path) == [(4, down) for down in (-4, -3, -2, 0, 2, 3, 4)]


def test_an_arc_is_the_slow_crop_at_every_anchor() -> None:
    image = _image(1)
    expected = [_moved(image, 6, down) for down in (-6, -4, 0, 4, 6)]
    np.testing.assert_array_equal(translation_arc(image, radius=6, anchors=5).anchors.numpy(), np.stack(expected))


@pytest.mark.parametrize(
    ("many", "one"), [(translation_circles, translation_circle), (translation_arcs, translation_arc)]
)
def test_a_batch_is_each_image_by_itself(many: Callable[..., Any], one: Callable[..., Any]) -> None:
    images = np.stack([_image(seed) for seed in range(3)])
    mean_std = ([0.1, 0.2, 0.3], [0.5, 0.6, 0.7])
    together = many(images, normalise=mean_std)
    for path, image in zip(together, images, strict=True):
        assert torch.equal(path.anchors, one(image, normalise=mean_std).anchors)


def test_every_anchor_is_normalised_exactly_once() -> None:
    image, mean, std = _image(2), np.array([0.4, 0.5, 0.6]), np.array([0.2, 0.25, 0.3])
    expected = [(_moved(image, *move) - mean[:, None, None]) / std[:, None, None] for move in _EIGHT_OF_RADIUS_4]
    by_numbers = translation_circle(image, normalise=(mean, std))
    by_function = translation_circle(image, normalise=lambda x: (x - torch.tensor(mean)[:, None, None]) / 0.5)
    np.testing.assert_allclose(by_numbers.anchors.numpy(), np.stack(expected), rtol=1e-15)
    np.testing.assert_allclose(by_function.anchors.numpy(), np.stack(expected) * (std / 0.5)[:, None, None], rtol=1e-12)


def test_the_dtype_of_the_image_is_kept() -> None:
    image = torch.from_numpy(_image(3)).float()
    assert translation_circle(image, normalise=([0.5] * 3, [0.25] * 3)).anchors.dtype == torch.float32


def test_a_constant_image_is_refused_by_its_index_and_the_reason() -> None:
    images = torch.stack([torch.from_numpy(_image(0)), torch.full((3, 9, 7), 0.5)])
    with pytest.raises(InvalidInput, match=r"image 1: .*length zero.*not constant"):
        translation_circles(images)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: translation_circle(_image(0), radius=1, anchors=16),
            "radius 1 and 16 anchors.*same pixel.*larger radius",
        ),
        (lambda: translation_circle(_image(0), radius=0), "positive, finite number of pixels, got 0"),
        (lambda: translation_circle(_image(0), radius=math.nan), "positive, finite number of pixels, got nan"),
        (lambda: translation_circle(_image(0), radius=math.inf), "positive, finite number of pixels, got inf"),
        (lambda: translation_circle(_image(0), normalise=([0.5] * 2, [1.0] * 2)), "3 channels, got 2 and 2"),
        (lambda: translation_circle(_image(0)[:1], normalise=([0.5] * 3, [1.0])), "1 channels, got 3 and 1"),
        (lambda: translation_circle(_image(0), normalise=([0.5] * 3, [0.0] * 3)), "image 0: .*infinity.*normalisation"),
        (lambda: translation_circle(_image(0), anchors=2), "at least 3"),
        (lambda: translation_arc(_image(0), anchors=1), "at least 2"),
        (lambda: translation_circle(_image(0)[0]), r"\(channels, height, width\), got \(9, 7\)"),
        (lambda: translation_circles(_image(0)), r"\(N, channels, height, width\)"),
        (lambda: translation_circle((_image(0) * 255).astype(np.uint8)), "divide 8-bit images by 255"),
    ],
)
def test_bad_arguments_are_refused_with_what_to_do(make: Callable[[], object], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        make()
