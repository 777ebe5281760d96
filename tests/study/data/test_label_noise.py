"""Symmetric label noise, against its definition."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from transect.errors import StudyError
from transect.study.data.dataset import symmetric_label_noise


@given(st.integers(2, 7), st.integers(0, 60), st.floats(0, 1), st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_exactly_the_stated_samples_are_wrong(classes, samples, fraction, seed):
    labels = torch.randint(classes, (samples,), generator=torch.Generator().manual_seed(seed))
    before = labels.clone()
    noisy, flipped = symmetric_label_noise(labels, classes, fraction, seed)
    assert torch.equal(labels, before)
    assert torch.equal((noisy != labels).nonzero().squeeze(1), flipped)
    assert len(flipped) == round(fraction * samples)
    assert bool(((noisy >= 0) & (noisy < classes)).all())


def test_every_other_class_is_equally_likely():
    labels = torch.arange(5).repeat(4000)
    noisy, _ = symmetric_label_noise(labels, 5, 1.0, seed=1)
    counts = [[int(((labels == a) & (noisy == b)).sum()) for b in range(5) if b != a] for a in range(5)]
    assert all(chisquare(row).pvalue > 1e-4 for row in counts)


def test_the_seed_decides_and_the_global_generator_is_left_alone():
    labels = torch.arange(10).repeat(20)
    state = torch.random.get_rng_state()
    first, again, other = (symmetric_label_noise(labels, 10, 0.3, seed)[0] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize(
    ("classes", "fraction", "named"), [(10, 1.5, "1.5"), (10, -0.1, "-0.1"), (1, 0.5, "two classes")]
)
def test_impossible_noise_is_refused(classes, fraction, named):
    with pytest.raises(StudyError, match=named):
        symmetric_label_noise(torch.zeros(4, dtype=torch.int64), classes, fraction, seed=0)
