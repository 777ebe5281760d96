from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import transect
from transect.estimation.functions import changes, record, record_bytes, undecided
from transect.rules import Affine, Bend, Envelope, Hinge


def _bend(module: nn.Module, *shape: int) -> Bend:
    program = transect.capture(module, torch.zeros(1, *shape)).program
    (bend,) = (step.operation for step in program.instructions if not isinstance(step.operation, Affine))
    return bend


def _normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def _slow_pieces(hinge: Hinge, values: Tensor) -> Tensor:
    return torch.stack([values.flatten(1) > threshold for threshold in hinge.thresholds]).sum(0)


@pytest.mark.parametrize("module", [nn.ReLU(), nn.ReLU6(), nn.Hardtanh(-0.3, 0.4), nn.Softshrink(0.2)])
def test_packed_bits_count_the_pieces_between_two_points(module: nn.Module):
    hinge = _bend(module, 9)
    assert isinstance(hinge, Hinge)
    for units in (1, 7, 8, 9, 64, 131):
        values = 3 * _normal(5, units)
        records, pieces = record(hinge, values), _slow_pieces(hinge, values)
        assert records.shape == (5, record_bytes(hinge, units))
        assert changes(hinge, records[:-1], records[1:]).tolist() == pieces.diff(dim=0).abs().sum(1).tolist()


def test_thresholds_of_each_unit():
    class Limited(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.maximum(x, torch.tensor([0.0, 10.0, -10.0]))

    hinge = _bend(Limited(), 3)
    values = torch.tensor([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]], dtype=torch.float64)
    records = record(hinge, values)
    assert changes(hinge, records[0], records[1]).item() == 1


@pytest.mark.parametrize("module", [nn.MaxPool2d(2), nn.MaxPool2d(3, stride=2, padding=1)])
def test_windows_count_once_when_another_number_wins(module: nn.Module):
    envelope, values = _bend(module, 2, 6, 6), _normal(4, 2, 6, 6)
    assert isinstance(envelope, Envelope)
    winners = nn.functional.max_pool2d(values, module.kernel_size, module.stride, module.padding, return_indices=True)[
        1
    ]
    records = record(envelope, values)
    assert records.shape[1] * 4 == record_bytes(envelope, winners[0].numel())
    expected = (winners[1:] != winners[:-1]).flatten(1).sum(1)
    assert torch.equal(changes(envelope, records[:-1], records[1:]), expected)


def test_units_between_two_pieces_are_left_out():
    hinge = _bend(nn.ReLU6(), 5)
    values = torch.tensor([[0.0, 6.0, 1.0, -1.0, 7.0], [1.0, 5.0, 7.0, 3.0, 8.0]], dtype=torch.float64)
    records, between = record(hinge, values), undecided(hinge, values)
    assert changes(hinge, records[0], records[1]).item() == 3  # units 0, 2, 3; unit 1 is below 6 at both
    assert changes(hinge, records[0], records[1], between[0]).item() == 2


def test_windows_with_two_winners_are_left_out():
    envelope = _bend(nn.MaxPool2d(2), 1, 2, 4)
    tied = torch.tensor([[[[1.0, 1.0, 3.0, 0.0], [0.0, 0.0, 0.0, 0.0]]]], dtype=torch.float64)
    other = torch.tensor([[[[1.0, 2.0, 0.0, 3.0], [0.0, 0.0, 0.0, 0.0]]]], dtype=torch.float64)
    before, after, between = record(envelope, tied), record(envelope, other), undecided(envelope, tied)
    assert changes(envelope, before, after).item() == 2
    assert changes(envelope, before, after, between).item() == 1


def test_units_at_their_threshold_at_an_anchor_do_not_flip_there():
    """A bias-free network leaves an exactly black background: on the path, its units are on one side throughout."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 40, bias=False), nn.ReLU(), nn.Linear(40, 30, bias=False), nn.ReLU()).double()
    path = transect.Path([torch.zeros(4).tolist(), [1.0, -2.0, 0.5, 3.0]])
    assert transect.trace(model, path).flips.tolist() == [0]
    assert transect.estimate(model, path).flips_lower.tolist() == [0]
