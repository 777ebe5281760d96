"""Two models on the same paths, against scipy and by hand."""

from __future__ import annotations

import copy
import math
import warnings

import numpy as np
import pytest
import scipy.stats
import torch
from torch import nn

import transect
from support.measured import mlp, path, paths, smooth
from transect import measure
from transect.errors import InvalidInput, ScaleWarning
from transect.measuring.measurements import compare_pairs

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


class Times(nn.Module):
    """A network whose outputs are so many times as large."""

    def __init__(self, factor, model):
        super().__init__()
        self.factor, self.model = factor, model

    def forward(self, x):
        return self.model(x) * self.factor


@pytest.mark.parametrize("method", ["exact", "estimate"])
def test_normalised_deviations_are_those_of_traces_and_take_the_scale_out(method):
    torch.manual_seed(1)
    data = torch.randn(700, 6, dtype=torch.float64)  # more than one batch
    model = mlp()
    std = copy.deepcopy(model).double()(data).detach().std(0, correction=0)
    models = {"a": model, "b": Times(-20.0, model).eval()}
    table = measure(models, paths(5), data=data, method=method, progress=False)
    for name, factor in (("a", 1.0), ("b", 20.0)):
        for row, one in zip(table.of(name).rows, paths(5)):
            found = transect.trace(models[name], one) if method == "exact" else transect.estimate(models[name], one)
            by_hand = found.across_outputs(found.normalised_deviation(factor * std) * found.length[:, None])
            assert row["normalised_deviation"] == pytest.approx(float(found.per_length(by_hand)), rel=1e-4)
            low, high = row["normalised_deviation_low"], row["normalised_deviation_high"]
            assert low <= row["normalised_deviation"] <= high
            assert row["output_std"] == pytest.approx(factor * float(std.square().mean().sqrt()), rel=1e-5)
    compared = table.compare("b", "a", "normalised_deviation")
    assert compared.ratio == pytest.approx(1, rel=0.02)
    assert not compared.scales_differ


def test_standard_deviations_may_be_given():
    model, one = mlp(), path(0)
    trace = transect.trace(model, one)
    for std in (2.5, [0.5, 2.0, 8.0], torch.tensor([0.5, 2.0, 8.0])):
        (row,) = measure(model, one, std=std, progress=False).rows
        spread = torch.as_tensor(std, dtype=torch.float64)
        parts = trace.across_outputs(trace.absolute_deviation() / spread)
        assert row["normalised_deviation"] == pytest.approx(float(trace.per_length(parts)))
    (row,) = measure(model, one, std=[0.5, 8.0], outputs=[0, 2], progress=False).rows
    part = trace.across_outputs(trace.absolute_deviation()[:, [0, 2]] / torch.tensor([0.5, 8.0]))
    assert row["normalised_deviation"] == pytest.approx(float(trace.per_length(part)))
    (plain,) = measure(model, one, progress=False).rows
    assert (plain["normalised_deviation"], plain["output_std"]) == (None, None)
    spread = model.double()(trace.path.anchors).detach().std(0, correction=0)
    assert plain["anchor_std"] == pytest.approx(float(spread.square().mean().sqrt()), rel=1e-5)


def test_a_comparison_of_models_of_different_scales_says_so():
    table = measure(
        {"a": mlp(), "b": Times(3.0, mlp()).eval(), "c": Times(1.2, mlp()).eval()}, paths(5), progress=False
    )
    with pytest.warns(
        ScaleWarning, match=r"outputs of b and a have standard deviations of .* Compare 'normalised"
    ) as told:
        compared = table.compare("b", "a", "absolute_deviation")
    assert compared.scales_differ
    assert compared.scales[0] == pytest.approx(3 * compared.scales[1])
    assert "grows with them" in str(compared)
    assert told[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not table.compare("c", "a", "total_variation").scales_differ
        assert table.compare("b", "a", "crossings").scales is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"std": 0.0}, "std: expected a positive number"),
        ({"std": [1.0, float("nan"), 1.0]}, "std: expected a positive number"),
        ({"std": "wide"}, "std: expected a positive number"),
        ({"std": [1.0, 2.0]}, "std: expected one number, or one for each of the 3 outputs measured, got 2"),
        ({"std": 1.0, "data": torch.zeros(3, 6)}, "std: expected either std or data"),
        ({"data": [(torch.zeros(6), 1)]}, r"data: expected the inputs of a data set .*torch\.stack"),
        ({"data": torch.zeros(6)}, r"data: expected inputs of shape \(N, 6\), as the anchors .* got \(6,\)"),
        ({"data": torch.zeros(1, 6)}, "data: expected at least two inputs"),
        ({"data": torch.zeros(9, 6)}, r"model 'Sequential': data: outputs \[0, 1, 2\] of those measured do not vary"),
        ({"data": torch.zeros(9, 5)}, r"data: expected inputs of shape \(N, 6\), .* got \(9, 5\)"),
    ],
)
def test_scales_that_are_none(arguments, message):
    with pytest.raises(InvalidInput, match=message):
        measure(mlp(), path(0), progress=False, **arguments)
