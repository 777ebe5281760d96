"""Which samples a study walks around."""

from __future__ import annotations

import pytest
import torch

from transect.errors import StudyError
from transect.study.around import paths_around
from transect.study.config import PathConfig
from transect.study.data.dataset import Split


def ramps(count: int) -> Split:
    """Signal number i is a ramp with mean i: its paths tell which sample they are around."""
    inputs = torch.arange(count, dtype=torch.float32)[:, None] + torch.linspace(-1, 1, 40)
    labels = torch.zeros(count, dtype=torch.int64)
    return Split(inputs, labels, labels, labels[:0])


def means(split: Split, config: PathConfig) -> list[float]:
    """Shift and scale both swing evenly around the sample, so that the mean over the anchors is the sample's."""
    return [float(path.anchors.mean()) for path in paths_around(split, config)]


def test_paths_are_closed_around_different_samples_that_the_seed_chooses():
    split = ramps(30)
    config = PathConfig(paths=10, anchors=8)
    paths = paths_around(split, config)
    assert all(path.closed and path.anchors.shape == (8, 40) for path in paths)
    assert all(path.anchors.dtype == torch.float64 for path in paths)
    around = means(split, config)
    assert len({round(mean) for mean in around}) == 10
    assert around == sorted(around) == means(split, config)
    assert around != means(split, PathConfig(paths=10, anchors=8, seed=1))


def test_all_samples_can_be_asked_for_but_not_more():
    assert [round(mean) for mean in means(ramps(6), PathConfig(paths=6))] == list(range(6))
    with pytest.raises(StudyError, match="at least 7 samples"):
        paths_around(ramps(6), PathConfig(paths=7))
