"""Normalisation, against NumPy's mean and standard deviation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from transect.errors import StudyError
from transect.study.data.dataset import DataSet, Normalisation, Split


def images(count: int, channels: int = 3, size: int = 5) -> torch.Tensor:
    made = np.random.default_rng(count).integers(0, 256, (count, channels, size, size), dtype=np.uint8)
    return torch.from_numpy(made // np.arange(1, channels + 1, dtype=np.uint8)[:, None, None])


def with_images(stored: torch.Tensor) -> DataSet:
    split = Split.clean(stored, torch.zeros(len(stored), dtype=torch.int64))
    return DataSet("made", 1, split, split, split, Normalisation.of(stored))


def test_mean_and_deviation_are_those_of_the_pixels_scaled_to_one():
    stored = images(30)
    pixels = stored.numpy() / 255
    found = Normalisation.of(stored)
    np.testing.assert_allclose(found.mean.numpy(), pixels.mean((0, 2, 3)), rtol=1e-14)
    np.testing.assert_allclose(found.std.numpy(), pixels.std((0, 2, 3)), rtol=1e-13)


@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_a_network_sees_pixels_scaled_and_normalised(dtype, rtol):
    stored = images(6)
    seen = with_images(stored).prepare(stored[:4], dtype)
    pixels = stored.numpy() / 255
    mean, std = pixels.mean((0, 2, 3), keepdims=True), pixels.std((0, 2, 3), keepdims=True)
    assert seen.dtype == dtype
    np.testing.assert_allclose(seen.numpy(), ((pixels - mean) / std)[:4], rtol=rtol, atol=rtol)
    assert torch.equal(stored, images(6))


def test_float32_is_what_a_network_sees_by_default():
    stored = images(3)
    assert with_images(stored).prepare(stored).dtype == torch.float32


def test_a_channel_that_never_varies_is_refused():
    stored = images(4)
    stored[:, 1] = 7
    with pytest.raises(StudyError, match="4 images whose channel 1 has the same value"):
        Normalisation.of(stored)
