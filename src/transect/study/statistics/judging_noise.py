"""The claim of the paper that compares sweeps: label noise raises the nonlinearity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from transect.labels import has_values
from transect.plots import groups, select
from transect.plots.grouping import distinct, varying
from transect.plots.words import describe, setting_name, several
from transect.study.statistics.claims import Claim, Part
from transect.study.statistics.studies import PairedCurve, compare_studies

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
        for claim in _claims(group.table, group.values, noise, over)
    ]
    alone = "The table has one label noise only."
    return tuple(found) or (Claim(5, LABEL_NOISE, {}, (), alone),)


def _claims(table: pa.Table, values: Mapping[str, Any], noise: float, over: str) -> list[Claim]:
    least = distinct(table, "label_noise")[0]
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
