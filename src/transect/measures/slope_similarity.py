"""Slope similarity: how alike the slopes of neighbouring regions are ("local similarity of linear regions")."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from transect.engine.rows import Run
from transect.measures.base import Ends, Reduced, add_by_segment, row_norms


class SlopeSimilarity:
    """Mean cosine between the directional derivatives (vectors over the outputs) of neighbouring regions, ``(S,)``.

    Plain, and weighted by the length of the two regions. Where both derivatives are zero the cosine is 1; where one is,
    the pair is left out and counted. A derivative is zero where the outputs change by no more than rounding, which is
    d = 2 r sqrt(C) between the region's ends, r the rounding of one output. NaN where no pair is left.

    Rounding: mean over the pairs of the sum of ``d / (|change| - d/2)`` over both regions, at most 2 each. (For any two
    vectors, ``|v/|v| - w/|w|| <= 2 |v - w| / (|v| + |w|)``: Dunkl and Williams 1964.)
    """

    def __init__(self, ends: Ends) -> None:
        self._ends = ends
        self._left_out = torch.zeros_like(ends.length)
        self._sums = torch.zeros((len(ends.length), 6), dtype=torch.float64, device=ends.length.device)

    def update(self, run: Run) -> None:
        """See :class:`~transect.measures.base.Reducer`."""
        knot = run.knots()
        segment = run.segment[knot]
        f = run.outputs.double()
        change = f.diff(dim=0)
        size, noise = row_norms(change), self._noise(f, run)
        left, right = knot - 1, knot
        zero_left, zero_right = size[left] <= noise[left], size[right] <= noise[right]
        direction = change / size.unsqueeze(1)
        cosine = (direction[left] * direction[right]).sum(1)
        cosine = torch.where(zero_left & zero_right, 1.0, cosine.clamp(-1, 1))
        turn = noise / (size - noise / 2)
        error = (turn[left] + turn[right]).clamp(max=2)
        error = torch.where(zero_left & zero_right, 0.0, error)
        self._add(segment, cosine, error, run.t[knot + 1] - run.t[knot - 1], zero_left ^ zero_right)

    def _noise(self, f: Tensor, run: Run) -> Tensor:
        peak = f.abs().amax(1)
        near = torch.maximum(torch.maximum(peak[1:], peak[:-1]), self._ends.scale[run.segment[1:]])
        noise: Tensor = 2 * self._ends.rounding(near) * f.shape[1] ** 0.5
        return noise

    def _add(self, segment: Tensor, cosine: Tensor, error: Tensor, length: Tensor, left_out: Tensor) -> None:
        kept = ~left_out
        columns = torch.stack([cosine, torch.ones_like(cosine), error, cosine * length, length, error * length], 1)
        add_by_segment(self._sums, segment[kept], columns[kept])
        self._left_out += torch.bincount(segment[left_out], minlength=len(self._left_out))

    def results(self) -> Mapping[str, Reduced]:
        """``slope_similarity``, ``slope_similarity_weighted``, pairs compared and pairs left out, each ``(S,)``."""
        total, pairs, error, weighted, length, weighted_error = self._sums.unbind(1)
        return {
            "slope_similarity": Reduced(total / pairs, error / pairs),
            "slope_similarity_weighted": Reduced(weighted / length, weighted_error / length),
            "slope_pairs": Reduced(pairs, torch.zeros_like(pairs)),
            "slope_pairs_left_out": Reduced(self._left_out, torch.zeros_like(self._left_out)),
        }
