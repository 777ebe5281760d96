"""Slices as files: everything comes back bit for bit, and what is no slice is refused."""

from __future__ import annotations

import pickle
from dataclasses import fields, replace

import pytest
import safetensors.torch
import torch
from torch import nn

import transect
from support import tensor_files
from transect.errors import InvalidInput
from transect.slicing import files as slices
from transect.slicing.result import Slice, Undecided


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3)
    ).eval()


def plane(margin: float = 0.0) -> transect.Plane:
    points = torch.randn(3, 2, 6, 6, generator=torch.Generator().manual_seed(1))  # float32
    return transect.Plane.through(*points, margin=margin)


def same(one: object, other: object) -> bool:
    """Whether two values, and all that they are made of, are the same bit for bit."""
    if type(one) is not type(other):
        return False
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, transect.Plane):
        return all(same(getattr(one, name), getattr(other, name)) for name in "origin u v corners anchors area".split())
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if hasattr(one, "__dataclass_fields__"):
        return all(same(getattr(one, field.name), getattr(other, field.name)) for field in fields(one))
    return one == other


@pytest.fixture(scope="module")
def whole() -> Slice:
    return transect.slice(network(), plane())


@pytest.mark.parametrize("keep", ["all", "measures"])
@pytest.mark.parametrize("margin", [0.0, 0.1])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_everything_comes_back_bit_for_bit(keep, margin, dtype, tmp_path):
    saved = transect.slice(network(), plane(margin), keep=keep, dtype=dtype, outputs=[2, 0])
    file = tmp_path / "new" / "slice.safetensors"
    assert saved.save(file) == file
    found = transect.load_slice(file)
    assert saved.regions > 20
    assert (saved.deviation is None) == (margin > 0)
    assert [
        field.name for field in fields(Slice) if not same(getattr(found, field.name), getattr(saved, field.name))
    ] == []
    assert list(tmp_path.rglob("*.part*")) == []


def test_what_is_made_of_a_slice_is_the_same_afterwards(whole, tmp_path):
    found = transect.load_slice(whole.save(tmp_path / "slice.safetensors"))
    assert repr(found) == repr(whole)
    model = transect.capture(network(), torch.zeros(2, 6, 6))
    assert found.pattern(model, -1) == whole.pattern(model, -1)
    assert same(tuple(found.boundary.polylines()), tuple(whole.boundary.polylines()))
    assert found.edges.bending(5) == whole.edges.bending(5)


def test_measures_alone_are_kept_without_polygons(tmp_path):
    saved = transect.slice(network(), plane(), keep="measures", verify=False)
    found = transect.load_slice(saved.save(tmp_path / "slice.safetensors"))
    assert found.verification is None
    with pytest.raises(InvalidInput, match="kept its measures only"):
        found.polygons  # noqa: B018


def test_an_affine_network_and_doubtful_places_are_kept_too(tmp_path):
    saved = transect.slice(nn.Linear(2, 1), transect.Plane.through([0.0, 0.0], [1.0, 0.0], [0.0, 1.0]))
    doubtful = (
        Undecided((0.1 + 0.2, -1e-30), "relu", 7, "closer than rounding"),
        Undecided((0.0, 1.0), "", -1, "seam"),
    )
    found = transect.load_slice(replace(saved, unresolved=doubtful).save(tmp_path / "affine.safetensors"))
    assert (found.regions, found.operations, found.unresolved) == (1, (), doubtful)


