"""How operations are treated, in words and as a user wrote them: what stands for one operation is counted as one."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from transect.findings import Treated
from transect.rules.base import Affine, Bend, Envelope

if TYPE_CHECKING:
    from transect.rules.coverage import Step


def in_words(operation: Affine | Bend) -> str:
    """``affine``, ``bends: 2 pieces`` or ``bends: envelope of 9``."""
    if isinstance(operation, Affine):
        return "affine"
    if isinstance(operation, Envelope):
        return f"bends: envelope of {operation.windows.shape[1]}"
    return f"bends: {len(operation.thresholds) + 1} pieces"


def exported_name(name: str) -> str:
    """Name of the exported node that one of a rewritten graph is, or stands for a part of (``amin.1`` of ``amin``)."""
    return name.partition(".")[0]


def treated(steps: Iterable[Step]) -> tuple[Treated, ...]:
    """One entry for each operation of the graph as it was exported, in order of execution."""
    parts: dict[str, list[Step]] = {}
    for step in steps:
        parts.setdefault(exported_name(step.node.name), []).append(step)
    return tuple(map(_together, parts.values()))


def _together(parts: list[Step]) -> Treated:
    main = next((part for part in parts if not isinstance(part.operation, Affine)), parts[-1])
    bends = not isinstance(main.operation, Affine)
    units = math.prod(main.node.value.unit_shape) if bends and main.node.value is not None else 0
    return Treated(main.node.written or main.node.operation, in_words(main.operation), units)
