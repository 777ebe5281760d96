"""What can become of a claim of the paper: its parts and the verdict on all of them, in numbers and words."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from transect.analysis.confidence import MEANING, Verdict, all_of, to_table
from transect.tables.names import describe

_WIDE = 79


@dataclass(frozen=True)
class Part:
    """A part of a claim.

    Attributes:
        statement: What should be seen.
        found: What was, in numbers.
        outcome: What became of it.
    """

    statement: str
    found: str
    outcome: Verdict


@dataclass(frozen=True)
class Claim:
    """A claim of the paper on one sweep (or, of the label noise, on two).

    Attributes:
        number: Its number, as in the documentation.
        text: What is claimed.
        values: What sets the sweep apart from the others of its table: column name to value.
        parts: What it comes down to.
        note: What else a reader must know, or why it cannot be told; may be empty.
    """

    number: int
    text: str
    values: Mapping[str, Any]
    parts: tuple[Part, ...]
    note: str = ""

    @property
    def outcome(self) -> Verdict:
        """That of its worst part; open where there is none."""
        return all_of(part.outcome for part in self.parts)

    @property
    def label(self) -> str:
        """The sweep in words; empty where there is one only."""
        return describe(self.values)


@dataclass(frozen=True)
class ClaimsVerdict:
    """What a study says about the claims of the paper.

    Attributes:
        claims: Each claim on each sweep.
        about: What each sweep is: its positions, seeds and paths, in words.
        lacking: What a stronger verdict needs and the study has not got, in words.
    """

    claims: tuple[Claim, ...]
    about: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()

    def of(self, number: int) -> tuple[Claim, ...]:
        """One claim, on every sweep."""
        return tuple(claim for claim in self.claims if claim.number == number)

    def table(self) -> pa.Table:
        """One row for each part of each claim on each sweep; a claim that cannot be told has one row."""
        return to_table(
            {
                "claim": claim.number,
                "text": claim.text,
                "sweep": claim.label,
                "outcome": claim.outcome.words,
                "part": part.statement if part else None,
                "found": part.found if part else None,
                "part_outcome": part.outcome.words if part else None,
                "note": claim.note,
            }
            for claim in self.claims
            for part in (claim.parts or (None,))
        )

    def summary(self) -> str:
        """The claims in plain words, in lines of at most 79 characters."""
        lines = [line for each in self.about for line in textwrap.wrap(each, _WIDE, subsequent_indent="  ")] + [""]
        for (number, text), claims in itertools.groupby(self.claims, key=lambda claim: (claim.number, claim.text)):
            lines += textwrap.wrap(f"Claim {number}: {text}", _WIDE, subsequent_indent=" " * 9)
            for claim in claims:
                lines += [*_claim(claim), ""]
        return "\n".join([*lines, *self._notes()])

    def _notes(self) -> Iterator[str]:
        if self.lacking:
            yield from textwrap.wrap(f"For a stronger verdict this study lacks {'; '.join(self.lacking)}.", _WIDE)
        yield from textwrap.wrap(
            "A curve follows the test error if it peaks at the same position or its neighbour and its rank correlation "
            "with the test error is positive on each side of the test error's peak. [low, high]: 95 % intervals over "
            f"seeds (Student's t). {MEANING}",
            _WIDE,
        )


def _claim(claim: Claim) -> Iterator[str]:
    where = f"{claim.label}: " if claim.label else ""
    yield from _indented(f"{where}{claim.outcome.words.upper()}", 2)
    for part in claim.parts:
        yield from _indented(f"[{part.outcome.words}] {part.statement}: {part.found}", 4, 6)
    if claim.note:
        yield from _indented(claim.note, 4)


def _indented(text: str, by: int, then: int | None = None) -> list[str]:
    return textwrap.wrap(text, _WIDE, initial_indent=" " * by, subsequent_indent=" " * (then or by))
