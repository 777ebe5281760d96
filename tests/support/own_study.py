"""Paths and a measure of a user's own, as a study file names them."""

from __future__ import annotations

import torch

import transect
from transect.measures import Measure
from transect.measures.base import Reduced


def to_the_origin(samples, stop=0.0):
    """From each sample straight to ``stop`` times it."""
    return [transect.Path(torch.stack([sample, stop * sample])) for sample in samples]


def too_few(samples):
    return to_the_origin(samples[1:])


class LargestGap:
    """The largest distance of each output from the affine function through the ends of its segment."""

    def __init__(self, ends):
        self.ends, self.largest = ends, torch.zeros_like(ends.start)

    def update(self, run):
        pieces = run.pieces
        gap = (pieces.right - self.ends.straight(pieces.segment, pieces.t1)).abs()
        self.largest.scatter_reduce_(0, pieces.segment.unsqueeze(1).expand_as(gap), gap, "amax")

    def results(self):
        return {"largest_gap": Reduced(self.largest, torch.full_like(self.largest, 1e-12))}


LARGEST_GAP = Measure("largest_gap", "largest gap", "output", "output", "max |f - a|", LargestGap)