def test_files_that_are_no_slices_are_refused(whole, tmp_path):
    with pytest.raises(InvalidInput, match="cannot read the slice"):
        transect.load_slice(tmp_path / "nowhere.safetensors")
    (tmp_path / "pickled").write_bytes(pickle.dumps({"t": 1}))
    with pytest.raises(InvalidInput, match="expected a slice"):
        transect.load_slice(tmp_path / "pickled")
    transect.trace(nn.Linear(2, 1), transect.Path([[0.0, 0.0], [1.0, 2.0]])).save(tmp_path / "trace.safetensors")
    with pytest.raises(InvalidInput, match="another safetensors file"):
        transect.load_slice(tmp_path / "trace.safetensors")
    data = whole.save(tmp_path / "slice.safetensors").read_bytes()
    (tmp_path / "half.safetensors").write_bytes(data[: len(data) // 2])
    with pytest.raises(InvalidInput, match="expected a slice"):
        transect.load_slice(tmp_path / "half.safetensors")
    with pytest.raises(InvalidInput, match="another safetensors file"):
        transect.load_trace(tmp_path / "slice.safetensors")


def rewritten(found, folder, about=None, **tensors):
    """The file of a slice with something else in it."""
    return tensor_files.rewritten(found, folder, "transect.slice", about or {}, tensors)


def cut(name: str):
    return {name: lambda found: found[name][:-1]}


def moved(name: str, by: int):
    return {name: lambda found: found[name] + by}


def put(name: str, value: float, at: int = 3):
    def change(found):
        found[name].view(-1)[at] = value
        return found[name]

    return {name: change}


NAMES = ("polygons.xy", "polygons.error", "polygons.outputs", "polygons.start", "polygons.corner", "polygons.area",
         "polygons.slope_norm", "edges.start", "edges.end", "edges.left", "edges.right", "edges.first",
         "edges.operation", "edges.unit", "plane.origin", "plane.corners", "area_counts", "class_areas", "deviation",
         "border_length_by_operation", "boundary.start", "boundary.end", "boundary.classes",
         "boundary.length")  # fmt: skip


@pytest.mark.parametrize(
    ("about", "tensors"),
    [
        ({"units": [48, -1, 8]}, {}),
        ({"units": [2**70, 12, 8]}, {}),
        ({"units": [48.0, 12, 8]}, {}),
        ({"units": 48}, {}),
        ({"units": None}, {}),
        ({"units": [1, 1, 1]}, {}),
        ({"operations": [1, 2, 3]}, {}),
        ({"operations": {}}, {}),
        ({"outputs": [0]}, {}),
        ({"outputs": []}, {}),
        ({"outputs": ["0"] * 3}, {}),
        ({"regions": 10**15}, {}),
        ({"regions": -1}, {}),
        ({"vertices": 3}, {}),
        ({"vertices": 1e400}, {}),
        ({"borders": 3}, {}),
        ({"kept": False, "regions": True}, {}),
        ({"kept": 1}, {}),
        ({"kept": None}, {}),
        ({"area": "1"}, {}),
        ({"area": None}, {}),
        ({"smallest": [1.0]}, {}),
        ({"deviation_norm": [1.0]}, {}),
        ({"deviation_norm": ["1", 2]}, {}),
        ({"deviation_norm": 1.0}, {}),
        ({"dtype": None}, {}),
        ({"dtype": "float8"}, {}),
        ({"unresolved": [{"xy": [1.0], "operation": "a", "unit": 1, "reason": "b"}]}, {}),
        ({"unresolved": [{"xy": [1.0, "2"], "operation": "a", "unit": 1, "reason": "b"}]}, {}),
        ({"unresolved": [{"xy": [1.0, 2.0], "operation": "a", "unit": 1.5, "reason": "b"}]}, {}),
        ({"unresolved": [{"xy": [1.0, 2.0], "operation": "a", "unit": 1, "reason": 7}]}, {}),
        ({"unresolved": [{"xy": 10**400, "operation": "a", "unit": 1, "reason": "a"}]}, {}),
        ({"unresolved": [{"xy": [10**400, 1], "operation": "a", "unit": 1, "reason": "a"}]}, {}),
        ({"unresolved": [7]}, {}),
        ({"verification": {"points": "many"}}, {}),
        ({"verification": {"points": 1, "pints": 2}}, {}),
        *(({}, cut(name)) for name in NAMES),
        ({}, {"polygons.corner": lambda found: found["polygons.corner"].double()}),
        ({}, {"polygons.xy": lambda found: found["polygons.xy"].float()}),
        ({}, {"plane.origin": lambda found: found["plane.origin"].float()}),
        ({}, {"plane.origin": lambda found: found["plane.origin"] * float("inf")}),
        ({}, {"plane.v": lambda found: found["plane.u"].clone()}),
        ({}, {"plane.u": lambda found: found["plane.u"] * 0}),
        ({}, {"plane.corners": lambda found: torch.zeros(100_000, 2, dtype=torch.float64)}),
        ({}, {"plane.corners": lambda found: found["plane.corners"] * float("nan")}),
        ({}, {"plane.anchors": lambda found: torch.tensor(1.0)}),
        ({}, {"area_counts": lambda found: torch.tensor(1)}),
        ({}, moved("polygons.start", 1)),
        ({}, moved("polygons.start", 2**31 - 5)),
        ({}, put("polygons.start", -(2**31))),
        ({}, put("polygons.start", 0)),
        ({}, {"polygons.start": lambda found: found["polygons.start"].flip(0)}),
        ({}, {"polygons.start": lambda found: torch.full_like(found["polygons.start"].long(), 2**62)}),
        ({}, put("polygons.corner", -1)),
        ({}, put("polygons.corner", 10**6)),
        ({}, put("polygons.xy", float("nan"))),
        ({}, put("edges.start", -1)),
        ({}, put("edges.end", 10**6)),
        ({}, put("edges.left", -1)),
        ({}, put("edges.right", -2)),
        ({}, put("edges.right", 10**6)),
        ({}, put("edges.right", -1, at=0)),
        ({}, put("edges.first", 10**6)),
        ({}, put("edges.operation", 3)),
        ({}, put("edges.operation", -1)),
        ({}, put("edges.unit", 1000)),
        ({}, put("edges.unit", -1)),
        ({}, put("boundary.classes", 3)),
        ({}, put("boundary.classes", -1)),
    ],
)  # fmt: skip
def test_crafted_slices_are_one_error(whole, tmp_path, about, tensors):
    original = safetensors.torch.load_file(whole.save(tmp_path / "slice.safetensors"))
    made = {name: change(original).contiguous() for name, change in tensors.items()}
    with pytest.raises(InvalidInput, match=r"other\.safetensors.*damaged slice"):
        transect.load_slice(rewritten(whole, tmp_path, about, **made))


@pytest.mark.parametrize("name", NAMES)
def test_slices_that_lack_something_are_one_error(whole, tmp_path, name):
    with pytest.raises(InvalidInput, match=r"other\.safetensors.*damaged slice"):
        transect.load_slice(rewritten(whole, tmp_path, None, **{name: None}))


def test_slices_of_other_formats_are_refused(whole, tmp_path):
    with pytest.raises(InvalidInput, match=r"found format 99, written by Transect 7\.0"):
        transect.load_slice(rewritten(whole, tmp_path, {"format": 99, "transect": "7.0"}))


@pytest.mark.parametrize("header", ["[" * 100_000, '{"format": ' + "9" * 5000 + "}", "nonsense", '{"a": "'])
def test_headers_that_are_no_json_are_one_error(tmp_path, header):
    safetensors.torch.save_file({"a": torch.ones(2)}, tmp_path / "a.safetensors", {"transect.slice": header})
    with pytest.raises(InvalidInput, match=r"cannot read the slice .*a\.safetensors: it is no JSON, or damaged"):
        transect.load_slice(tmp_path / "a.safetensors")


def test_nothing_of_a_crafted_slice_is_read(whole, tmp_path, monkeypatch):
    """Shapes are compared before a tensor takes memory."""
    file = rewritten(whole, tmp_path, None, **{"edges.left": torch.ones(5)})
    monkeypatch.setattr(slices, "_slice", lambda *_: pytest.fail("it was read"))
    with pytest.raises(InvalidInput, match="damaged slice"):
        transect.load_slice(file)


@pytest.mark.parametrize("path", [None, 3, b"slice"])
def test_what_is_no_path_is_refused(whole, path):
    with pytest.raises(InvalidInput, match="path: expected a path"):
        whole.save(path)
    with pytest.raises(InvalidInput, match="path: expected a path"):
        transect.load_slice(path)


def test_a_name_that_is_too_long_is_no_slice():
    with pytest.raises(InvalidInput, match="path: cannot read the slice"):
        transect.load_slice("x" * 5000)
