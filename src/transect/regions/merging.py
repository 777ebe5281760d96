"""Crossings that rounding cannot tell apart become one knot."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from transect.regions.crossings import Crossings, Doubt, bounds_nearby
from transect.regions.rounding import Tolerance
from transect.regions.rows import Knots


@dataclass(frozen=True)
class NewRows:
    """Rows to insert, ordered by (row, weight).

    Attributes:
        row: Row at their left, ``(N,)``.
        weight: Position between row and row + 1, ``(N,)``.
        error: Bound, for merging, on the distance of the weight from where any member truly crosses, ``(N,)``.
        group: For every crossing, which of them it belongs to, ``(C,)``.
        doubts: Crossings whose order, or whose number of knots, rounding could not decide.
    """

    row: Tensor
    weight: Tensor
    error: Tensor
    group: Tensor
    doubts: tuple[Doubt, ...]


def looked_at_closely(found: Crossings, knots: Knots, tolerance: Tolerance) -> Crossings:
    """The same crossings; where two seem too close to be told apart, their errors come from the values nearby."""
    close = not_told_apart(found)
    if not bool(close.any()):
        return found
    error = found.error.clone()
    error[close] = bounds_nearby(found.only(close), knots, tolerance)[2]
    return replace(found, error=error)


def not_told_apart(found: Crossings) -> Tensor:
    """Which crossings are not told from a neighbour, ``(C,)``; they are ordered by (row, weight)."""
    if len(found.row) == 0:
        return torch.zeros_like(found.row, dtype=torch.bool)
    together, pad = ~_apart(found), torch.nn.functional.pad
    return pad(together, (1, 0)) | pad(together, (0, 1))


def _apart(found: Crossings) -> Tensor:
    """Whether each crossing is told from the next, ``(C - 1,)``."""
    return (found.row[1:] != found.row[:-1]) | (found.weight.diff() > found.error[1:] + found.error[:-1])


def merge(found: Crossings) -> NewRows:
    """Group crossings of one interval that lie within their errors of one another.

    Each group is placed where its surest member crosses: there every member is within its own rounding of its
    threshold. Chains of crossings that no single place serves are cut greedily, surest first, and reported.
    """
    if len(found.row) == 0:
        return NewRows(found.row, found.weight, found.error, found.row, ())
    apart = _apart(found)
    group = torch.nn.functional.pad(apart, (1, 0), value=False).long().cumsum(0)
    if bool(apart.all()):
        return NewRows(found.row, found.weight, found.error, group, ())
    group, doubts = _cut_wide_groups(found, group)
    lead = _surest(found.error, group)
    reach = found.error + (found.weight - found.weight[lead][group]).abs()
    error = torch.zeros_like(found.error[lead]).scatter_reduce_(0, group, reach, "amax")
    return NewRows(found.row[lead], found.weight[lead], error, group, doubts)


def _surest(error: Tensor, group: Tensor) -> Tensor:
    """Index of the member with the smallest error in every group; groups are numbered 0, 1, ... in order."""
    order = torch.argsort(error, stable=True)
    order = order[torch.argsort(group[order], stable=True)]
    first = torch.nn.functional.pad(group[order].diff() != 0, (1, 0), value=True)
    return order[first]


def _cut_wide_groups(found: Crossings, group: Tensor) -> tuple[Tensor, tuple[Doubt, ...]]:
    lead = _surest(found.error, group)
    far = (found.weight - found.weight[lead][group]).abs() > found.error + found.error[lead][group]
    if not bool(far.any()):
        return group, ()
    wide = torch.isin(group, group[far].unique())
    cut = group.clone() * len(group)  # room for the parts of each group
    for number in group[far].unique().tolist():
        members = (group == number).nonzero().squeeze(1)
        cut[members] += _greedy(found.weight[members], found.error[members])
    _, renumbered = cut.unique(return_inverse=True)
    reason = "crossings closer than their rounding that no single knot serves: their order is not decided"
    return renumbered, (Doubt(found.row[wide], found.unit[wide], reason),)


def _greedy(weight: Tensor, error: Tensor) -> Tensor:
    """Parts of one chain, numbered in order: the surest member takes every neighbour within reach, and so on."""
    part = torch.full_like(weight, -1, dtype=torch.int64)
    for index in torch.argsort(error, stable=True).tolist():
        if part[index] < 0:
            within = (weight - weight[index]).abs() <= error + error[index]
            part[within & (part < 0)] = index
    position = torch.zeros_like(weight)
    for index in part.unique().tolist():
        position[part == index] = weight[index]
    return position.unique(return_inverse=True)[1]
