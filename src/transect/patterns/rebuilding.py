"""Patterns along a segment, rebuilt from the first one and what flips.

Every flip inverts the bits in which its two pieces differ. So the pattern after some knots is the first one with every
bit inverted as often as it flips, in any order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from transect.patterns.bits import bytes_for
from transect.patterns.layout import Layout
from transect.patterns.pattern import Pattern
from transect.regions.run import Flips


def pattern_after(layout: Layout, start: Sequence[Tensor], flips: Flips, knot: int) -> Pattern:
    """The pattern on the interval right of a knot, from the pieces right of the first knot."""
    bits, many = layout.pack(start), int(torch.searchsorted(flips.knot, knot, right=True))
    place, inverted = _inversions(layout, flips, slice(0, many))
    np.bitwise_xor.at(bits.numpy(), place, inverted)
    return Pattern(layout, bits)


def patterns_along(layout: Layout, start: Sequence[Tensor], flips: Flips, knots: int) -> Iterator[Pattern]:
    """The patterns on all intervals between so many knots, in order."""
    bits, borders = layout.pack(start), torch.searchsorted(flips.knot, torch.arange(1, knots)).tolist()
    place, inverted = _inversions(layout, flips, slice(None))
    yield Pattern(layout, bits)
    for low, high in pairwise(borders):
        bits = bits.clone()
        np.bitwise_xor.at(bits.numpy(), place[low:high], inverted[low:high])
        yield Pattern(layout, bits)


def _inversions(layout: Layout, flips: Flips, some: slice) -> tuple[np.ndarray, np.ndarray]:
    """Bytes that flips touch, and the bits they invert there, ``(flips, planes)`` each."""
    start = torch.tensor([place.start for place in layout.places], dtype=torch.int64)
    width = torch.tensor([bytes_for(units) for units in layout.units], dtype=torch.int64)
    operation, unit = flips.operation[some].unsqueeze(1), flips.unit[some].unsqueeze(1)
    plane = torch.arange(max(layout.planes, default=0))
    inverted = (((flips.before ^ flips.after)[some].unsqueeze(1) >> plane) & 1) << unit % 8
    place = start[operation] + plane * width[operation] + unit // 8
    place = place.masked_fill(inverted == 0, 0)  # a plane that the operation need not have
    return place.numpy(), inverted.to(torch.uint8).numpy()
