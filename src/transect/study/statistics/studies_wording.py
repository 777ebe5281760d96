"""A comparison of two studies in plain words."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING

from transect.labels import name_of
from transect.plots.words import describe

if TYPE_CHECKING:
    from transect.study.statistics.bootstrap import Interval
    from transect.study.statistics.studies import PairedCurve, StudyComparison

_WIDE = 100
_COLUMNS = "  {:<23} {:<25} {:<22} {:<15} {}"


def summary(comparison: StudyComparison) -> str:
    """Say how two studies compare, in lines of at most 100 characters.

    Args:
        comparison: The comparison.

    Returns:
        Several lines, without a line break at the end.
    """
    return "\n".join([*_headline(comparison), *_sweeps(comparison), "", *_notes(comparison)])


def with_interval(value: float, interval: Interval | None, form: str = "{:.3g}") -> str:
    """A number with its interval, ``"1.9 [1.5, 2.2]"``; ``"not defined"`` where it is NaN."""
    if value != value:
        return "not defined"
    return form.format(value) + (f" [{form}, {form}]".format(*interval) if interval else "")


def _headline(comparison: StudyComparison) -> Iterator[str]:
    a, b = comparison.names
    yield f"{b} against {a}, network by network"
    for name, (ours, theirs) in comparison.differences.items():
        values = (" and ".join(describe({name: value}) for value in side) for side in (ours, theirs))
        yield f"  {a}: {next(values)}; {b}: {next(values)}"


def _sweeps(comparison: StudyComparison) -> Iterator[str]:
    a, b = comparison.names
    for values, curves in itertools.groupby(comparison.curves, key=lambda curve: curve.values):
        found = list(curves)
        first, last = (found[0].points[place].position for place in (0, -1))
        seeds = "one seed" if found[0].seeds == 1 else f"{found[0].seeds} seeds"
        yield ""
        place = f"{describe(values)}: " if values else ""
        yield f"{place}{len(found[0].points)} {found[0].over}s from {first} to {last}, {seeds}"
        yield _COLUMNS.format(
            "", f"{b} / {a}, mean over {found[0].over}s", "rank correlation", f"peak {a}", f"peak {b}"
        )
        yield from map(_curve, found)


def _curve(curve: PairedCurve) -> str:
    ratio = with_interval(curve.mean_ratio, curve.mean_ratio_interval)
    return _COLUMNS.format(
        name_of(curve.column), ratio, str(curve.correlation), str(curve.peak_a), str(curve.peak_b)
    ).rstrip()


def _notes(comparison: StudyComparison) -> Iterator[str]:
    notes = ["The mean of the ratios is the geometric one, not defined where a value is zero."]
    if any(curve.seeds > 1 for curve in comparison.curves):
        notes.append("[low, high]: 95 % intervals, seeds resampled, the same ones of both studies.")
    if any(comparison.left_out):
        counts = (f"{rows} rows of {name}" for rows, name in zip(comparison.left_out, comparison.names, strict=True))
        notes.append(f"Left out, without a partner: {', '.join(counts)}.")
    if comparison.not_compared:
        names = ", ".join(map(name_of, comparison.not_compared))
        notes.append(f"Not compared, since a study has no values: {names}.")
    for note in notes:
        yield from textwrap.wrap(note, _WIDE)
