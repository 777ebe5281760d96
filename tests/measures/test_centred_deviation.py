"""The deviation a softmax can see: that of outputs of which a common shift has been taken away."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from hypothesis import given, settings

from support.piecewise import Curve, curves, measured, value
from transect.measures.absolute_deviation import AbsoluteDeviation
from transect.measures.centred_deviation import CentredDeviation


@settings(deadline=None)
@given(curves())
def test_is_the_deviation_of_the_centred_curve(some: list[Curve]) -> None:
    by_hand = [replace(curve, f=curve.f - curve.f.mean(1, keepdims=True)) for curve in some]
    found = measured(CentredDeviation, some)["centred_deviation"]
    expected = measured(AbsoluteDeviation, by_hand)["absolute_deviation"]
    assert bool(((found.value - expected.value).abs() <= found.rounding + expected.rounding).all())


def test_a_common_shift_is_not_seen() -> None:
    t = np.array([0.0, 0.25, 1.0])
    tent = np.array([0.0, 1.0, 0.0])
    assert value(CentredDeviation, "centred_deviation", Curve(t, np.stack([tent, tent], 1))).tolist() == [[0.0, 0.0]]
    apart = value(CentredDeviation, "centred_deviation", Curve(t, np.stack([tent, 0 * tent], 1)))
    torch.testing.assert_close(apart, torch.tensor([[0.25, 0.25]], dtype=torch.float64))
