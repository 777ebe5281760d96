"""The claims of the paper that are about one sweep: density, deviation, similarity of regions."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from transect.labels import BASELINES, has_values, name_of
from transect.plots.curves import as_table
from transect.plots.grouping import Group, sweeps
from transect.study.comparison import Comparison
from transect.study.ranks import RankCorrelation, rank_correlation
from transect.study.statistics.bootstrap import CONFIDENCE
from transect.study.statistics.claims import Claim, ClaimsVerdict, Part
from transect.study.statistics.following import Following, curves_of, follow_in
from transect.study.statistics.judging_noise import judge_label_noise

DENSITY = "the density of regions rises with the {over} and does not follow the test error"
DEVIATION = "the absolute deviation peaks where the test error peaks, and rises and falls with it"
SIMILARITY = "neighbouring regions become more similar as the test error falls"
LEAST_RISE = 0.9  # rank correlation with the position from which on a curve is said to rise
_NO_PEAK = "The test error has no peak inside the sweep (it is largest at {over} {peak}): there is nothing to follow."


def judge_claims(table: pa.Table | str | os.PathLike[str], over: str = "width") -> ClaimsVerdict:
    """Judge claims 2 to 5 of the paper on every sweep of a run table (claim 1 is about the speed of the method).

    Where a table has no density, as with estimates, flips take its place.

    Args:
        table: Run table, or rows of it, or the path of its Parquet file.
        over: ``"width"`` or ``"epoch"``.

    Returns:
        Each claim on each sweep. A claim that a sweep cannot decide, for want of a column or of a peak, says so.

    Raises:
        InvalidInput: If the table lacks columns, rows, positions or seeds, or has no deviation.
        StudyError: If a sweep has fewer than three positions.
    """
    table = as_table(table)
    found = sweeps(table, over)
    judged = [(sweep, _followed(sweep, over)) for sweep in found]
    claims = [judge(sweep, each) for judge in (_density, _deviation, _similarity) for sweep, each in judged]
    return ClaimsVerdict((*claims, *judge_label_noise(table, over)))


def _followed(sweep: Group, over: str) -> Following:
    wanted = ("absolute_deviation", _counting(sweep.table), "normalised_deviation", "slope_similarity", *BASELINES)
    columns = [name for name in wanted if name == "absolute_deviation" or has_values(sweep.table, name)]
    return follow_in(sweep, columns, over)


def _counting(table: pa.Table) -> str:
    return "density" if has_values(table, "density") else "flips"


def _density(sweep: Group, found: Following) -> Claim:
    column, over = _counting(sweep.table), found.over
    text = DENSITY.format(over=over)
    if not has_values(sweep.table, column):
        return Claim(2, text, sweep.values, (), "The table has neither density nor flips.")
    name = "the density" if column == "density" else "the number of flips (estimated, in place of the density)"
    compared, values = found.of(column), curves_of(sweep, [column], over).values[column]
    rise = _rank_with_position(values, found.positions, over)
    growth = f"{compared.curve.growth:.1f} times from {over} {found.positions[0]} to {found.positions[-1]}"
    if not found.has_inner_peak:
        return Claim(2, text, sweep.values, (), f"{_no_peak(found)} {name.capitalize()} grows {growth}.")
    parts = (
        Part(
            f"{name} rises with the {over}",
            f"{growth}; rank correlation with the {over} {rise}",
            rise.value >= LEAST_RISE,
            _surely(rise, 1),
        ),
        Part("it does not follow the test error", _sides(found, compared), not compared.follows),
    )
    return Claim(2, text, sweep.values, parts, _about_opposites(compared))


def _deviation(sweep: Group, found: Following) -> Claim:
    if not found.has_inner_peak:
        return Claim(3, DEVIATION, sweep.values, (), _no_peak(found))
    compared = found.of("absolute_deviation")
    alone = f"; taken alone, so do {compared.seeds_near} of {found.seeds} seeds" if found.seeds > 1 else ""
    parts = (
        Part(
            f"both peak at the same {found.over} or at neighbours",
            f"{compared.curve.where} and {found.test_error.where}{alone}",
            compared.near,
            compared.near_share is None or compared.near_share >= CONFIDENCE,
        ),
        _side("their rank correlation is positive up to the error's peak", compared.left, 1),
        _side("and from the peak on", compared.right, 1),
    )
    return Claim(3, DEVIATION, sweep.values, parts, _about_scale(found))


def _similarity(sweep: Group, found: Following) -> Claim:
    if not has_values(sweep.table, "slope_similarity"):
        return Claim(4, SIMILARITY, sweep.values, (), "The table has no slope similarity: estimates do not give it.")
    compared = found.of("slope_similarity")
    parts = [_side(f"it goes against the test error over all {found.over}s: rank correlation", compared.whole, -1)]
    if found.has_inner_peak:
        parts.append(_side("from the error's peak on, where the error falls", compared.right, -1))
    return Claim(4, SIMILARITY, sweep.values, tuple(parts))


def _side(statement: str, found: RankCorrelation, sign: int) -> Part:
    return Part(statement, str(found), sign * found.value > 0, _surely(found, sign))


def _surely(found: RankCorrelation, sign: int) -> bool:
    """Whether the interval, where there is one, has one sign only."""
    return found.interval is None or min(sign * end for end in found.interval) > 0


def _rank_with_position(values: NDArray[np.float64], positions: Sequence[int], over: str) -> RankCorrelation:
    where = np.repeat(np.asarray(positions, dtype=np.float64)[:, None], values.shape[1], axis=1)
    return rank_correlation(values, where, tuple(positions), over)


def _sides(found: Following, compared: Comparison) -> str:
    peaks = f"peaks at {compared.curve.where} and {found.test_error.where}"
    return f"{peaks}; rank correlation {compared.left} up to the error's peak, {compared.right} from it on"


def _no_peak(found: Following) -> str:
    return _NO_PEAK.format(over=found.over, peak=found.test_error.peak)


def _about_opposites(compared: Comparison) -> str:
    if not compared.right.value < 0:
        return ""
    return (
        "From the peak on, the two go opposite ways. The negative correlation says that much, and by itself is no "
        "proof that the density is unreliable."
    )


def _about_scale(found: Following) -> str:
    """What a reader needs to tell the deviation from the scale of the logits and the other baselines."""
    return " ".join(_sentences(found))


def _sentences(found: Following) -> Iterator[str]:
    columns = {each.column: each for each in found.comparisons}
    if "normalised_deviation" in columns:
        does = "follows" if columns["normalised_deviation"].follows else "does not follow"
        yield f"Divided by the standard deviation of the logits it {does} the test error."
    following = [name_of(name) for name in BASELINES if name in columns and columns[name].follows]
    others = [name_of(name) for name in BASELINES if name in columns and not columns[name].follows]
    if following or others:
        yield f"Baselines that follow it: {', '.join(following) or 'none'}; that do not: {', '.join(others) or 'none'}."
