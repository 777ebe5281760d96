"""Thresholds that the working dtype cannot hold, that coincide, or are infinite; loops that do not end say so."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import transect
from transect.engine import crossings
from transect.errors import DidNotEnd, UnresolvedWarning, at_most

DTYPES = [torch.float64, torch.float32]
EDGE = 0.1  # no binary number
LOW, HIGH = [0.1, 0.3, -0.7], [0.2, 0.9, 0.7]


def _limits(x: Tensor) -> tuple[Tensor, Tensor]:
    return torch.tensor(LOW, dtype=x.dtype), torch.tensor(HIGH, dtype=x.dtype)


BENDS: dict[str, Callable[[Tensor], Tensor]] = {
    "clamp": lambda x: x.clamp(-EDGE, EDGE),
    "clamp with tensors": lambda x: x.clamp(*_limits(x)),
    "maximum": lambda x: torch.maximum(x, _limits(x)[0]),
    "minimum with one double": lambda x: torch.minimum(x, torch.tensor(EDGE, dtype=torch.float64)),
    "hardtanh": lambda x: functional.hardtanh(x, -EDGE, 0.3),
    "softshrink": lambda x: functional.softshrink(x, EDGE),
    "threshold": lambda x: functional.threshold(x, EDGE, EDGE),
    "relu6 of a multiple": lambda x: functional.relu6(20 * x),
    "hardsigmoid of a multiple": lambda x: functional.hardsigmoid(30 * x),
    "a selection": lambda x: torch.where(x > EDGE, 3 * x - 2 * EDGE, x),
    "the largest, and a constant": lambda x: torch.cat([x, torch.full_like(x, EDGE)], -1).amax(-1, keepdim=True),
}


class _Bend(nn.Module):
    """A function as a module of some dtype."""

    def __init__(self, bend: Callable[[Tensor], Tensor], dtype: torch.dtype) -> None:
        super().__init__()
        self._bend = bend
        self.register_buffer("of_this_dtype", torch.zeros(1, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        return self._bend(x)


def _traced(bend: Callable[[Tensor], Tensor], anchors: Tensor, dtype: torch.dtype) -> transect.Trace:
    network = transect.capture(_Bend(bend, dtype), torch.zeros(anchors.shape[1], dtype=dtype), dtype=dtype)
    return transect.trace(network, transect.Path(anchors))


# On a threshold in one place or more, as decimals; the dtype takes from them what it can hold.
_ANCHORS = [[-0.1, -0.1, -0.1], [0.1, 0.3, -0.7], [0.9, 0.4, 0.1], [0.1, 0.3, -0.7], [4.0, 0.4, -0.1], [0.2, 0.9, 0.7],
            [0.3, 0.3, 0.3], [0.1, 0.1, 0.1], [0.9, -0.1, 0.2], [-3.0, 0.3, -0.7], [0.1, 0.4, 0.1]]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", BENDS)
def test_a_unit_exactly_on_a_threshold_is_exactly_on_it(name: str, dtype: torch.dtype):
    """Between points that lie on thresholds, both ways: no crossing a hair from an anchor, and the module's values."""
    anchors = torch.tensor(_ANCHORS, dtype=dtype)
    network = transect.capture(_Bend(BENDS[name], dtype), anchors[0], dtype=dtype)
    there, back = (transect.trace(network, transect.Path(x)) for x in (anchors, anchors.flip(0)))
    assert there.crossings.tolist() == back.crossings.tolist()[::-1]
    for segment in (*there.segments, *back.segments):
        assert float(segment.t.diff().min()) > 1e-3
    for found, x in ((there.start, anchors[:-1]), (there.end, anchors[1:])):
        torch.testing.assert_close(found, BENDS[name](x).double(), rtol=torch.finfo(dtype).eps, atol=0)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_values_at_crossings_are_those_of_the_threshold(dtype: torch.dtype):
    """At a knot a unit has exactly the value at which its pieces meet; one that stays on an edge never leaves."""
    for bend, on in ((BENDS["clamp"], EDGE), (BENDS["threshold"], EDGE), (BENDS["softshrink"], 0.0)):
        found = _traced(bend, torch.tensor([[-3.0, EDGE], [7.0, EDGE]], dtype=dtype), dtype)
        (segment,) = found.segments
        assert set(segment.outputs[1:-1, 0].abs().tolist()) == {float(torch.tensor(on, dtype=dtype))}
        assert segment.flips.unit.unique().tolist() == [0]
        expected = [0.29, 0.31] if bend is not BENDS["threshold"] else [0.31]
        assert segment.t[1:-1].tolist() == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_thresholds_that_coincide_never_bend(dtype: torch.dtype):
    """A clamp to nothing is constant and a shrinkage by nothing the identity, also where only float32 makes it so."""
    narrow = 1e-12 if dtype == torch.float32 else 0.0
    nothing: list[Callable[[Tensor], Tensor]] = [
        lambda x: functional.softshrink(x, 0.0),
        lambda x: functional.hardshrink(x, 0.0),
        lambda x: x + x.clamp(0.3, 0.3 + narrow),
        lambda x: x + functional.hardtanh(x, EDGE, EDGE),
        lambda x: x + x.clamp(0.5, -0.5),
    ]
    if dtype == torch.float32:
        nothing.append(lambda x: functional.softshrink(x, 1e-60))
    for bend in nothing:
        found = _traced(bend, torch.tensor([[-1.0, 0.3, 2.0], [1.0, 0.4, -0.7]]), dtype)
        assert found.crossings.tolist() == [0]
        assert not found.unresolved
    some = _traced(lambda x: x.clamp(_limits(x)[0], _limits(x)[0] + torch.tensor([0.5, 0.0, -1.0])),
                   torch.tensor([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]]), dtype)  # fmt: skip
    assert some.segments[0].flips.unit.tolist() == [0, 0]
    assert some.segments[0].t[1:-1].tolist() == pytest.approx([0.55, 0.8])


