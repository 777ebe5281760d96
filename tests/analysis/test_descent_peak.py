"""The peak of a test error, also where small networks are worse than the peak of the double descent."""

from __future__ import annotations

import numpy as np
import pytest

from transect.analysis.peaks import descent_peak, largest


@pytest.mark.parametrize(
    ("error", "place"),
    [
        ([0.5, 0.55, 0.6, 0.5, 0.4], 2),
        ([0.6, 0.45, 0.35, 0.42, 0.5, 0.44, 0.38], 4),  # the poster's: .6 at the left, the peak inside
        ([0.6, 0.45, 0.351, 0.352, 0.35, 0.34], 0),  # a bump of less than a tenth of the range is noise
        ([0.9, 0.5, 0.6, 0.5, 0.8, 0.4], 4),  # the more prominent of two
        ([0.6, 0.5, 0.4, 0.3], 0),
        ([0.1, 0.2, 0.3], 2),
        ([0.5, 0.5, 0.5], 0),
        ([0.5, 0.4], 0),
    ],
)
def test_it_is_the_largest_value_or_else_the_most_prominent_inner_maximum(error, place):
    assert descent_peak(np.array(error)) == place


def test_other_curves_peak_where_they_are_largest():
    assert largest(np.array([9.0, 5.0, 8.0])) == 0
    assert largest(np.array([1.0, 3.0, 3.0])) == 1
