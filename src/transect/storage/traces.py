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
from transect.errors import InvalidInput
from transect.measures import Reduced
from transect.paths import Path as Polyline
from transect.patterns import Layout
from transect.regions.run import Flips
from transect.results import Doubtful, Trace, Verification
from transect.storage.atomic import replacing
from transect.tracing.keeping import Segment

FORMAT = 1
_KEY = "transect.trace"
_FLIPS = ("knot", "operation", "unit", "before", "after")
_WHOLE = ("start", "end", "length", "flips_by_operation")
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
    about, tensors = _read(path)
    try:
        return _trace(about, tensors)
    except (KeyError, TypeError, ValueError, RuntimeError, IndexError) as error:
        raise InvalidInput(f"path: {path} is a damaged trace ({type(error).__name__}: {error}).") from error


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


def _read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            header = (file.metadata() or {}).get(_KEY)
            about = None if header is None else json.loads(header)
            if not isinstance(about, dict):
                raise InvalidInput(f"path: expected a trace written by Trace.save, {path} is another safetensors file.")
            if about.get("format") != FORMAT:
                raise InvalidInput(
                    f"path: expected a trace of format {FORMAT} in {path}, found format {about.get('format')}, written "
                    f"by Transect {about.get('transect')}; read it with that version."
                )
            return about, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except OSError as error:
        raise InvalidInput(f"path: cannot read the trace {path}: {error}") from error
    except (SafetensorError, json.JSONDecodeError) as error:
        raise InvalidInput(f"path: expected a trace written by Trace.save in {path}: {error}") from error


def _trace(about: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Trace:
    path = Polyline(tensors["anchors"], closed=about["closed"])
    whole = {name: tensors[name] for name in _WHOLE}
    if any(len(tensor) != len(path) for tensor in whole.values()):
        raise ValueError(f"its path has {len(path)} segments, its tensors have others")
    operations, units = tuple(about["operations"]), tuple(about["units"])
    return Trace(
        path=path,
        operations=operations,
        units=units,
        outputs=tuple(about["outputs"]),
        dtype=_DTYPES[about["dtype"]],
        anchor_crossings=int(about["anchor_crossings"]),
        reduced={name: Reduced(tensors[f"value.{name}"], tensors[f"rounding.{name}"]) for name in about["measures"]},
        unresolved=tuple(Doubtful(**entry) for entry in about["unresolved"]),
        verification=None if about["verification"] is None else Verification(**about["verification"]),
        kept=None if about["pieces"] is None else _segments(Layout(operations, units, tuple(about["pieces"])), tensors),
        **whole,
    )


def _segments(layout: Layout, tensors: Mapping[str, Tensor]) -> tuple[Segment, ...]:
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
