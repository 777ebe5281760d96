"""The claims of the paper that are about one sweep: density, deviation, similarity of regions."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from transect.analysis.claims import Claim, ClaimsVerdict, Part
from transect.analysis.comparison import CurveComparison, rank_correlation
from transect.analysis.confidence import FEWEST_POSITIONS, FEWEST_SEEDS, MeanWithInterval
from transect.analysis.following import FEWEST, Following, curves_of, follow_in
from transect.analysis.studies import PairedCurve, compare_studies
from transect.support.types import number
from transect.tables.files import as_table
from transect.tables.grouping import Group, along, distinct, groups, select, sweeps, varying
from transect.tables.names import BASELINES, describe, has_values, name_of, setting_name, several, walked

LABEL_NOISE = "label noise raises the nonlinearity"
_COLUMNS = {
    "absolute_deviation": "the absolute deviation is larger",
    "scaled_deviation": "so is the deviation divided by the standard deviation of the logits",
}


def judge_label_noise(table: pa.Table, over: str) -> tuple[Claim, ...]:
    """Compare the networks of every label noise with those of the least one, network by network.

    Args:
        table: Run table.
        over: ``"width"`` or ``"epoch"``.

    Returns:
        One claim for each sweep and label noise but the least; one that cannot be told where there is one noise.
    """
    if over == "label_noise":
        return (
            Claim(5, LABEL_NOISE, {}, (), "Judged over another setting: this sweep is over the label noise itself."),
        )
    apart = ("seed", "label_noise", "epoch", "last", over)
    found = [
        claim
        for group in groups(table, varying(table, apart=apart))
        for noise in distinct(group.table, "label_noise")[1:]
        for claim in _claims(group.table, group.values, number(noise), over)
    ]
    alone = "The table has one label noise only."
    return tuple(found) or (Claim(5, LABEL_NOISE, {}, (), alone),)


def _claims(table: pa.Table, values: Mapping[str, Any], noise: float, over: str) -> list[Claim]:
    least = number(distinct(table, "label_noise")[0])
    clean, noisy = (select(table, label_noise=each) for each in (least, noise))
    columns = [name for name in _COLUMNS if name == "absolute_deviation" or has_values(table, name)]
    compared = compare_studies(clean, noisy, columns, over=over)
    sweeps = dict.fromkeys(describe(curve.values) for curve in compared.curves)
    return [
        _claim([curve for curve in compared.curves if describe(curve.values) == sweep], values, least, noise)
        for sweep in sweeps
    ]


def _claim(curves: list[PairedCurve], values: Mapping[str, Any], least: float, noise: float) -> Claim:
    what = {**values, **curves[0].values, "label_noise": noise}
    against = f"Against {describe({'label_noise': least})}."
    return Claim(5, LABEL_NOISE, what, tuple(_part(curve) for curve in curves), against)


def _part(curve: PairedCurve) -> Part:
    over = several(setting_name(curve.over))
    larger = sum(point.ratio.value > 1 for point in curve.points)
    return Part(
        _COLUMNS[curve.column],
        f"{curve.mean_ratio.told()} times, mean over {over}; at {larger} of {len(curve.points)} {over}",
        curve.mean_ratio.above(1.0),
    )


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
        over: ``"width"``, ``"epoch"`` or another column of numbers that varies.

    Returns:
        Each claim on each sweep. A claim that a sweep cannot decide, for want of positions, of a column or of a peak,
        says so.

    Raises:
        InvalidInput: If the table lacks columns, rows, positions or seeds, or has no deviation.
    """
    table = as_table(table)
    found = sweeps(table, over)
    judged = [(sweep, _followed(sweep, over)) for sweep in found if len(distinct(sweep.table, over)) >= FEWEST]
    short = [sweep for sweep in found if len(distinct(sweep.table, over)) < FEWEST]
    claims = [judge(sweep, each) for judge in (_density, _deviation, _similarity) for sweep, each in judged]
    claims += _too_short(short, over)
    lacking = [each for sweep in short for each in _lacking_curve(sweep, over)]
    lacking += [each for sweep, following in judged for each in _lacking(sweep, following)]
    lacking += ["a second label noise, for claim 5"] * (len(distinct(table, "label_noise")) == 1)
    return ClaimsVerdict(
        (*claims, *judge_label_noise(table, over)), tuple(_about(sweep, over) for sweep in found), _once(lacking)
    )


def _followed(sweep: Group, over: str) -> Following:
    wanted = ("absolute_deviation", _counting(sweep.table), "scaled_deviation", "slope_similarity", *BASELINES)
    columns = [name for name in wanted if name == "absolute_deviation" or has_values(sweep.table, name)]
    return follow_in(sweep, columns, over)


def _counting(table: pa.Table) -> str:
    return "density" if has_values(table, "density") else "flips"


def _density(sweep: Group, found: Following) -> Claim:
    column, over = _counting(sweep.table), found.over
    text = DENSITY.format(over=setting_name(over))
    if not has_values(sweep.table, column):
        return Claim(2, text, sweep.values, (), "The table has neither density nor flips.")
    name = "the density" if column == "density" else "the number of flips (estimated, in place of the density)"
    compared, rise = found.of(column), _rise(sweep, column, found)
    growth = (
        f"{compared.curve.growth:.1f} times from {setting_name(over)} {found.positions[0]:g} to {found.positions[-1]:g}"
    )
    if not found.has_inner_peak:
        return Claim(2, text, sweep.values, (), f"{_no_peak(found)} {name.capitalize()} grows {growth}.")
    parts = (
        Part(
            f"{name} rises with the {setting_name(over)}",
            f"{growth}; rank correlation with it {rise.told('{:+.2f}')}",
            rise.between(low=LEAST_RISE),
        ),
        Part("it does not follow the test error", _sides(found, compared), compared.follows.negated),
    )
    return Claim(2, text, sweep.values, parts, _about_opposites(compared))


