"""Traces as files: one safetensors file each, which is data and nothing else."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from transect._version import __version__
from transect.engine.rows import Flips
from transect.errors import InvalidInput
from transect.measures.base import Reduced
from transect.paths import Path as Polyline
from transect.patterns import Layout
from transect.support.untrusted import Untrusted, parse_json, refuse, regular_file
from transect.tables.files import replacing
from transect.tracing.result import Doubtful, Trace, Verification
from transect.tracing.segment import Segment

FORMAT = 1
_KEY = "transect.trace"
_FLIPS = ("knot", "operation", "unit", "before", "after")
_WHOLE = ("start", "end", "length", "flips_by_operation")
_REDUCED = ("value", "rounding")
_KINDS = {"F": ("F64", "F32"), "I": ("I64", "I32"), "U": ("U8", "I32", "I16", "I64")}
_Declared = Mapping[str, tuple[str, tuple[int, ...]]]
_DTYPES = {str(dtype).removeprefix("torch."): dtype for dtype in (torch.float64, torch.float32)}


def save_trace(trace: Trace, path: str | os.PathLike[str]) -> Path:
    """Write a trace, atomically, with all that it kept; :func:`load_trace` gives it back bit for bit.

    Args:
        trace: The trace, with ``keep="all"`` or ``"measures"``.
        path: The file, best with the ending ``.safetensors``.

    Returns:
        ``path``.
    """
    path = Path(path)
    about = {
        "format": FORMAT,
        "transect": __version__,
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
    whole = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with replacing(path) as temporary:
        safetensors.torch.save_file(whole, temporary, {_KEY: json.dumps(about)})
    return path


def load_trace(path: str | os.PathLike[str]) -> Trace:
    """Read a trace that :meth:`transect.Trace.save` wrote. Nothing in the file is executed.

    Args:
        path: The file.

    Returns:
        The trace, its tensors on the CPU.

    Raises:
        InvalidInput: There is no such file, it is not a trace, is damaged, or is of a later format.
    """
    try:
        return _trace(*_read(regular_file(path)))
    except Untrusted as error:
        raise InvalidInput(f"path: cannot read the trace {path}: {error}.") from error
    except (
        LookupError,
        TypeError,
        ValueError,
        ArithmeticError,
        AttributeError,
    ) as error:  # of a header of other things
        if isinstance(error, InvalidInput) and str(error).startswith("path:"):
            raise
        raise InvalidInput(f"path: {path} is a damaged trace: its header is not one that Trace.save writes.") from error


def _of_segments(kept: Sequence[Segment]) -> dict[str, Tensor]:
    """All segments one after the other, and how many knots and flips each has."""
    found = {
        "knots": torch.tensor([len(segment.t) for segment in kept]),
        "flips": torch.tensor([len(segment.flips) for segment in kept]),
        **{f"segment.{name}": torch.cat([getattr(segment, name) for segment in kept])
           for name in ("t", "t_error", "outputs")},
        **{f"flip.{name}": _narrow(torch.cat([getattr(segment.flips, name) for segment in kept])) for name in _FLIPS},
    }  # fmt: skip
    for index, _ in enumerate(_layout_of(kept).operations):
        found[f"pattern.{index}"] = torch.stack([segment.start_pattern[index] for segment in kept])
    return found


def _layout_of(kept: Sequence[Segment]) -> Layout:
    return kept[0].layout


def _narrow(indices: Tensor) -> Tensor:
    """Indices in 4 bytes where they fit: flips are most of a file."""
    fits = not len(indices) or int(indices.max()) < 2**31
    return indices.to(torch.int32) if fits else indices


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            about = _about((file.metadata() or {}).get(_KEY), path)
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
            declared = {name: (part.get_dtype(), tuple(part.get_shape())) for name, part in slices.items()}
            return about, {name: file.get_tensor(name) for name in _checked(about, declared)}
    except OSError as error:
        raise InvalidInput(f"path: cannot read the trace {path}: {error}") from error
    except SafetensorError as error:
        raise InvalidInput(f"path: expected a trace written by Trace.save in {path}: {error}") from error


def _about(header: str | None, path: Path) -> dict[str, Any]:
    about = None if header is None else parse_json(header)
    if not isinstance(about, dict):
        raise InvalidInput(f"path: expected a trace written by Trace.save, {path} is another safetensors file.")
    if about.get("format") != FORMAT:
        raise InvalidInput(
            f"path: expected a trace of format {FORMAT} in {path}, found format {str(about.get('format'))[:80]}, "
            f"written by Transect {str(about.get('transect'))[:80]}; read it with that version."
        )
    return about


def _checked(about: Mapping[str, Any], declared: _Declared) -> list[str]:
    """The tensors of a trace, after their shapes and what is said of them were held against each other; none is read.

    Raises:
        Untrusted: They do not belong together.
    """
    operations, units, outputs, pieces = (about[name] for name in ("operations", "units", "outputs", "pieces"))
    counts = [*units, *outputs, about["anchor_crossings"], *(pieces or ())]
    if not all(type(count) is int and 0 <= count < 2**63 for count in counts):
        refuse("it is a damaged trace: counts and indices are not whole numbers of 63 bits")
    if type(about["closed"]) is not bool or not all(
        isinstance(name, str) for name in (*operations, *about["measures"])
    ):
        refuse("it is a damaged trace: names are no texts")
    if len(units) != len(operations) or (pieces is not None and (len(pieces) != len(units) or 0 in pieces)):
        refuse("it is a damaged trace: names, units and pieces are of different numbers of operations")
    segments, width = declared["anchors"][1][0] - (not about["closed"]), len(outputs)
    rows = {"start": (width,), "end": (width,), "length": (), "flips_by_operation": (len(units),)}
    expected = {name: ("I" if name == "flips_by_operation" else "F", (segments, *row)) for name, row in rows.items()}
    for name in about["measures"]:
        shape = declared[f"value.{name}"][1]
        expected |= {f"{part}.{name}": ("F", (segments, *((width,) if len(shape) > 1 else ()))) for part in _REDUCED}
    if pieces is not None:
        expected |= _expected_of_segments(declared, segments, width, units)
    for name, (kind, wanted) in expected.items():
        dtype, found = declared.get(name, ("nothing", ()))
        if dtype not in _KINDS[kind] or found != wanted:
            refuse(f"it is a damaged trace: expected {name[:80]} of shape {wanted}, found {dtype} of shape {found}")
    return ["anchors", *expected]


def _expected_of_segments(declared: _Declared, segments: int, width: int, units: Sequence[int]) -> _Declared:
    knots, flips = declared["segment.t"][1][:1], declared["flip.knot"][1][:1]
    return {
        **{name: ("I", (segments,)) for name in ("knots", "flips")},
        **{f"segment.{name}": ("F", knots) for name in ("t", "t_error")},
        "segment.outputs": ("F", (*knots, width)),
        **{f"flip.{name}": ("I", flips) for name in _FLIPS},
        **{f"pattern.{index}": ("U", (segments, count)) for index, count in enumerate(units)},
    }


def _trace(about: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Trace:
    path = Polyline(tensors["anchors"], closed=about["closed"])
    whole = {name: tensors[name] for name in _WHOLE}
    operations, units = tuple(about["operations"]), tuple(about["units"])
    return Trace(
        path=path,
        operations=operations,
        units=units,
        outputs=tuple(about["outputs"]),
        dtype=_DTYPES[about["dtype"]],
        anchor_crossings=about["anchor_crossings"],
        reduced={name: Reduced(tensors[f"value.{name}"], tensors[f"rounding.{name}"]) for name in about["measures"]},
        unresolved=tuple(_doubtful(entry, len(path)) for entry in about["unresolved"]),
        verification=_verification(about["verification"]),
        kept=None if about["pieces"] is None else _segments(Layout(operations, units, tuple(about["pieces"])), tensors),
        **whole,
    )


def _doubtful(entry: Mapping[str, Any], segments: int) -> Doubtful:
    found = Doubtful(**entry)
    kinds = {"segment": int, "t": float | int, "operation": str, "unit": int, "reason": str}
    right = all(isinstance(entry[name], kind) for name, kind in kinds.items())
    return (
        found
        if right and 0 <= found.segment < segments
        else refuse("it is a damaged trace: an unresolved place is none")
    )


def _verification(entry: Mapping[str, Any] | None) -> Verification | None:
    numbers = {} if entry is None else {name: value for name, value in entry.items() if name != "module_dtype"}
    if not all(isinstance(value, int | float) for value in numbers.values()):
        refuse("it is a damaged trace: its verification has no numbers")
    return None if entry is None else Verification(**entry)


def _check_segments(layout: Layout, tensors: Mapping[str, Tensor]) -> None:
    """Hold that knots lie in order on their segments, and that flips and patterns are of units and pieces there are."""
    knots, flips, t = tensors["knots"].long(), tensors["flips"].long(), tensors["segment.t"]
    sums = all(int(counts.clamp(0, len(of)).sum()) == int(counts.sum()) == len(of) and int(counts.min()) >= least
               for counts, of, least in ((knots, t, 2), (flips, tensors["flip.knot"], 0)))  # fmt: skip
    if not sums:
        refuse("it is a damaged trace: the numbers of knots and flips are not those of its segments")
    ends = knots.cumsum(0) - 1
    steps = t.diff()
    steps[ends[:-1]] = 1  # from one segment to the next
    if not bool((steps > 0).all()) or bool((t[ends] != 1).any()) or bool((t[ends - knots + 1] != 0).any()):
        refuse("it is a damaged trace: the knots of a segment do not go from 0 to 1")
    flip = {name: tensors[f"flip.{name}"].long() for name in _FLIPS}
    units, pieces = torch.tensor(layout.units), torch.tensor(layout.pieces)
    _refuse_beyond(flip["operation"], torch.tensor(len(units)))
    limits = {"knot": knots.repeat_interleave(flips), "unit": units[flip["operation"]]}
    limits |= dict.fromkeys(("before", "after"), pieces[flip["operation"]])
    for name, limit in limits.items():
        _refuse_beyond(flip[name], limit)
    for index, count in enumerate(pieces):
        _refuse_beyond(tensors[f"pattern.{index}"].long(), count)


def _refuse_beyond(indices: Tensor, limit: Tensor) -> None:
    if bool(((indices < 0) | (indices >= limit)).any()):
        refuse("it is a damaged trace: a flip or pattern is of a knot, unit or piece that there is not")


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
