"""Circles in (shift, scale) of one-dimensional signals, against numpy's interpolation."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from transect.errors import InvalidInput
from transect.paths import shift_scale_circle, shift_scale_circles
from transect.paths.signals import shifted


def _signals(seed: int, number: int, samples: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(number, samples))


def _slowly_shifted(signal: np.ndarray, by: float) -> np.ndarray:
    """What the signal was ``by`` samples earlier; numpy keeps the values at the edges."""
    places = np.arange(len(signal))
    return np.interp(places - by, places, signal)


@settings(deadline=None)
@given(seed=st.integers(0, 10**6), samples=st.integers(2, 12), by=st.floats(-20, 20))
def test_a_shift_interpolates_and_keeps_the_edges(seed: int, samples: int, by: float) -> None:
    signals = _signals(seed, 2, samples)
    expected = np.stack([_slowly_shifted(signal, by) for signal in signals])
    np.testing.assert_allclose(shifted(torch.from_numpy(signals), by).numpy(), expected, rtol=0, atol=1e-13)


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(3, 12), st.floats(0.5, 4), st.floats(0.05, 0.5))
def test_anchors_lie_on_the_circle(seed: int, anchors: int, shift: float, scale: float) -> None:
    signal = _signals(seed, 1, 40)[0]
    angles = 2 * math.pi * np.arange(anchors) / anchors
    expected = [_slowly_shifted(signal, shift * np.cos(a)) * (1 + scale * np.sin(a)) for a in angles]
    path = shift_scale_circle(signal, shift, scale, anchors)
    assert path.closed
    np.testing.assert_allclose(path.anchors.numpy(), np.stack(expected), rtol=0, atol=1e-12)


def test_eight_anchors_shift_two_and_scale_fifteen_percent_are_the_default() -> None:
    ramp = np.arange(40.0)
    path = shift_scale_circle(ramp)
    middle = path.anchors[:, 20].numpy()  # away from the edges a shifted ramp is the ramp less the shift
    angles = 2 * math.pi * np.arange(8) / 8
    np.testing.assert_allclose(middle, (20 - 2 * np.cos(angles)) * (1 + 0.15 * np.sin(angles)), rtol=1e-13)


def test_a_batch_is_each_signal_by_itself() -> None:
    signals = torch.from_numpy(_signals(0, 3, 40)).float()
    for path, signal in zip(shift_scale_circles(signals), signals, strict=True):
        assert path.anchors.dtype == torch.float32
        assert torch.equal(path.anchors, shift_scale_circle(signal).anchors)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: shift_scale_circle(np.zeros((2, 5))), r"shape \(n,\), got \(2, 5\)"),
        (lambda: shift_scale_circles(np.zeros(5)), r"shape \(N, n\)"),
        (lambda: shift_scale_circles(np.zeros((2, 5), dtype=int)), "floating-point"),
        (lambda: shift_scale_circle(np.ones(5), anchors=2), "at least 3"),
        (lambda: shift_scale_circle(np.arange(5.0), shift=math.nan), "finite numbers, got nan and 0.15"),
        (lambda: shift_scale_circle(np.arange(5.0), scale=math.inf), "finite numbers, got 2.0 and inf"),
        (lambda: shift_scale_circles(np.stack([np.arange(5.0), np.zeros(5)])), "signal 1: .*length zero"),
    ],
)
def test_bad_signals_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        make()
