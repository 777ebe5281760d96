"""Traces as files: one safetensors file each, which is data and nothing else."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from transect.engine.rows import Flips
from transect.measures.base import Reduced
from transect.paths import Path as Polyline
from transect.patterns import Layout
from transect.tables.tensors import WORKING_DTYPES, About, Declared, Expected, TensorFile, narrow
from transect.tracing.result import Doubtful, Trace, Verification
from transect.tracing.segment import Segment

_FILE = TensorFile("trace", "Trace.save", 1)
_FLIPS = ("knot", "operation", "unit", "before", "after")
_WHOLE = ("start", "end", "length", "flips_by_operation")
_REDUCED = ("value", "rounding")


def save_trace(trace: Trace, path: str | os.PathLike[str]) -> Path:
    """Write a trace, atomically, with all that it kept; :func:`load_trace` gives it back bit for bit.

    Args:
        trace: The trace, with ``keep="all"`` or ``"measures"``.
        path: The file, best with the ending ``.safetensors``.

    Returns:
        ``path``.
    """
    about = {
        "closed": trace.path.closed,
        "operations": trace.operations,
        "units": trace.units,
        "outputs": trace.outputs,
        "dtype": str(trace.dtype).removeprefix("torch."),
        "anchor_crossings": trace.anchor_crossings,
        "measures": list(trace.reduced),
        "unresolved": [asdict(entry) for entry in trace.unresolved],
        "verification": None if trace.verification is None else asdict(trace.verification),
        "pieces": None if trace.kept is None else _layout_of(trace.kept).pieces,
    }
    tensors = {name: getattr(trace, name) for name in _WHOLE} | {"anchors": trace.path.anchors}
    for name, reduced in trace.reduced.items():
        tensors |= {f"value.{name}": reduced.value, f"rounding.{name}": reduced.rounding}
    if trace.kept is not None:
        tensors |= _of_segments(trace.kept)
    return _FILE.save(path, about, tensors)


def load_trace(path: str | os.PathLike[str]) -> Trace:
    """Read a trace that :meth:`transect.Trace.save` wrote. Nothing in the file is executed.

    Args:
        path: The file.

    Returns:
        The trace, its tensors on the CPU.

    Raises:
        InvalidInput: There is no such file, it is not a trace, is damaged, or is of a later format.
    """
    return _FILE.load(path, _expected, _trace)


def _of_segments(kept: Sequence[Segment]) -> dict[str, Tensor]:
    """All segments one after the other, and how many knots and flips each has."""
    found = {
        "knots": torch.tensor([len(segment.t) for segment in kept]),
        "flips": torch.tensor([len(segment.flips) for segment in kept]),
        **{f"segment.{name}": torch.cat([getattr(segment, name) for segment in kept])
           for name in ("t", "t_error", "outputs")},
        **{f"flip.{name}": narrow(torch.cat([getattr(segment.flips, name) for segment in kept])) for name in _FLIPS},
    }  # fmt: skip
    for index, _ in enumerate(_layout_of(kept).operations):
        found[f"pattern.{index}"] = torch.stack([segment.start_pattern[index] for segment in kept])
    return found


def _layout_of(kept: Sequence[Segment]) -> Layout:
    return kept[0].layout


def _expected(about: About, declared: Declared) -> Expected:
    """The tensors of a trace, by what is said of them.

    Raises:
        Untrusted: They do not belong together.
    """
    operations, units, outputs, pieces = (about[name] for name in ("operations", "units", "outputs", "pieces"))
    _FILE.check_whole(*units, *outputs, about["anchor_crossings"], *(pieces or ()))
    if type(about["closed"]) is not bool or not all(
        isinstance(name, str) for name in (*operations, *about["measures"])
    ):
        _FILE.damaged("names are no texts")
    if len(units) != len(operations) or (pieces is not None and (len(pieces) != len(units) or 0 in pieces)):
        _FILE.damaged("names, units and pieces are of different numbers of operations")
    segments, width = declared["anchors"][1][0] - (not about["closed"]), len(outputs)
    rows = {"start": (width,), "end": (width,), "length": (), "flips_by_operation": (len(units),)}
    expected = {name: ("I" if name == "flips_by_operation" else "F", (segments, *row)) for name, row in rows.items()}
    for name in about["measures"]:
        shape = declared[f"value.{name}"][1]
        expected |= {f"{part}.{name}": ("F", (segments, *((width,) if len(shape) > 1 else ()))) for part in _REDUCED}
    if pieces is not None:
        expected |= _expected_of_segments(declared, segments, width, units)
    return {"anchors": ("A", declared["anchors"][1]), **expected}


def _expected_of_segments(declared: Declared, segments: int, width: int, units: Sequence[int]) -> Expected:
    knots, flips = declared["segment.t"][1][:1], declared["flip.knot"][1][:1]
    return {
        **{name: ("I", (segments,)) for name in ("knots", "flips")},
        **{f"segment.{name}": ("F", knots) for name in ("t", "t_error")},
        "segment.outputs": ("F", (*knots, width)),
        **{f"flip.{name}": ("I", flips) for name in _FLIPS},
        **{f"pattern.{index}": ("U", (segments, count)) for index, count in enumerate(units)},
    }


def _trace(about: About, tensors: Mapping[str, Tensor]) -> Trace:
    path = Polyline(tensors["anchors"], closed=about["closed"])
    whole = {name: tensors[name] for name in _WHOLE}
    operations, units = tuple(about["operations"]), tuple(about["units"])
    return Trace(
        path=path,
        operations=operations,
        units=units,
        outputs=tuple(about["outputs"]),
        dtype=WORKING_DTYPES[about["dtype"]],
        anchor_crossings=about["anchor_crossings"],
        reduced={name: Reduced(tensors[f"value.{name}"], tensors[f"rounding.{name}"]) for name in about["measures"]},
        unresolved=tuple(_doubtful(entry, len(path)) for entry in about["unresolved"]),
        verification=verification_of(about["verification"]),
        kept=None if about["pieces"] is None else _segments(Layout(operations, units, tuple(about["pieces"])), tensors),
        **whole,
    )


def _doubtful(entry: Mapping[str, Any], segments: int) -> Doubtful:
    found = Doubtful(**entry)
    kinds = {"segment": int, "t": float | int, "operation": str, "unit": int, "reason": str}
    right = all(isinstance(entry[name], kind) for name, kind in kinds.items())
    return found if right and 0 <= found.segment < segments else _FILE.damaged("an unresolved place is none")


def verification_of(entry: Mapping[str, Any] | None, file: TensorFile = _FILE) -> Verification | None:
    """What a header says of how a result was verified.

    Raises:
        Untrusted: It is something else.
    """
    numbers = {} if entry is None else {name: value for name, value in entry.items() if name != "module_dtype"}
    if not all(isinstance(value, int | float) for value in numbers.values()):
        file.damaged("its verification has no numbers")
    return None if entry is None else Verification(**entry)


def _check_segments(layout: Layout, tensors: Mapping[str, Tensor]) -> None:
    """Hold that knots lie in order on their segments, and that flips and patterns are of units and pieces there are."""
    knots, flips, t = tensors["knots"].long(), tensors["flips"].long(), tensors["segment.t"]
    sums = all(int(counts.clamp(0, len(of)).sum()) == int(counts.sum()) == len(of) and int(counts.min()) >= least
               for counts, of, least in ((knots, t, 2), (flips, tensors["flip.knot"], 0)))  # fmt: skip
    if not sums:
        _FILE.damaged("the numbers of knots and flips are not those of its segments")
    ends = knots.cumsum(0) - 1
    steps = t.diff()
    steps[ends[:-1]] = 1  # from one segment to the next
    if not bool((steps > 0).all()) or bool((t[ends] != 1).any()) or bool((t[ends - knots + 1] != 0).any()):
        _FILE.damaged("the knots of a segment do not go from 0 to 1")
    flip = {name: tensors[f"flip.{name}"].long() for name in _FLIPS}
    units, pieces = torch.tensor(layout.units), torch.tensor(layout.pieces)
    _refuse_beyond(flip["operation"], torch.tensor(len(units)))
    limits = {"knot": knots.repeat_interleave(flips), "unit": units[flip["operation"]]}
    limits |= dict.fromkeys(("before", "after"), pieces[flip["operation"]])
    for name, limit in limits.items():
        _refuse_beyond(flip[name], limit)
    for index, count in enumerate(pieces):
        _refuse_beyond(tensors[f"pattern.{index}"].long(), count)


def _refuse_beyond(indices: Tensor, limit: Tensor | int) -> None:
    _FILE.check_indices(indices, limit, "a flip or pattern is of a knot, unit or piece")


def _segments(layout: Layout, tensors: Mapping[str, Tensor]) -> tuple[Segment, ...]:
    _check_segments(layout, tensors)
    knots, flips = tensors["knots"].tolist(), tensors["flips"].tolist()
    parts = {name: tensors[f"segment.{name}"].split(knots) for name in ("t", "outputs", "t_error")}
    changes = {name: tensors[f"flip.{name}"].to(torch.int64).split(flips) for name in _FLIPS}
    patterns = [tensors[f"pattern.{index}"] for index, _ in enumerate(layout.operations)]
    return tuple(
        Segment(
            **{name: part[place] for name, part in parts.items()},
            flips=Flips(**{name: part[place] for name, part in changes.items()}),
            start_pattern=tuple(pattern[place] for pattern in patterns),
            layout=layout,
        )
        for place in range(len(knots))
    )
