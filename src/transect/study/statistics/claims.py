"""What can become of a claim of the paper: the claim, its parts, and the verdict on all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import pyarrow as pa

from transect.plots.words import describe
from transect.study.statistics.claims_wording import summary
from transect.study.statistics.rows import to_table


class Outcome(Enum):
    """What became of a claim."""

    HOLDS = "holds"
    PARTLY = "holds partly"
    FAILS = "does not hold"
    OPEN = "cannot be judged"


@dataclass(frozen=True)
class Part:
    """A part of a claim.

    Attributes:
        statement: What should be seen.
        found: What was, in numbers.
        holds: Whether it was seen.
        sure: False where the interval over seeds has the opposite in it too.
    """

    statement: str
    found: str
    holds: bool
    sure: bool = True


@dataclass(frozen=True)
class Claim:
    """A claim of the paper on one sweep (or, of the label noise, on two).

    Attributes:
        number: Its number, as in the documentation.
        text: What is claimed.
        values: What sets the sweep apart from the others of its table: column name to value.
        parts: What it comes down to.
        note: What else a reader must know, or why it cannot be judged; may be empty.
    """

    number: int
    text: str
    values: Mapping[str, Any]
    parts: tuple[Part, ...]
    note: str = ""

    @property
    def outcome(self) -> Outcome:
        """It holds if every part does and is sure, and does not hold if no part does; else it holds partly."""
        if not self.parts:
            return Outcome.OPEN
        if all(part.holds and part.sure for part in self.parts):
            return Outcome.HOLDS
        return Outcome.PARTLY if any(part.holds for part in self.parts) else Outcome.FAILS

    @property
    def label(self) -> str:
        """The sweep in words; empty where there is one only."""
        return describe(self.values)


@dataclass(frozen=True)
class ClaimsVerdict:
    """What a study says about the claims of the paper.

    Attributes:
        claims: Each claim on each sweep.
    """

    claims: tuple[Claim, ...]

    def of(self, number: int) -> tuple[Claim, ...]:
        """One claim, on every sweep."""
        return tuple(claim for claim in self.claims if claim.number == number)

    def table(self) -> pa.Table:
        """One row for each part of each claim on each sweep; a claim that cannot be judged has one row."""
        return to_table(
            {
                "claim": claim.number,
                "text": claim.text,
                "sweep": claim.label,
                "outcome": claim.outcome.value,
                "part": part.statement if part else None,
                "found": part.found if part else None,
                "holds": part.holds if part else None,
                "sure": part.sure if part else None,
                "note": claim.note,
            }
            for claim in self.claims
            for part in (claim.parts or (None,))
        )

    def summary(self) -> str:
        """The claims in plain words."""
        return summary(self)
