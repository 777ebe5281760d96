"""The run table by width and seed."""

from __future__ import annotations

import random
import statistics

import pyarrow as pa
import pytest

from support.sweep_tables import WIDTHS, sweep
from transect.errors import InvalidInput
from transect.tables.curves import Curves
from transect.tables.files import write_table

VALUES = [[1.0, 4.0, 7.0], [2.0, 2.5, 9.0]]


def test_values_are_found_whatever_the_order_of_the_rows():
    table = sweep((3, 30), (5, 6, 9), density=VALUES)
    shuffled = table.take(random.Random(0).sample(range(len(table)), len(table)))
    curves = Curves.of(shuffled, "train", ["density"])
    assert (curves.widths, curves.seeds, curves.split) == ((3, 30), (5, 6, 9), "train")
    assert curves.values["density"].tolist() == VALUES


def test_mean_and_spread_are_over_seeds():
    curves = Curves.of(sweep((3, 30), (5, 6, 9), density=VALUES), "train", ["density"])
    assert curves.mean("density").tolist() == pytest.approx([statistics.mean(values) for values in VALUES])
    assert curves.spread("density").tolist() == pytest.approx([statistics.stdev(values) for values in VALUES])


def test_one_seed_has_no_spread():
    assert Curves.of(sweep(seeds=[4]), "test", ["density"]).spread("density").tolist() == [0.0] * len(WIDTHS)


def test_the_rows_of_the_other_split_are_left_out():
    table = sweep()
    doubled = [
        value * (1 if split == "train" else 2)
        for value, split in zip(table["density"].to_pylist(), table["split"].to_pylist())
    ]
    table = table.set_column(table.schema.get_field_index("density"), "density", pa.array(doubled))
    means = [Curves.of(table, split, ["density"]).mean("density") for split in ("train", "test")]
    assert means[1].tolist() == (2 * means[0]).tolist()


@pytest.mark.parametrize(
    ("errors", "threshold"),
    [
        ([0.5, 0.3, 0.02, 0.0, 0.0], 80),
        ([0.5, 0.3, 0.01, 0.0099, 0.2], 80),  # not the 1 % itself; the first, though a wider one is above again
        ([0.5, 0.3, 0.2, 0.1, 0.05], None),
        ([[0.5, 0.5], [0.0, 0.03], [0.0, 0.019], [0.0, 0.0], [0.0, 0.0]], 40),  # the mean counts, not each seed
    ],
)
def test_the_threshold_is_the_first_width_whose_mean_train_error_is_under_one_percent(errors, threshold):
    assert Curves.of(sweep(train_error=errors), "train", ["train_error"]).interpolation_threshold() == threshold


def test_a_path_is_read(tmp_path):
    path = write_table(sweep(), tmp_path / "table.parquet")
    one, other = (Curves.of(source, "train", ["density"]) for source in (path, sweep()))
    assert one.values["density"].tolist() == other.values["density"].tolist()


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (sweep().drop_columns(["density"]), r"\['density'\] are not among"),
        (
            sweep().filter(pa.compute.field("split") == "test"),
            r"no rows of the split 'train'; its splits are \['test'\]",
        ),
        (sweep().slice(0, 17), r"\(160, 1\)\] are missing|\(160, 0\), \(160, 1\)\] are missing"),
        (pa.concat_tables([sweep(), sweep()]), "got several for .*several studies"),
        (sweep(density=[1, 2, float("nan"), 4, 5]), "finite numbers in the column 'density'"),
        ("/nowhere/table.parquet", "cannot read /nowhere/table.parquet"),
    ],
)
def test_what_cannot_be_a_sweep_is_refused(table, said):
    with pytest.raises(InvalidInput, match=said):
        Curves.of(table, "train", ["density"])
