"""Claims of the paper in plain words."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transect.study.statistics.claims import Claim, ClaimsVerdict, Part

_WIDE = 79


def summary(verdict: ClaimsVerdict) -> str:
    """Say which claims a study bears out, in lines of at most 79 characters.

    Args:
        verdict: The verdict.

    Returns:
        Several lines, without a line break at the end.
    """
    lines: list[str] = []
    for (number, text), claims in itertools.groupby(verdict.claims, key=lambda claim: (claim.number, claim.text)):
        lines += [*textwrap.wrap(f"Claim {number}: {text}", _WIDE, subsequent_indent=" " * 9)]
        for claim in claims:
            lines += [*_claim(claim), ""]
    return "\n".join([*lines, *_notes(verdict)])


def _claim(claim: Claim) -> Iterator[str]:
    where = f"{claim.label}: " if claim.label else ""
    yield from _indented(f"{where}{claim.outcome.value.upper()}", 2)
    for part in claim.parts:
        yield from _indented(f"{_sign(part)} {part.statement}: {part.found}", 4, 10)
    if claim.note:
        yield from _indented(claim.note, 4)


def _sign(part: Part) -> str:
    if not part.holds:
        return "[NO] "
    return "[yes]" if part.sure else "[may]"


def _indented(text: str, by: int, then: int | None = None) -> list[str]:
    return textwrap.wrap(text, _WIDE, initial_indent=" " * by, subsequent_indent=" " * (then or by))


def _notes(verdict: ClaimsVerdict) -> Iterator[str]:
    yield from textwrap.wrap(
        "A curve follows the test error if it peaks at the same position or its neighbour and its rank correlation "
        "with the test error is positive on each side of the test error's peak. [low, high]: 95 % intervals, seeds "
        "resampled; none for rank correlations over fewer than six positions. [may]: seen, but the interval has the "
        "opposite in it too, or fewer than 95 % of the draws of seeds show it.",
        _WIDE,
    )
