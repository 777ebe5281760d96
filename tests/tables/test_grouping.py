"""Tables taken apart: rows by value, groups by columns, sweeps by what varies."""

from __future__ import annotations

import pyarrow as pa
import pytest

from support.sweep_tables import WIDTHS, rows_of, table_of
from transect.errors import InvalidInput
from transect.study.columns import RUN_SCHEMA
from transect.tables.files import make_table, with_settings
from transect.tables.grouping import (
    along,
    axes_of,
    axis_named,
    distinct,
    groups,
    path_kinds_of,
    select,
    sweeps,
    varying,
)
from transect.tables.names import describe, path_kind, walked

TABLE = pa.table({"label_noise": [0.2, 0.0, 0.2, 0.0], "width": [1, 1, 2, 2], "legacy": [None, "a", "b", "a"]})


def test_rows_are_selected_by_value_by_several_values_and_by_none():
    assert select(TABLE, label_noise=0.2)["width"].to_pylist() == [1, 2]
    assert select(TABLE, legacy=["a", "b"], width=2)["label_noise"].to_pylist() == [0.2, 0.0]
    assert select(TABLE, legacy=None)["width"].to_pylist() == [1]
    assert select(TABLE) is TABLE


@pytest.mark.parametrize(
    ("values", "said"),
    [({"depth": 3}, r"\['depth'\] are not among"), ({"width": 7}, r"there are none.*\[1, 2\]")],
)
def test_selecting_what_is_not_there_is_refused_with_what_is(values, said):
    with pytest.raises(InvalidInput, match=said):
        select(TABLE, **values)


def test_groups_are_every_combination_in_order_and_keep_all_rows():
    found = groups(TABLE, ["width", "label_noise"])
    assert [tuple(group.values.values()) for group in found] == [(1, 0.0), (1, 0.2), (2, 0.0), (2, 0.2)]
    assert sum(len(group.table) for group in found) == len(TABLE)
    assert [group.values["legacy"] for group in groups(TABLE, ["legacy"])] == ["a", "b", None]
    (whole,) = groups(TABLE, [])
    assert (whole.table, whole.values, whole.label) == (TABLE, {}, "")


def test_what_varies_is_found_but_for_what_is_set_apart():
    table = table_of(rows_of(columns={"label_noise": 0.0}), rows_of())
    assert varying(table) == ("label_noise", "width", "seed")
    assert varying(table, apart=("seed",)) == ("label_noise", "width")
    assert distinct(table, "label_noise") == [0.0, 0.2]
    assert distinct(table, "nothing") == []


def test_sweeps_over_width_are_one_for_each_combination_of_the_rest():
    parts = [rows_of(columns={"label_noise": n, "batch_norm": b}) for n in (0.0, 0.2) for b in (False, True)]
    found = sweeps(table_of(*parts))
    assert [group.label for group in found] == [
        "0 % label noise, no batch norm",
        "0 % label noise, batch norm",
        "20 % label noise, no batch norm",
        "20 % label noise, batch norm",
    ]
    assert all(distinct(group.table, "width") == list(WIDTHS) for group in found)


def test_trained_networks_are_one_sweep_though_they_stopped_at_different_epochs():
    trained = [row | {"epoch": 100 + row["seed"]} for row in rows_of()]
    before = rows_of(columns={"epoch": 5, "last": False})
    found = sweeps(table_of(trained, before))
    assert [(group.values, len(group.table)) for group in found] == [({}, 10), ({"epoch": 5}, 10)]


def test_sweeps_over_epochs_hold_the_epochs_of_all_seeds_once():
    rows = rows_of((1, 5, 25), over="epoch", columns={"last": False})
    ended = [row | {"epoch": epoch, "last": True} for row, epoch in zip(rows[:2], (25, 19))]
    (found,) = sweeps(table_of(rows, ended), "epoch")
    assert distinct(found.table, "epoch") == [1, 5, 25]
    assert len(found.table) == 6
    with pytest.raises(InvalidInput, match=r"a setting of numbers, one of width, epoch, label_noise.*got 'model'"):
        sweeps(table_of(rows), "model")


def test_columns_of_settings_take_the_place_of_the_text_that_tells_them():
    rows = [
        row
        | {"variant": f"depth {depth}", "model.arguments.depth": depth, "data.seed": seed, "measures.rtol": 1 / depth}
        for depth in (1, 2)
        for seed in (0, 1)
        for row in rows_of((8, 16))
    ]
    table = make_table(rows, with_settings(RUN_SCHEMA, rows))
    assert varying(table) == ("width", "seed", "model.arguments.depth", "data.seed")
    assert varying(table, apart=("variant",)) == ("width", "seed")
    assert axes_of(table) == ("width", "model.arguments.depth")
    assert [group.label for group in sweeps(table)][:2] == ["depth 1, data seed 0", "depth 1, data seed 1"]
    assert axis_named(table, "depth") == "model.arguments.depth"
    with pytest.raises(InvalidInput, match=r"got 'dept'; did you mean 'depth'. it has width, model.arguments.depth"):
        axis_named(table, "dept")


def test_what_changes_along_with_the_axis_is_no_sweep_of_its_own():
    rows = [row | {"label_noise": row["width"] / 100, "epoch": row["width"]} for row in rows_of()]
    (found,) = sweeps(table_of(rows))
    assert len(distinct(found.table, "width")) == 5
    assert along(table_of(rows), "width") == ("label_noise",)
    assert along(table_of(rows), "label_noise") == ("width",)
    assert along(table_of(rows_of()), "width") == ()


def test_kinds_of_paths_have_the_names_of_the_paper():
    assert [path_kind(*pair) for pair in (("circle", "samples"), ("arc", "samples"), ("circle", "random"))] == [
        "closed",
        "open",
        "random",
    ]
    assert path_kind("arc", "random") == "random, open"
    assert path_kind("between_classes", "samples") == "between classes"
    table = pa.table({"kind": ["between_classes", "arc", "circle", "circle"], "around": ["samples"] * 3 + ["random"]})
    assert list(path_kinds_of(table)) == ["closed", "open", "random", "between classes"]


def test_values_are_put_in_words():
    values = {"label_noise": 0.125, "legacy": "a_b+c", "width": 8, "split": "test", "last": True, "method": "exact"}
    assert describe(values) == "12.5 % label noise, a b + c, width 8, test split, trained, exact"
    assert describe({"legacy": ""}) == "right values"


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({}, "48 closed translation paths around samples of the train split, traced exactly"),
        (
            {"kind": "shift_scale_circle", "method": "estimate"},
            "48 closed (shift, scale) paths around samples of the train split, estimated",
        ),
        (
            {"kind": "arc", "samples": "noisy"},
            "48 open translation paths around noisy samples of the train split, traced exactly",
        ),
        ({"around": "random", "paths": 7}, "7 closed translation paths around random images, traced exactly"),
        (
            {"kind": "between_classes"},
            "48 straight lines between samples of two classes of the train split, traced exactly",
        ),
    ],
)
def test_words_say_which_paths_were_walked(columns, said):
    assert walked(table_of(rows_of(columns=columns))) == said
    both = walked(table_of(rows_of(columns=columns), rows_of(columns={"split": "test", "kind": "arc"})))
    assert "open translation paths" in both
