"""A verdict in plain words."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transect.study.comparison import Comparison
    from transect.study.verdict import Verdict

_COLUMNS = "{:<21} {:>4}  {:<20}  {:<20}  {}"
_WIDE = 79
_FEW_SEEDS = 5


def summary(verdict: Verdict) -> str:
    """Say what a sweep shows and what it does not, in lines of at most 79 characters.

    Args:
        verdict: The verdict.

    Returns:
        Several lines, without a line break at the end.
    """
    return "\n".join(
        [*_headline(verdict), "", *_expectations(verdict), "", *_comparisons(verdict), "", *_notes(verdict)]
    )


def percent(part: float) -> str:
    """A part of one in whole percent, ``"64 %"``."""
    return f"{100 * part:.0f} %"


def _headline(verdict: Verdict) -> Iterator[str]:
    failed = sum(not expectation.holds for expectation in verdict.expectations)
    count = len(verdict.expectations)
    outcome = f"all {count} expectations hold" if not failed else f"{failed} of {count} expectations do NOT hold"
    seeds = "one seed" if verdict.seeds == 1 else f"{verdict.seeds} seeds"
    widths = f"{len(verdict.widths)} widths from {verdict.widths[0]} to {verdict.widths[-1]}"
    yield f"Verdict: {outcome}"
    yield f"({widths}, {seeds}, paths around {verdict.split} samples)"


def _expectations(verdict: Verdict) -> Iterator[str]:
    for expectation in verdict.expectations:
        sign = "[yes] " if expectation.holds else "[NO]  "
        yield f"  {sign}{expectation.claim}"
        yield from textwrap.wrap(
            expectation.found, _WIDE, initial_indent=" " * 8, subsequent_indent=" " * 8, break_long_words=False
        )


def _comparisons(verdict: Verdict) -> Iterator[str]:
    threshold = f"width {verdict.threshold}" if verdict.threshold else "not reached in this sweep"
    yield f"Interpolation threshold (train error under 1 %): {threshold}"
    error = verdict.test_error
    fall = percent(error.fall)
    yield f"Test error: {error.peak_value:.3f} at its peak, width {error.peak}; {fall} less at the largest"
    yield ""
    yield _COLUMNS.format("", "", "rank correlation with the test error", "", "").rstrip()
    yield _COLUMNS.format("", "peak", "up to its peak", "from its peak on", "follows")
    for comparison in (verdict.deviation, verdict.normalised, verdict.density):
        yield _comparison(comparison)


def _comparison(comparison: Comparison) -> str:
    answer = "yes" if comparison.follows else "no"
    curve, left, right = comparison.curve, str(comparison.left), str(comparison.right)
    return _COLUMNS.format(curve.name, curve.peak, left, right, answer)


def _notes(verdict: Verdict) -> Iterator[str]:
    sides = verdict.deviation.left, verdict.deviation.right
    yield from _wrapped(
        "A curve follows the test error if it peaks at the same width or its neighbour and its rank correlation with "
        "the test error is positive on each side of the test error's peak."
    )
    for where, side in zip(("up to the peak", "from the peak on"), sides, strict=True):
        if side.without:
            yield from _wrapped(f"No interval {where}: {side.without} ({_counted(len(side.positions))} there).")
    if any(side.interval for side in sides):
        few = "; so few say little" if verdict.seeds < _FEW_SEEDS else ""
        yield from _wrapped(f"[low, high]: 95 % interval, {verdict.seeds} seeds resampled{few}.")
    if verdict.density.right.value < 0:
        yield from _wrapped(
            "From the peak on, density and test error go opposite ways. The negative correlation says that much, and "
            "by itself is no proof that density is unreliable."
        )


def _counted(widths: int) -> str:
    return "one width" if widths == 1 else f"{widths} widths"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDE)
