"""Slices for tests of figures: a million polygons without a network, and networks with few."""

from __future__ import annotations

import numpy as np
import torch

import transect
from transect.slicing.decision import Boundary
from transect.slicing.result import Edges, Polygons, Slice


def shaken_grid(side: int, seed: int = 0, outputs: int = 2) -> Slice:
    """A slice of ``side * side`` quadrilaterals on the unit square: a grid whose inner vertices are shaken a little."""
    generator = np.random.default_rng(seed)
    xy = np.stack(np.meshgrid(np.arange(side + 1.0), np.arange(side + 1.0)), -1)
    shake = generator.uniform(-0.24, 0.24, xy.shape)
    shake[[0, -1], :, 1] = 0
    shake[:, [0, -1], 0] = 0
    xy = (xy + shake) / side
    number = np.arange((side + 1) ** 2).reshape(side + 1, side + 1)
    corner = np.stack([number[:-1, :-1], number[:-1, 1:], number[1:, 1:], number[1:, :-1]], -1).reshape(-1)
    start = np.arange(0, 4 * side * side + 1, 4)
    cell = np.full((side + 2, side + 2), -1)
    cell[1:-1, 1:-1] = np.arange(side * side).reshape(side, side)
    flat = xy.reshape(-1, 2)
    # (start, end, left, right) of the lines to the right, which have the upper cell on the left, and of those upwards.
    right = [number[:, :-1], number[:, 1:], cell[1:, 1:-1], cell[:-1, 1:-1]]
    up = [number[:-1], number[1:], cell[1:-1, :-1], cell[1:-1, 1:]]
    one, other, left, beside = (np.concatenate([a.reshape(-1), b.reshape(-1)]) for a, b in zip(right, up))
    flip = left < 0
    one, other = np.where(flip, other, one), np.where(flip, one, other)
    left, beside = np.where(flip, beside, left), np.where(flip, left, beside)
    inner = beside >= 0
    level = np.concatenate([np.repeat(np.arange(side + 1), side), np.tile(np.arange(side + 1), side)])
    operation = (np.arange(len(one)) >= len(one) // 2).astype(np.int64)
    quads = flat[corner].reshape(-1, 4, 2)
    diagonals = quads[:, 2] - quads[:, 0], quads[:, 3] - quads[:, 1]
    area = np.abs(diagonals[0][:, 0] * diagonals[1][:, 1] - diagonals[0][:, 1] * diagonals[1][:, 0]) / 2
    values = flat @ generator.normal(size=(2, outputs)) + 0.1 * generator.normal(size=outputs)
    whole = transect.Plane([0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [(0, 0), (1, 0), (1, 1), (0, 1)])
    nothing = torch.zeros(0, 2, dtype=torch.float64)
    tensors = (torch.from_numpy(np.ascontiguousarray(part)) for part in (one, other, left, beside))
    first = np.concatenate([[0], np.cumsum(inner)])
    return Slice(
        plane=whole,
        operations=("first", "second"),
        units=(side + 1, side + 1),
        outputs=tuple(range(outputs)),
        dtype=torch.float64,
        regions=side * side,
        borders=int(inner.sum()),
        vertices=len(flat),
        area=1.0,
        smallest=float(area.min()),
        largest=float(area.max()),
        area_counts=torch.zeros(128, dtype=torch.int64),
        border_length=0.0,
        border_length_by_operation=torch.zeros(2, dtype=torch.float64),
        mean_slope=1.0,
        largest_slope=1.0,
        class_areas=torch.zeros(max(2, outputs), dtype=torch.float64),
        boundary=Boundary(nothing, nothing, torch.zeros(0, 2, dtype=torch.int64), nothing[:, 0]),
        deviation=None,
        deviation_rounding=0.0,
        deviation_norm=None,
        unresolved=(),
        verification=None,
        kept=(
            Polygons(
                torch.from_numpy(flat),
                torch.zeros(len(flat), dtype=torch.float64),
                torch.from_numpy(values),
                torch.from_numpy(start),
                torch.from_numpy(corner),
                torch.from_numpy(area),
                torch.from_numpy(generator.uniform(0.1, 30.0, side * side)),
            ),
            Edges(
                *tensors,
                torch.from_numpy(first),
                torch.from_numpy(operation[inner]),
                torch.from_numpy(level[inner]),
            ),
        ),
    )
