"""Two models on the same paths, against scipy and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from measured import mlp, path, paths, smooth

from transect import measure
from transect.errors import InvalidInput
from transect.measuring.comparing import compare_pairs

MODELS = {"a": mlp(12, 0), "b": mlp(20, 1)}


def test_against_scipy():
    found = measure(MODELS, paths(12), progress=False)
    a, b = (found.of(name).column("mean_deviation") for name in "ab")
    compared = found.compare("a", "b", confidence=0.9)
    test = scipy.stats.ttest_rel(a, b)
    assert compared.difference == pytest.approx(np.mean(a - b))
    assert compared.difference_interval == pytest.approx(test.confidence_interval(0.9))
    logs = scipy.stats.ttest_1samp(np.log(a / b), 0.0).confidence_interval(0.9)
    assert compared.ratio == pytest.approx(scipy.stats.gmean(a) / scipy.stats.gmean(b))
    assert compared.ratio_interval == pytest.approx(np.exp(logs))
    assert (compared.pairs, compared.left_out) == (12, 0)
    assert str(compared).startswith("mean_deviation on 12 paths: a ")


def test_by_hand_and_the_other_way_round():
    pairs = np.array([[2.0, 1.0], [4.0, 2.0], [6.0, 3.0], [8.0, 4.0], [10.0, 5.0]])
    found = compare_pairs("a", "b", "x", pairs, 0.95)
    assert found.means == (6.0, 3.0)
    assert (found.difference, found.ratio) == (3.0, pytest.approx(2.0))
    assert found.ratio_interval == pytest.approx((2.0, 2.0))
    half = 2.7764451051977987 * math.sqrt(2.5 / 5)  # t(0.975, 4 degrees of freedom), variance 2.5
    assert found.difference_interval == pytest.approx((3 - half, 3 + half))
    turned = compare_pairs("b", "a", "x", pairs[:, ::-1], 0.95)
    assert turned.difference == -3.0
    assert turned.ratio == pytest.approx(0.5)


def test_four_paths_have_values_and_no_intervals():
    found = compare_pairs("a", "b", "x", np.array([[2.0, 1.0], [4.0, 2.0], [6.0, 3.0], [8.0, 4.0]]), 0.95)
    assert (found.difference, found.ratio) == (2.5, pytest.approx(2.0))
    assert all(math.isnan(end) for end in (*found.difference_interval, *found.ratio_interval))
    assert str(found).endswith("difference 2.5, ratio 2 (no interval: fewer than 5 paths)")


def test_what_is_missing_is_left_out_and_what_is_not_positive_has_no_ratio():
    found = compare_pairs("a", "b", "x", np.array([[1.0, np.nan], [0.0, 1.0]]), 0.95)
    assert (found.pairs, found.left_out, found.difference) == (1, 1, -1.0)
    assert math.isnan(found.ratio)
    assert math.isnan(found.difference_interval[0])


def test_errors():
    found = measure(MODELS, path(0), progress=False)
    with pytest.raises(InvalidInput, match=r"measure: expected one of .*, got 'nonlinearity'"):
        found.compare("a", "b", "nonlinearity")
    with pytest.raises(InvalidInput, match="model: expected one of a, b, or a position, got 'c'"):
        found.compare("a", "c")
    with pytest.raises(InvalidInput, match="confidence: expected a number between 0 and 1, got 95"):
        found.compare(0, 1, confidence=95)
    sampled = measure([smooth(), smooth()], path(0), method="estimate", progress=False)
    with pytest.raises(InvalidInput, match="no path has 'crossings' of both '0' and '1'"):
        sampled.compare(0, -1, "crossings")
