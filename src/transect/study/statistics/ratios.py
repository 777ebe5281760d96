"""Two curves as one number, for one pair of curves or for many resampled ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def ratio(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """b / a, ``(..., 1), (..., 1) -> (...)``; NaN where a is zero."""
    return np.divide(b, a, out=np.full_like(b, np.nan), where=a != 0)[..., 0]


def difference(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """b - a, ``(..., 1), (..., 1) -> (...)``."""
    return (b - a)[..., 0]


def geometric_mean_ratio(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Geometric mean of b / a along the last axis; NaN where one is not positive."""
    positive = ((a > 0) & (b > 0)).all(-1, keepdims=True)
    logs = np.log(np.where(positive, b, np.nan)) - np.log(np.where(positive, a, np.nan))
    return np.asarray(np.exp(logs.mean(-1)))
