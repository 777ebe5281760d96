"""From packs, which know nothing of paths, to one trace a path."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from transect.errors import UnresolvedWarning
from transect.measures import Reduced
from transect.network import Network
from transect.paths import Path
from transect.results import Trace
from transect.tracing.keeping import Segment
from transect.tracing.pack import Walked
from transect.tracing.verification import joined


def one_trace_a_path(
    network: Network,
    paths: Sequence[Path],
    walked: Sequence[Walked],
    anchor_crossings: Sequence[int],
    segments: Sequence[Segment] | None,
    chosen: Tensor | None,
) -> list[Trace]:
    """One trace a path, from what the packs left one after the other."""
    flips = torch.cat([part.flips for part in walked])
    start, end, length = (torch.cat([getattr(part.ends, name) for part in walked]).cpu()
                          for name in ("start", "end", "length"))  # fmt: skip
    reduced = {
        name: Reduced(
            *(torch.cat([getattr(part.reduced[name], of) for part in walked]) for of in ("value", "rounding"))
        )
        for name in walked[0].reduced
    }
    doubtful = [entry for part in walked for entry in part.doubtful]
    verified = joined(part.verification for part in walked)
    traces, low = [], 0
    for number, (path, anchors) in enumerate(zip(paths, anchor_crossings, strict=True)):
        rows = slice(low, low + len(path))
        traces.append(
            Trace(
                path=path,
                operations=network.operations,
                units=network.units,
                outputs=tuple(range(network.outputs) if chosen is None else chosen.tolist()),
                dtype=network.dtype,
                start=start[rows],
                end=end[rows],
                length=length[rows],
                flips_by_operation=flips[rows],
                anchor_crossings=anchors,
                reduced={name: part.rows(rows) for name, part in reduced.items()},
                unresolved=tuple(entry.within(rows) for entry in doubtful if low <= entry.segment < rows.stop),
                verification=verified.get(number),
                kept=None if segments is None else tuple(segments[rows]),
            )
        )
        low = rows.stop
    return traces


def warn_of_unresolved(traces: Sequence[Trace]) -> None:
    """One warning for all places where rounding could not decide; ``trace.unresolved`` lists them."""
    entries = [entry for one in traces for entry in one.unresolved]
    if entries:
        reasons = sorted({entry.reason for entry in entries})
        warnings.warn(
            f"{len(entries)} unit(s) cross closer than rounding can tell apart ({'; '.join(reasons)}): their order or "
            "number is not certain. See trace.unresolved.",
            UnresolvedWarning,
            stacklevel=3,  # the line that called transect.trace
        )