def test_limits_that_are_narrow_in_float64_are_two():
    """Limits were compared in the default dtype: then these two were one, and the bend was lost."""
    found = _traced(lambda x: 1e9 * x.clamp(EDGE, EDGE + 1e-9), torch.tensor([[0.0], [0.2]]).double(), torch.float64)
    assert found.crossings.tolist() == [2]
    torch.testing.assert_close(found.end - found.start, torch.ones(1, 1, dtype=torch.float64), rtol=1e-6, atol=0)


def test_a_selection_that_is_no_shrinkage_is_refused():
    """The other way round it jumps at both edges, though its parts are those of a soft shrinkage."""
    with pytest.raises(transect.errors.UnsupportedModel, match=r"jumps"):
        _traced(lambda x: torch.where(x.abs() < 0.5, x - x.sign() * 0.5, 0 * x), torch.zeros(2, 3), torch.float64)


def test_a_region_of_infinite_limits_has_no_border_there():
    limits = torch.tensor([-torch.inf, EDGE, 0.0], dtype=torch.float64)
    bend = _Bend(lambda x: torch.clamp(x, limits, torch.full_like(limits, 0.5)), torch.float64)
    network = transect.capture(bend, torch.zeros(3))
    region = network.region([0.2, 0.2, 0.7])
    assert region.inequalities().bound.tolist() == pytest.approx([0.5, -EDGE, 0.5, -0.5])
    torch.testing.assert_close(region([0.3, 0.1, 5.0])[0], torch.tensor([0.3, 0.1, 0.5], dtype=torch.float64))


# Loops that would not end


def test_a_loop_that_does_not_end_says_so(monkeypatch: pytest.MonkeyPatch):
    """Snapping a value that stays where it is, as a threshold that the dtype does not have once did."""
    network = transect.capture(_Bend(functional.relu, torch.float64), torch.zeros(1))
    monkeypatch.setattr(crossings, "_put", lambda *_: None)
    with pytest.raises(DidNotEnd, match=r"crossings of one bending operation: expected an end after at most 3 rounds"):
        transect.trace(network, transect.Path([[-1e-18], [1.0]]))


def test_rounds_are_counted():
    assert [one for one, _ in zip(at_most(5, "counting"), range(3), strict=False)] == [0, 1, 2]
    with pytest.raises(DidNotEnd, match="counting"):
        list(at_most(5, "counting"))


# Ties that rounding made


def _lost(x: Tensor) -> Tensor:
    """``scale * x``, but for rounding: 1 is added and taken away."""
    scale = 1e-17 if x.dtype == torch.float64 else 1e-9
    return (scale * x + 1) - 1


LOST: dict[str, Callable[[Tensor], Tensor]] = {
    "above, lost": lambda x: torch.relu(_lost(torch.relu(x))),
    "below, lost": lambda x: torch.relu(-_lost(torch.relu(x))),
    "a crossing, lost": lambda x: functional.leaky_relu(_lost(x)),
    "at the edge of a clamp": lambda x: torch.clamp(_lost(torch.relu(x)) + 1, max=1),
    "beside an activation": lambda x: torch.relu((_lost(torch.relu(x)) + x) - x),
    "the largest of two": lambda x: torch.maximum(_lost(torch.relu(x)) + 1, _lost(torch.relu(-x)) + 1),
    "the smallest of two": lambda x: torch.minimum(_lost(torch.relu(x)), _lost(torch.relu(-x))),
    "a window": lambda x: functional.max_pool1d(
        torch.cat([_lost(torch.relu(x)), _lost(torch.relu(-x))], 1).unsqueeze(1), 2
    ).flatten(1),
}
REAL: dict[str, Callable[[Tensor], Tensor]] = {
    "less its copy": lambda x: torch.relu(torch.relu(x) - torch.relu(x)),
    "less another way of it": lambda x: torch.relu(torch.relu(x) + torch.relu(-x) - x.abs()),
    "dead": lambda x: torch.relu(_lost(torch.relu(x - 5))),
    "a constant at an edge": lambda x: torch.clamp(torch.relu(x - 4) + 1, min=1) + x,
    "windows of zeros": lambda x: functional.max_pool1d(
        torch.relu(torch.cat([x - 5, x - 6, x, x], 1)).unsqueeze(1), 2
    ).flatten(1),
    "windows of copies": lambda x: torch.stack([x, x, x - 5], -1).amax(-1),
}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", LOST)
def test_ties_that_rounding_made_are_named(name: str, dtype: torch.dtype):
    """In exact arithmetic a unit moves there; in floats it is at its threshold, or tied, all along."""
    for ends in ([[-1.0], [1.0]], [[1.0], [-1.0]], [[0.2], [1.0]]):
        with pytest.warns(UnresolvedWarning):
            found = _traced(LOST[name], torch.tensor(ends, dtype=dtype), dtype)
        assert found.unresolved


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", REAL)
def test_real_zeros_and_real_ties_are_not_named(name: str, dtype: torch.dtype):
    for ends in ([[-1.0], [1.0]], [[0.2], [1.0]]):
        assert not _traced(REAL[name], torch.tensor(ends, dtype=dtype), dtype).unresolved
