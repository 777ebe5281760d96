"""The deviation as the paper's released code computes it: its faults 3 and 5, each by itself or both."""

from __future__ import annotations

import torch
from torch import Tensor


def legacy_deviation(t: Tensor, outputs: Tensor, length: float, upper_bound: bool, drop_last: bool) -> Tensor:
    """The absolute deviation of a segment with faults of the released code.

    With g = f - a (a: affine between the ends) worth ``c + b t`` on a region from ``t0`` to ``t1``, the released code
    takes ``|c| (t1 - t0) + |b| (t1^2 - t0^2) / 2`` for the integral of ``|c + b t|``: an upper bound, since c is what g
    would be at t = 0 if the region reached there.

    Args:
        t: Knots, ``(K,)``, from 0 to 1.
        outputs: Values of the function there, ``(K, outputs)``.
        length: Length of the segment.
        upper_bound: Fault 3, that bound; the integral itself where False.
        drop_last: Fault 5, the last region of the segment is left out.

    Returns:
        One number an output.
    """
    t, outputs = t.double()[:, None], outputs.double()
    gap = outputs - torch.lerp(outputs[:1], outputs[-1:], t)
    left, right, start, end = gap[:-1], gap[1:], t[:-1], t[1:]
    pieces = _bound(left, right, start, end) if upper_bound else _integral(left, right, end - start)
    return length * (pieces[:-1] if drop_last else pieces).sum(0)


def _bound(left: Tensor, right: Tensor, start: Tensor, end: Tensor) -> Tensor:
    slope = (right - left) / (end - start)
    at_zero = left - slope * start
    return at_zero.abs() * (end - start) + slope.abs() * (end.square() - start.square()) / 2


def _integral(left: Tensor, right: Tensor, width: Tensor) -> Tensor:
    """Of the absolute value of an affine function that is worth ``left`` and ``right`` at the ends."""
    total = left.abs() + right.abs()
    opposite = (left.sign() * right.sign()) < 0
    crossing = (left.square() + right.square()) / (2 * total.where(total > 0, torch.ones_like(total)))
    return width * torch.where(opposite, crossing, total / 2)
