"""P-values of tests that are made together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def holm(p: Sequence[float]) -> list[float]:
    """Adjust p-values for being several, so that the chance of one or more false findings stays what it is for one.

    Args:
        p: P-values of tests, independent or not.

    Returns:
        Adjusted ones, in the same order: the k-th smallest of m is multiplied by m - k + 1, is not less than the ones
        before it, and not more than 1 (Holm, 1979, "A simple sequentially rejective multiple test procedure").
    """
    order = np.argsort(p, kind="stable")
    scaled = np.asarray(p, dtype=np.float64)[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return [float(value) for value in adjusted]
