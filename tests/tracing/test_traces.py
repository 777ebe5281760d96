"""Traces as files: everything comes back bit for bit, and what is no trace is refused."""

from __future__ import annotations

import pickle

import pytest
import safetensors.torch
import torch
from torch import nn

import transect
from support import tensor_files
from transect.errors import InvalidInput
from transect.tracing import files as traces
from transect.tracing.result import Doubtful


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3)
    )


def path(closed: bool = True) -> transect.Path:
    return transect.Path(torch.randn(3, 2, 6, 6, generator=torch.Generator().manual_seed(1)), closed=closed)


def same(one: object, other: object) -> bool:
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and one.dtype == other.dtype and torch.equal(one, other)
    return one == other


@pytest.fixture
def trace() -> transect.Trace:
    return transect.trace(network(), path())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("outputs", [None, [2, 0]])
def test_everything_comes_back_bit_for_bit(dtype, outputs, tmp_path):
    saved = transect.trace(network(), path(), dtype=dtype, outputs=outputs)
    assert saved.save(tmp_path / "new" / "trace.safetensors") == tmp_path / "new" / "trace.safetensors"
    found = transect.load_trace(tmp_path / "new" / "trace.safetensors")
    whole = "operations units outputs dtype start end length flips_by_operation anchor_crossings unresolved".split()
    for name in whole:
        assert same(getattr(found, name), getattr(saved, name)), name
    assert found.verification == saved.verification
    assert found.path.closed
    assert same(found.path.anchors, saved.path.anchors)
    assert found.reduced.keys() == saved.reduced.keys()
    for name, reduced in saved.reduced.items():
        for part in ("value", "rounding"):
            assert same(getattr(found.reduced[name], part), getattr(reduced, part)), name
    for ours, theirs in zip(found.segments, saved.segments, strict=True):
        assert ours.layout == theirs.layout
        assert all(same(getattr(ours, name), getattr(theirs, name)) for name in ("t", "outputs", "t_error"))
        assert all(same(*pair) for pair in zip(ours.start_pattern, theirs.start_pattern, strict=True))
        for name in ("knot", "operation", "unit", "before", "after"):
            assert same(getattr(ours.flips, name), getattr(theirs.flips, name)), name
    assert list(tmp_path.rglob("*.part*")) == []


def test_what_is_made_of_a_trace_is_the_same_afterwards(trace, tmp_path):
    found = transect.load_trace(trace.save(tmp_path / "trace.safetensors"))
    assert repr(found) == repr(trace)
    assert found.region(1, -1).pattern == trace.region(1, -1).pattern
    assert torch.equal(found.absolute_deviation(), trace.absolute_deviation())
    again = found.region(0, 2).of(transect.capture(network(), torch.zeros(2, 6, 6)))
    assert torch.allclose(again.slope(path().ends[0] - path().starts[0]), trace.region(0, 2).slope, rtol=1e-8)


def test_measures_alone_are_kept_without_segments(tmp_path):
    saved = transect.trace(network(), path(closed=False), keep="measures", verify=False)
    found = transect.load_trace(saved.save(tmp_path / "trace.safetensors"))
    assert not found.path.closed
    assert found.verification is None
    assert torch.equal(found.crossings, saved.crossings)
    with pytest.raises(InvalidInput, match="kept its measures only"):
        found.segments  # noqa: B018


def test_an_affine_network_and_doubtful_places_are_kept_too(tmp_path):
    from dataclasses import replace

    saved = transect.trace(nn.Linear(2, 1), transect.Path([[0.0, 0.0], [1.0, 2.0]]))
    doubtful = (Doubtful(0, 0.1 + 0.2, "relu", 7, "closer than rounding"),)
    found = transect.load_trace(replace(saved, unresolved=doubtful).save(tmp_path / "affine.safetensors"))
    assert found.crossings.tolist() == [0]
    assert found.operations == ()
    assert found.unresolved == doubtful


