"""Patterns at points, against hooks on the user's own modules, and the value they are."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import transect
from support.pattern_cases import CASES, PatternCase, perceptron, pieces_seen
from transect.errors import InvalidInput
from transect.patterns import Pattern


def _network(case: PatternCase = CASES[0]) -> transect.Network:
    return transect.capture(case.module(), case.points(1)[0])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_pieces_are_those_of_the_modules(case: PatternCase):
    module, x = case.module(), case.points(21)
    found = transect.capture(module, x[0]).pattern(x)
    seen = pieces_seen(module, x)
    for operation, pieces in enumerate(seen):
        assert torch.equal(found.pieces(operation).long(), pieces)
        assert found.units[operation] == pieces.shape[1]
    assert len(found.operations) - len(seen) == (case.name == "residual")  # its maximum is no module


def test_the_winner_of_a_maximum_is_its_place():
    class Largest(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.amax((1, 2))

    x = torch.randn(50, 20, 30, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = transect.capture(Largest(), x[0]).pattern(x).pieces(0)  # 600 places: more than a byte holds
    assert torch.equal(found.long().squeeze(1), x.flatten(1).argmax(1))


def test_a_batch_is_its_points_one_by_one():
    case = CASES[1]
    network, x = _network(case), case.points(9)
    together = network.pattern(x)
    assert together == network.pattern(x.tolist())
    assert list(together) == [network.pattern(point) for point in x]
    assert len(network.pattern(x[:0])) == 0


def test_a_unit_at_its_threshold_is_not_above_it_and_the_first_of_equals_wins():
    network = transect.capture(nn.Sequential(nn.ReLU(), nn.Unflatten(1, (1, -1)), nn.MaxPool1d(2)), torch.zeros(4))
    found = network.pattern([0.0, 1.0, -2.0, -3.0])
    assert found.pieces(0).tolist() == [0, 1, 0, 0]
    assert found.pieces(1).tolist() == [1, 0]


def test_an_operation_goes_by_its_name_or_index():
    found = _network().pattern(CASES[0].points(4))
    for index, name in enumerate(found.operations):
        assert torch.equal(found.pieces(name), found.pieces(index))
        assert torch.equal(found.pieces(name), found.pieces(index - len(found.operations)))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bits_are_where_they_are_said_to_be(case: PatternCase):
    found = _network(case).pattern(case.points(2))
    for operation, units in enumerate(found.units):
        packed, pieces = found.packed(operation), found.pieces(operation)
        for point in range(2):
            for unit in range(units):
                bits = [int(plane[unit // 8]) >> unit % 8 & 1 for plane in packed[point]]
                assert sum(bit << k for k, bit in enumerate(bits)) == int(pieces[point, unit])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_hamming_distance_counts_the_units_that_differ(case: PatternCase):
    network, x = _network(case), case.points(7)
    one, many = network.pattern(x[0]), network.pattern(x)
    naive = [[int((one.pieces(k) != many[point].pieces(k)).sum()) for k in range(len(one.units))] for point in range(7)]
    assert one.hamming_by_operation(many).tolist() == naive
    assert many.hamming(one).tolist() == [sum(counts) for counts in naive]
    assert many.hamming(many[[1, 2, 3, 4, 5, 6, 0]])[6] == many[6].hamming(many[0])
    assert many.equal(one).tolist() == [sum(counts) == 0 for counts in naive]
    assert one.hamming(one).shape == ()


def test_patterns_are_values():
    network = _network()
    x = CASES[0].points(3)
    first, again, other = network.pattern(x[0]), network.pattern(x[0]), network.pattern(x[1])
    assert first == again
    assert first != other
    assert first != network.pattern(x[:1])  # one point is not a batch of one
    assert {first: "here"}[again] == "here"
    assert first != "here"


def test_patterns_of_other_architectures_are_different_and_no_error_where_they_are_keys():
    patterns = {_network(case).pattern(case.points(1)[0]) for case in CASES}
    assert len(patterns) == 3


def test_checkpoints_of_one_architecture_can_be_compared():
    torch.manual_seed(5)
    other = transect.capture(perceptron().double(), torch.zeros(3))
    x = CASES[0].points(20)
    assert int(_network().pattern(x).hamming(other.pattern(x)).sum()) > 0


def test_distinct_patterns_of_many_points():
    x = CASES[0].points(300).mul(0.3)
    patterns = _network().pattern(x)
    distinct, index = patterns.unique()
    rows = [tuple(row.tolist()) for row in torch.cat([patterns.pieces(k) for k in range(2)], 1)]
    assert len(distinct) == len(set(rows)) == len(set(patterns)) < 300
    assert distinct[index] == patterns
    assert [index.tolist().index(k) for k in range(len(distinct))] == sorted({rows.index(row) for row in rows})


def test_an_affine_network_has_one_pattern():
    found = transect.capture(nn.Linear(3, 2).double(), torch.zeros(3)).pattern(CASES[0].points(5))
    assert found.unique()[1].tolist() == [0] * 5
    assert found.hamming(found).tolist() == [0] * 5
    with pytest.raises(InvalidInput, match="the network is affine"):
        found.pieces("relu")


def test_windows_of_one_number_have_no_bits():
    module = nn.Sequential(nn.MaxPool1d(1), nn.ReLU())
    found = transect.capture(module, torch.zeros(2, 1, 3)).pattern([[1.0, -1.0, 2.0]])
    assert [found.pieces(k).tolist() for k in range(2)] == [[0, 0, 0], [1, 0, 1]]
    assert found.packed(0).shape == (0, 1)
    assert found.hamming(found) == 0


def _patterns() -> Pattern:
    return _network().pattern(CASES[0].points(4))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda p: p.hamming(_network(CASES[1]).pattern(CASES[1].points(4))), "networks of the same architecture"),
        (lambda p: p.equal(p[:3]), "as many points, or of one, got 4 and 3"),
        (lambda p: p.hamming("0101"), "expected a Pattern to compare with, got str"),
        (lambda p: p.pieces("relu"), r"expected one of 1, 3, or its index, got 'relu'"),
        (lambda p: p.pieces(2), "or its index, got 2"),
        (lambda p: p[0, 1], r"expected points such as 3"),
        (lambda p: _network().pattern(torch.zeros(4)), r"one input of shape \(3,\), or a batch of them, got \(4,\)"),
        (lambda p: _network().pattern([0.0, float("nan"), 0.0]), "expected finite values"),
    ],
)
def test_errors_say_what_was_expected(wrong, message: str):
    with pytest.raises(InvalidInput, match=message):
        wrong(_patterns())


@pytest.mark.parametrize("wrong", [len, lambda pattern: pattern[0], list, lambda pattern: pattern.unique()])
def test_one_pattern_is_no_batch(wrong):
    with pytest.raises(TypeError, match=r"network.pattern\(batch\) gives"):
        wrong(_patterns()[0])
