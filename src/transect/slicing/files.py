"""Slices as files: one safetensors file each, which is data and nothing else."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from transect.paths import Plane
from transect.slicing.decision import Boundary
from transect.slicing.measures import AREA_BINS
from transect.slicing.result import Edges, Polygons, Slice, Undecided
from transect.tables.tensors import WORKING_DTYPES, About, Declared, Expected, TensorFile, narrow
from transect.tracing.files import verification_of

_FILE = TensorFile("slice", "Slice.save", 1)
_PLANE = ("origin", "u", "v", "corners", "anchors")
_COUNTS = ("regions", "borders", "vertices")
_NUMBERS = ("area", "smallest", "largest", "border_length", "mean_slope", "largest_slope", "deviation_rounding")
_TENSORS = ("area_counts", "border_length_by_operation", "class_areas")
_BOUNDARY, _POLYGONS, _EDGES = (tuple(field.name for field in fields(kind)) for kind in (Boundary, Polygons, Edges))
_INDICES = {
    "boundary.classes",
    *(f"polygons.{name}" for name in ("start", "corner")),
    *(f"edges.{name}" for name in _EDGES),
}
_LEAST_CORNERS = 3


def save_slice(found: Slice, path: str | os.PathLike[str]) -> Path:
    """Write a slice, atomically, with all that it kept; :func:`load_slice` gives it back bit for bit.

    Args:
        found: The slice, with ``keep="all"`` or ``"measures"``.
        path: The file, best with the ending ``.safetensors``.

    Returns:
        ``path``.
    """
    about = {name: getattr(found, name) for name in ("operations", "units", "outputs", *_COUNTS, *_NUMBERS)} | {
        "dtype": str(found.dtype).removeprefix("torch."),
        "deviation_norm": found.deviation_norm,
        "unresolved": [asdict(entry) for entry in found.unresolved],
        "verification": None if found.verification is None else asdict(found.verification),
        "kept": found.kept is not None,
    }
    tensors = {name: getattr(found, name) for name in _TENSORS}
    tensors |= {f"plane.{name}": getattr(found.plane, name) for name in _PLANE}
    tensors |= {f"boundary.{name}": getattr(found.boundary, name) for name in _BOUNDARY}
    if found.deviation is not None:
        tensors["deviation"] = found.deviation
    if found.kept is not None:
        for kind, names, part in zip(("polygons", "edges"), (_POLYGONS, _EDGES), found.kept, strict=True):
            tensors |= {f"{kind}.{name}": getattr(part, name) for name in names}
    return _FILE.save(path, about, {name: narrow(t) if name in _INDICES else t for name, t in tensors.items()})


def load_slice(path: str | os.PathLike[str]) -> Slice:
    """Read a slice that :meth:`transect.Slice.save` wrote. Nothing in the file is executed.

    Args:
        path: The file.

    Returns:
        The slice.

    Raises:
        InvalidInput: There is no such file, it is not a slice, is damaged, or is of a later format.
    """
    return _FILE.load(path, _expected, _slice)


def _expected(about: About, declared: Declared) -> Expected:
    """The tensors of a slice, by what is said of them.

    Raises:
        Untrusted: They do not belong together.
    """
    operations, units, outputs = (about[name] for name in ("operations", "units", "outputs"))
    _FILE.check_whole(*units, *outputs, *(about[name] for name in _COUNTS))
    _check_numbers(*(about[name] for name in _NUMBERS))
    if type(about["kept"]) is not bool or not all(isinstance(name, str) for name in operations):
        _FILE.damaged("names are no texts")
    if len(units) != len(operations) or not outputs:
        _FILE.damaged("names and units are of different numbers of operations, or there are no outputs")
    shape, corners, pieces = (declared[name][1] for name in ("plane.origin", "plane.corners", "boundary.start"))
    classes = max(2, len(outputs))
    wanted = {
        **{f"plane.{name}": ("D", shape) for name in ("origin", "u", "v")},
        "plane.corners": ("D", (corners[0], 2)),
        "plane.anchors": ("D", (declared["plane.anchors"][1][0], 2)),
        "area_counts": ("I", (AREA_BINS,)),
        "border_length_by_operation": ("D", (len(operations),)),
        "class_areas": ("D", (classes,)),
        **{f"boundary.{name}": ("D", (pieces[0], 2)) for name in ("start", "end")},
        "boundary.classes": ("I", (pieces[0], 2)),
        "boundary.length": ("D", pieces[:1]),
    }
    if about["deviation_norm"] is not None:
        _check_numbers(*about["deviation_norm"])
        if len(about["deviation_norm"]) != 2 or corners[0] != _LEAST_CORNERS:
            _FILE.damaged("its deviation is not between two numbers, or its domain is no triangle")
        wanted["deviation"] = ("D", (len(outputs),))
    return wanted | _expected_of_kept(about, declared) if about["kept"] else wanted


def _expected_of_kept(about: About, declared: Declared) -> dict[str, tuple[str, tuple[int, ...]]]:
    regions, vertices, outputs = about["regions"], about["vertices"], len(about["outputs"])
    corners, edges, bends = (declared[name][1][0] for name in ("polygons.corner", "edges.start", "edges.unit"))
    shapes = {
        "polygons.xy": (vertices, 2),
        "polygons.error": (vertices,),
        "polygons.outputs": (vertices, outputs),
        "polygons.start": (regions + 1,),
        "polygons.corner": (corners,),
        "polygons.area": (regions,),
        "polygons.slope_norm": (regions,),
        **{f"edges.{name}": (edges,) for name in ("start", "end", "left", "right")},
        "edges.first": (edges + 1,),
        **{f"edges.{name}": (bends,) for name in ("operation", "unit")},
    }
    return {name: ("I" if name in _INDICES else "D", shape) for name, shape in shapes.items()}


def _slice(about: About, tensors: Mapping[str, Tensor]) -> Slice:
    tensors = {name: part.long() if name in _INDICES else part for name, part in tensors.items()}
    units = tuple(about["units"])
    _FILE.check_indices(tensors["boundary.classes"], len(tensors["class_areas"]), "a class of the boundary is one")
    if about["kept"]:
        _check_kept(about, tensors)
    norm = about["deviation_norm"]
    plain: dict[str, Any] = {name: about[name] for name in _COUNTS} | {name: float(about[name]) for name in _NUMBERS}
    plain |= {name: tensors[name] for name in _TENSORS}
    return Slice(
        plane=Plane(*(tensors[f"plane.{name}"] for name in _PLANE)),
        operations=tuple(about["operations"]),
        units=units,
        outputs=tuple(about["outputs"]),
        dtype=WORKING_DTYPES[about["dtype"]],
        **plain,
        boundary=Boundary(**{name: tensors[f"boundary.{name}"] for name in _BOUNDARY}),
        deviation=None if norm is None else tensors["deviation"],
        deviation_norm=None if norm is None else (float(norm[0]), float(norm[1])),
        unresolved=tuple(map(_undecided, about["unresolved"])),
        verification=verification_of(about["verification"], _FILE),
        kept=_kept(tensors) if about["kept"] else None,
    )


def _kept(tensors: Mapping[str, Tensor]) -> tuple[Polygons, Edges]:
    polygons = Polygons(**{name: tensors[f"polygons.{name}"] for name in _POLYGONS})
    return polygons, Edges(**{name: tensors[f"edges.{name}"] for name in _EDGES})


def _check_kept(about: About, tensors: Mapping[str, Tensor]) -> None:
    """Hold that polygons are of vertices, and edges of vertices, polygons and units, that there are."""
    vertices, regions, units = about["vertices"], about["regions"], torch.tensor(about["units"], dtype=torch.int64)
    polygons, edges = ({name: tensors[f"{kind}.{name}"] for name in names}
                       for kind, names in (("polygons", _POLYGONS), ("edges", _EDGES)))  # fmt: skip
    _check_lists(polygons["start"], polygons["corner"], _LEAST_CORNERS)
    _check_lists(edges["first"], edges["unit"], 0)
    if not bool(polygons["xy"].isfinite().all()):
        _FILE.damaged("a vertex is nowhere")
    for indices in (polygons["corner"], edges["start"], edges["end"]):
        _FILE.check_indices(indices, vertices, "a polygon or edge is of a vertex")
    _FILE.check_indices(edges["left"], regions, "an edge is of a polygon")
    _FILE.check_indices(edges["right"], regions, "an edge is of a polygon", least=-1)
    _FILE.check_indices(edges["operation"], len(units), "an edge is of an operation")
    _FILE.check_indices(edges["unit"], units[edges["operation"]], "an edge is of a unit")
    if int((edges["right"] >= 0).sum()) != about["borders"]:
        _FILE.damaged("it has another number of borders than it says")


def _check_lists(start: Tensor, entries: Tensor, least: int) -> None:
    """Hold that lists, one after the other, are all of the entries, and at least so long each."""
    inside = bool(((start >= 0) & (start <= len(entries))).all())  # so that no difference overflows
    ends = (int(start[0]), int(start[-1])) == (0, len(entries))
    if not inside or not ends or not bool((start.diff() >= least).all()):
        _FILE.damaged("the corners of its polygons, or what bends at its edges, are not in lists one after the other")


def _check_numbers(*numbers: Any) -> None:
    if not all(type(number) in (int, float) for number in numbers):
        _FILE.damaged("its measures are no numbers")


def _undecided(entry: Mapping[str, Any]) -> Undecided:
    found = Undecided(**entry)
    _check_numbers(*found.xy)
    if len(found.xy) != 2 or type(found.unit) is not int or not isinstance(found.operation, str):
        _FILE.damaged("an unresolved place is none")
    if not isinstance(found.reason, str):
        _FILE.damaged("an unresolved place is none")
    x, y = map(float, found.xy)
    return Undecided((x, y), found.operation, found.unit, found.reason)
