"""Deviation norm: the length of a segment times the integral of the l2 norm of ``f - a`` over the outputs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from transect.engine.rows import Run
from transect.measures.base import Ends, Reduced, SizesSeen, add_by_segment

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)


def mean_norm(left: Tensor, right: Tensor) -> Tensor:
    """Mean l2 norm over an interval of a vector that is affine on it, ``(N, C)`` and ``(N, C)`` to ``(N,)``.

    Along the direction of change the vector has a component u that runs from u0 to u1, and p across it, constant. The
    mean of sqrt(p^2 + u^2) is ``(F(u1) - F(u0)) / (u1 - u0)`` with ``F(u) = (u sqrt(p^2 + u^2) + p^2 asinh(u/p)) / 2``.
    Where the vector changes by less than its smallest norm that difference cancels; there the integrand is smooth
    enough for Gauss-Legendre quadrature with 12 points to be exact to rounding.
    """
    scale = torch.maximum(left.abs().amax(1), right.abs().amax(1))
    unit = torch.where(scale > 0, scale, 1.0).unsqueeze(1)
    left, right = left / unit, right / unit
    change = right - left
    size = change.norm(dim=1)
    direction = change / torch.where(size > 0, size, 1.0).unsqueeze(1)
    u0, u1 = (left * direction).sum(1), (right * direction).sum(1)
    across = (left - u0.unsqueeze(1) * direction).norm(dim=1)
    nearest = torch.hypot(across, torch.where((u0 < 0) & (u1 > 0), 0.0, torch.minimum(u0.abs(), u1.abs())))
    mean = torch.where(nearest >= size, _quadrature(u0, u1, across), _closed_form(u0, u1, across))
    return mean * scale


def _closed_form(u0: Tensor, u1: Tensor, across: Tensor) -> Tensor:
    change = u1 - u0
    primitive = [u * torch.hypot(u, across) / 2 + across.square() / 2 * _asinh_ratio(u, across) for u in (u0, u1)]
    return (primitive[1] - primitive[0]) / torch.where(change > 0, change, 1.0)


def _asinh_ratio(u: Tensor, across: Tensor) -> Tensor:
    """asinh(u / p), 0 where p = 0 (there p^2 asinh(u / p) vanishes)."""
    return torch.where(across > 0, torch.asinh(u / torch.where(across > 0, across, 1.0)), 0.0)


def _quadrature(u0: Tensor, u1: Tensor, across: Tensor) -> Tensor:
    nodes, weights = torch.as_tensor(_NODES, device=u0.device), torch.as_tensor(_WEIGHTS, device=u0.device)
    u = torch.lerp(u0.unsqueeze(1), u1.unsqueeze(1), (nodes + 1) / 2)
    return (torch.hypot(u, across.unsqueeze(1)) * weights).sum(1) / 2


class DeviationNorm:
    """L times the integral of ``||f - a||_2`` over t in [0, 1], ``(S,)``.

    Rounding: at most 2 r sqrt(C) L (r: see :meth:`Ends.rounding`), and (regions + C + 8) float64 eps of the sum.
    """

    def __init__(self, ends: Ends) -> None:
        self._ends = ends
        self._integral = torch.zeros_like(ends.length)
        self._seen = SizesSeen(ends)

    def update(self, run: Run) -> None:
        """See :class:`~transect.measures.base.Reducer`."""
        p = run.pieces
        left = p.left - self._ends.straight(p.segment, p.t0)
        right = p.right - self._ends.straight(p.segment, p.t1)
        add_by_segment(self._integral, p.segment, mean_norm(left, right) * (p.t1 - p.t0))
        self._seen.update(p)

    def results(self) -> Mapping[str, Reduced]:
        """``deviation_norm``, ``(S,)``."""
        norm = self._integral * self._ends.length
        bound = self._seen.difference * self._ends.start.shape[1] ** 0.5 * self._ends.length
        return {"deviation_norm": Reduced(norm, bound + self._seen.summation * norm)}