def _deviation(sweep: Group, found: Following) -> Claim:
    if not found.has_inner_peak:
        return Claim(3, DEVIATION, sweep.values, (), _no_peak(found))
    compared = found.of("absolute_deviation")
    parts = (
        Part(
            f"both peak at the same {setting_name(found.over)} or at neighbours", _peaks(found, compared), compared.near
        ),
        _side("their rank correlation is positive up to the error's peak", compared.left, 1),
        _side("and from the peak on", compared.right, 1),
    )
    return Claim(3, DEVIATION, sweep.values, parts, _about_scale(found))


def _similarity(sweep: Group, found: Following) -> Claim:
    if not has_values(sweep.table, "slope_similarity"):
        return Claim(4, SIMILARITY, sweep.values, (), "The table has no slope similarity: estimates do not give it.")
    compared, names = found.of("slope_similarity"), several(setting_name(found.over))
    parts = [
        _side(
            f"it goes against the test error over all {names}: rank correlation",
            compared.whole,
            -1,
        )
    ]
    if found.has_inner_peak:
        parts.append(_side("from the error's peak on, where the error falls", compared.right, -1))
    return Claim(4, SIMILARITY, sweep.values, tuple(parts))


def _too_short(sweeps: list[Group], over: str) -> Iterator[Claim]:
    text = "density, deviation and similarity of regions against the test error (claims 2 to 4)"
    if sweeps:
        most = max(len(distinct(sweep.table, over)) for sweep in sweeps)
        also = f" ({len(sweeps)} sweeps)" if len(sweeps) > 1 else ""
        names = several(setting_name(over))
        needs = f"They need a curve over {FEWEST} {names} at least; a sweep has {most} at most{also}."
        yield Claim(2, text, {}, (), needs)


def _side(statement: str, found: MeanWithInterval, sign: int) -> Part:
    return Part(statement, found.told("{:+.2f}"), found.above(0.0) if sign > 0 else found.below(0.0))


def _rise(sweep: Group, column: str, found: Following) -> MeanWithInterval:
    """Rank correlation of a column with the position."""
    values = curves_of(sweep, [column], found.over).values[column]
    where = np.repeat(np.asarray(found.positions, dtype=np.float64)[:, None], values.shape[1], axis=1)
    return rank_correlation(values, where)


def _peaks(found: Following, compared: CurveComparison) -> str:
    apart = "" if compared.apart.interval is None else f"; ratio of the fitted ones {compared.apart.told()}"
    return f"{compared.curve.peak} and {found.test_error.peak}{apart}"


def _sides(found: Following, compared: CurveComparison) -> str:
    left, right = (side.told("{:+.2f}") for side in (compared.left, compared.right))
    return f"peaks at {_peaks(found, compared)}; rank correlation {left} up to the error's peak, {right} from it on"


def _no_peak(found: Following) -> str:
    return _NO_PEAK.format(over=setting_name(found.over), peak=f"{found.test_error.peak.position:g}")


def _about_opposites(compared: CurveComparison) -> str:
    if not compared.right.value < 0:
        return ""
    return (
        "From the peak on, the two go opposite ways. The negative correlation says that much, and by itself is no "
        "proof that the density is unreliable."
    )


def _about_scale(found: Following) -> str:
    """What a reader needs to tell the deviation from the scale of the logits and the other baselines."""
    columns = {each.column: each.follows.words for each in found.comparisons}
    others = [f"{name_of(name)}: {columns[name]}" for name in ("scaled_deviation", *BASELINES) if name in columns]
    return f"Whether others follow the test error: {'; '.join(others)}." if others else ""


def _about(sweep: Group, over: str) -> str:
    positions, seeds = (distinct(sweep.table, name) for name in (over, "seed"))
    label = f"{sweep.label}: " if sweep.values else ""
    name = setting_name(over)
    span = (
        f"{len(positions)} {several(name)} from {positions[0]:g} to {positions[-1]:g}"
        if positions[1:]
        else f"no sweep over the {name}"
    )
    changing = [f"{setting_name(each)} changes along" for each in along(sweep.table, over)]
    seed = f"{len(seeds)} seed{'s' * (len(seeds) > 1)}"
    return "; ".join([f"{label}{span}, {seed}", *changing, walked(sweep.table)])


def _lacking_curve(sweep: Group, over: str) -> Iterator[str]:
    yield f"{FEWEST_POSITIONS} {several(setting_name(over))} (a sweep has {len(distinct(sweep.table, over))})"
    if (seeds := len(distinct(sweep.table, "seed"))) < FEWEST_SEEDS:
        yield f"{FEWEST_SEEDS} seeds (it has {seeds})"


def _lacking(sweep: Group, found: Following) -> Iterator[str]:
    if found.seeds < FEWEST_SEEDS:
        yield f"{FEWEST_SEEDS} seeds (it has {found.seeds})"
    if not found.has_inner_peak:
        yield f"a test error that peaks inside the sweep over {setting_name(found.over)}"
    elif min(sides := (found.test_error.peak.place + 1, len(found.positions) - found.test_error.peak.place)) < (
        FEWEST_POSITIONS
    ):
        has = f"(it has {sides[0]}, {sides[1]})"
        yield f"{FEWEST_POSITIONS} {several(setting_name(found.over))} up to the error's peak and from it on {has}"
    if not has_values(sweep.table, "slope_similarity"):
        yield "exact traces, for claim 4"


def _once(lines: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(lines))
