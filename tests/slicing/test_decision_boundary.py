"""The decision boundary of a slice against closed forms, on edges that are there already too."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import transect

SQUARE = [(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)]


def plane() -> transect.Plane:
    return transect.Plane([0.0, 0.0], [1.0, 0.0], [0.0, 1.0], SQUARE)


class Kink(nn.Module):
    """``relu(x) - relu(-x)``: the sign changes where the units bend."""

    def forward(self, x: Tensor) -> Tensor:
        return (torch.relu(x) - torch.relu(-x))[:, :1]


class Sides(nn.Module):
    """``[relu(x), relu(-x)]``, and as many regions more as there are crosswise borders."""

    def forward(self, x: Tensor) -> Tensor:
        more = sum(torch.relu(x[:, 1] - k / 8) for k in range(-7, 8)) * 0
        return torch.stack([torch.relu(x[:, 0]) + more, torch.relu(-x[:, 0]) + more], 1)


@pytest.mark.parametrize("model", [Kink(), Sides()])
@pytest.mark.parametrize("budget", [None, 1])
@pytest.mark.parametrize("fewest", [64, 4])
def test_a_boundary_along_borders_of_regions(model: nn.Module, budget: int | None, fewest: int, monkeypatch):
    monkeypatch.setattr("transect.engine.plane.engine.FEWEST_ROWS", fewest)
    found = transect.slice(model, plane(), budget=budget)
    assert found.boundary_length == pytest.approx(2)
    assert found.class_areas.tolist() == pytest.approx([2, 2])
    (line,) = found.boundary.polylines()
    assert float(line[:, 0].abs().max()) < 1e-12
    assert sorted(line[[0, -1], 1].tolist()) == pytest.approx([-1, 1])
    left, right = found.boundary.classes.unique(dim=0)[0].tolist()
    assert {left, right} == {0, 1}


def test_three_classes_meet_in_one_point():
    """Outputs that are largest in three sectors of 120 degrees: boundaries are rays from the origin."""
    model = nn.Linear(2, 3, bias=False)
    angle = torch.tensor([90.0, 210.0, 330.0]).deg2rad()
    with torch.no_grad():
        model.weight.copy_(torch.stack([angle.cos(), angle.sin()], 1))
    found = transect.slice(model.double(), plane())
    sides = 1 / torch.tensor(30.0).deg2rad().cos()  # rays at 30 and 150 degrees end at x = 1 and -1; one goes down
    assert found.boundary_length == pytest.approx(float(2 * sides) + 1)
    assert float(found.class_areas.sum()) == pytest.approx(4)
    third = 2 - float(torch.tensor(30.0).deg2rad().tan())  # above both rays
    assert float(found.class_areas[0]) == pytest.approx(third)
    assert float(found.class_areas[1]) == pytest.approx(float(found.class_areas[2]))
