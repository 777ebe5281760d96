"""What ``capture`` finds out about the operations of a model, as plain values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Treated:
    """An operation that can be traced exactly.

    Attributes:
        operation: As ATen names it, such as ``aten.relu.default``.
        treatment: ``affine``, ``bends: 2 pieces``, ``bends: envelope of 9``, ...
        units: How many units bend there; 0 for an affine operation.
    """

    operation: str
    treatment: str
    units: int


@dataclass(frozen=True)
class Problem:
    """An operation that cannot be traced exactly.

    Attributes:
        operation: As ATen names it, such as ``aten.gelu.default``.
        module: Path and class of its module, such as ``features.0.2 (Hardswish)``; may be empty.
        source: File, line and text of the user's source; may be empty.
        reason: Why not.
        remedy: What can be done.
    """

    operation: str
    module: str
    source: str
    reason: str
    remedy: str

    def __str__(self) -> str:
        where = f" in {self.module}" if self.module else ""
        source = f"\n      at {self.source}" if self.source else ""
        return f"  - {self.operation}{where}: {self.reason}.{source}\n      What to do: {self.remedy}."
