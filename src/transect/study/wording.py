"""A verdict in plain words."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transect.study.ranks import RankCorrelation
    from transect.study.verdict import Comparison, Verdict

_COLUMNS = "  {:<22} {:>7}   {:<19} {:<19} {}"
_WIDE = 88


def summary(verdict: Verdict) -> str:
    """Say what a sweep shows and what it does not, in lines of at most 88 characters.

    Args:
        verdict: The verdict.

    Returns:
        Several lines, without a line break at the end.
    """
    return "\n".join([*_headline(verdict), "", *_expectations(verdict), "", *_comparisons(verdict), "", *_notes(verdict)])


def _headline(verdict: Verdict) -> Iterator[str]:
    failed = sum(not expectation.holds for expectation in verdict.expectations)
    count = len(verdict.expectations)
    outcome = f"all {count} expectations hold" if not failed else f"{failed} of {count} expectations do NOT hold"
    seeds = "one seed" if verdict.seeds == 1 else f"{verdict.seeds} seeds"
    widths = f"{len(verdict.widths)} widths from {verdict.widths[0]} to {verdict.widths[-1]}"
    yield f"Verdict: {outcome} ({widths}, {seeds}, paths around {verdict.split} samples)"


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
    yield f"Test error: peak at width {verdict.test_error.peak}, {verdict.test_error.peak_value:.1%}; falls by " + (
        f"{verdict.test_error.fall:.0%} of that to the largest width"
    )
    yield ""
    yield _COLUMNS.format("", "", "rank correlation with the test error", "", "").rstrip()
    yield _COLUMNS.format("", "peak at", "up to its peak", "from its peak on", "follows it?")
    for comparison in (verdict.deviation, verdict.normalised, verdict.density):
        yield _comparison(comparison)


def _comparison(comparison: Comparison) -> str:
    left, right = _short(comparison.left), _short(comparison.right)
    return _COLUMNS.format(
        comparison.curve.name, comparison.curve.peak, left, right, "yes" if comparison.follows else "no"
    )


def _short(correlation: RankCorrelation) -> str:
    if correlation.interval is None:
        return f"{correlation.value:+.2f}"
    low, high = correlation.interval
    return f"{correlation.value:+.2f} [{low:+.2f}, {high:+.2f}]"


def _notes(verdict: Verdict) -> Iterator[str]:
    sides = [side for of in (verdict.deviation,) for side in (of.left, of.right)]
    yield from _wrapped(
        "A curve follows the test error if it peaks at the same width or its neighbour and its rank correlation with "
        "the test error is positive on each side of the test error's peak."
    )
    if reasons := sorted({side.without for side in sides if side.without}):
        counts = " and ".join(str(len(side.widths)) for side in sides)
        yield from _wrapped(f"No interval where there are: {', '.join(reasons)} ({counts} widths on the two sides).")
    if verdict.density.right.value < 0:
        yield from _wrapped(
            "Beyond the peak the density rises while the test error falls; the negative correlation says that, and is no "
            "proof of anything else."
        )


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDE)