def test_files_that_are_no_traces_are_refused(trace, tmp_path):
    with pytest.raises(InvalidInput, match="cannot read the trace"):
        transect.load_trace(tmp_path / "nowhere.safetensors")
    (tmp_path / "pickled").write_bytes(pickle.dumps({"t": 1}))
    with pytest.raises(InvalidInput, match="expected a trace"):
        transect.load_trace(tmp_path / "pickled")
    safetensors.torch.save_file({"weight": torch.ones(2)}, tmp_path / "weights.safetensors")
    with pytest.raises(InvalidInput, match="another safetensors file"):
        transect.load_trace(tmp_path / "weights.safetensors")
    whole = trace.save(tmp_path / "trace.safetensors").read_bytes()
    (tmp_path / "half.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InvalidInput, match="expected a trace"):
        transect.load_trace(tmp_path / "half.safetensors")


def rewritten(trace, folder, about=None, **tensors):
    """The file of a trace with something else in it."""
    return tensor_files.rewritten(trace, folder, "transect.trace", about or {}, tensors)


@pytest.mark.parametrize(
    ("about", "tensors", "message"),
    [
        ({"format": 99, "transect": "7.0"}, {}, "found format 99, written by Transect 7.0"),
        ({"dtype": "float8"}, {}, "damaged trace"),
        ({"verification": {"points": 1, "what": 2}}, {}, "damaged trace"),
        ({}, {"length": None}, "damaged trace"),
        ({}, {"length": torch.ones(5)}, "damaged trace"),
        ({}, {"knots": torch.tensor([1, 2, 3])}, "damaged trace"),
        ({}, {"pattern.0": None}, "damaged trace"),
    ],
)
def test_damaged_traces_and_those_of_other_formats_are_refused(trace, tmp_path, about, tensors, message):
    with pytest.raises(InvalidInput, match=message):
        transect.load_trace(rewritten(trace, tmp_path, about, **tensors))


def cut(name: str, by: int = 1):
    return lambda found: found[name][:-by]


@pytest.mark.parametrize(
    ("about", "tensors"),
    [
        ({"units": [48, -1, 8]}, {}),
        ({"units": [2**70, 12, 8]}, {}),
        ({"units": [48.0, 12, 8]}, {}),
        ({"units": [True, 12, 8]}, {}),
        ({"units": "48"}, {}),
        ({"units": 48}, {}),
        ({"units": None}, {}),
        ({"pieces": [0, 2, 2]}, {}),
        ({"pieces": [2]}, {}),
        ({"pieces": [1, 1, 1]}, {}),
        ({"operations": [1, 2, 3]}, {}),
        ({"operations": {}}, {}),
        ({"outputs": [0]}, {}),
        ({"outputs": [[0], [1], [2]]}, {}),
        ({"outputs": ["0"] * 3}, {}),
        ({"closed": False}, {}),
        ({"closed": 1}, {}),
        ({"anchor_crossings": -1}, {}),
        ({"anchor_crossings": 1e400}, {}),
        ({"measures": ["no such measure"]}, {}),
        ({"measures": [["flips"]]}, {}),
        ({"dtype": None}, {}),
        ({"unresolved": [{"segment": 99, "t": 0.5, "operation": "a", "unit": 1, "reason": "b"}]}, {}),
        ({"unresolved": [{"segment": "0", "t": 0.5, "operation": "a", "unit": 1, "reason": "b"}]}, {}),
        ({"unresolved": [7]}, {}),
        ({"verification": {"points": "many"}}, {}),
        ({"verification": {"points": 1, "pints": 2}}, {}),
        ({}, {"knots": cut("knots")}),
        ({}, {"knots": lambda found: -found["knots"]}),
        ({}, {"knots": lambda found: found["knots"] + torch.tensor([1, -1, 0])}),
        ({}, {"knots": lambda found: found["knots"].double()}),
        ({}, {"knots": lambda found: torch.tensor([2**62, 2**62, 2**62])}),
        ({}, {"flips": lambda found: found["flips"] + torch.tensor([-(2**62), 0, 2**62])}),
        ({}, {"segment.t": lambda found: found["segment.t"].flip(0)}),
        ({}, {"segment.t": lambda found: found["segment.t"] * float("nan")}),
        ({}, {"segment.outputs": lambda found: found["segment.outputs"][:, :1]}),
        ({}, {"segment.t_error": cut("segment.t_error")}),
        ({}, {"flip.unit": lambda found: found["flip.unit"] + 1000}),
        ({}, {"flip.unit": lambda found: -found["flip.unit"] - 1}),
        ({}, {"flip.operation": lambda found: found["flip.operation"] + 3}),
        ({}, {"flip.knot": lambda found: found["flip.knot"] + 10_000}),
        ({}, {"flip.after": lambda found: found["flip.after"] + 100}),
        ({}, {"pattern.0": lambda found: found["pattern.0"] + 200}),
        ({}, {"pattern.1": lambda found: found["pattern.1"][:, 1:]}),
        ({}, {"anchors": lambda found: found["anchors"][:1]}),
        ({}, {"anchors": lambda found: torch.tensor(1.0)}),
        ({}, {"anchors": lambda found: found["anchors"] * float("inf")}),
        ({}, {"start": lambda found: found["start"].int()}),
        ({}, {"flips_by_operation": lambda found: found["flips_by_operation"][:, :1]}),
        ({}, {"value.absolute_deviation": lambda found: found["value.absolute_deviation"][:, :1]}),
    ],
)
def test_crafted_traces_are_one_error(trace, tmp_path, about, tensors):
    original = safetensors.torch.load_file(trace.save(tmp_path / "trace.safetensors"))
    made = {name: change(original).contiguous() for name, change in tensors.items()}
    with pytest.raises(InvalidInput, match=r"other\.safetensors.*damaged trace"):
        transect.load_trace(rewritten(trace, tmp_path, about, **made))


@pytest.mark.parametrize("header", ["[" * 100_000, "9" * 5000, '{"format": ' + "9" * 5000 + "}", "nonsense", '{"a": "'])
def test_headers_that_are_no_json_are_one_error(tmp_path, header):
    safetensors.torch.save_file({"a": torch.ones(2)}, tmp_path / "a.safetensors", {"transect.trace": header})
    with pytest.raises(InvalidInput, match=r"cannot read the trace .*a\.safetensors: it is no JSON, or damaged"):
        transect.load_trace(tmp_path / "a.safetensors")


def test_nothing_of_a_crafted_trace_is_read(trace, tmp_path, monkeypatch):
    """Shapes are compared before a tensor takes memory."""
    file = rewritten(trace, tmp_path, None, length=torch.ones(5))
    monkeypatch.setattr(traces, "_trace", lambda *_: pytest.fail("it was read"))
    with pytest.raises(InvalidInput, match="damaged trace"):
        transect.load_trace(file)


@pytest.mark.parametrize(("name", "said"), [("", "it is a folder"), ("none", "there is no"), ("a\0b", "there is no")])
def test_what_is_no_file_is_one_error(tmp_path, name, said):
    with pytest.raises(InvalidInput, match=f"cannot read the trace.*{said}"):
        transect.load_trace(f"{tmp_path}/{name}")
