"""Everything the tables of a study say, as files."""

from __future__ import annotations

import io

import numpy as np
import pyarrow.csv
import pytest

from support.study_tables import path_table, with_faults, with_noise
from support.sweep_tables import WIDTHS, rows_of, table_of
from transect.analysis.judging import judge_claims
from transect.errors import InvalidInput
from transect.study.checks import defaults_said
from transect.study.config import StudyConfig
from transect.study.report import report_tables, study_figures
from transect.tables.files import write_table

KINDS = {
    ("circle", "samples"): lambda random, count: random.lognormal(1.0, 0.5, count),
    ("arc", "samples"): lambda random, count: random.lognormal(0.5, 0.5, count),
}


def test_figures_and_findings_of_a_sweep_with_two_noises_and_two_kinds_of_paths(tmp_path):
    table, paths = with_noise(), path_table(KINDS, paths=20, noises=(0.0, 0.2))
    source = write_table(table, tmp_path / "table.parquet", csv=False)
    files = report_tables(source, tmp_path / "out", paths)
    pictures = ["width", "measures-0-label-noise", "measures-20-label-noise", "kinds"]
    texts = ["claims.txt", "claims.csv", "curves.csv", "follows.csv", "kinds.txt", "kinds.csv"]
    assert [file.name for file in files] == [f"{name}.{end}" for name in pictures for end in ("png", "svg")] + texts
    assert {file.name for file in (tmp_path / "out").iterdir()} == {file.name for file in files}
    assert (tmp_path / "out" / "claims.txt").read_text() == judge_claims(table).summary() + "\n"
    assert pyarrow.csv.read_csv(tmp_path / "out" / "kinds.csv").num_rows == 2


@pytest.mark.parametrize(
    ("table", "names"),
    [
        (with_faults(), {"legacy"}),
        (table_of(rows_of((1, 5, 25), over="epoch", columns={"last": False})), {"epochs"}),
        (table_of(rows_of((3,))), {"networks"}),
        (table_of(*(rows_of((3,), columns={"model": model}) for model in ("mlp", "cnn5"))), {"networks"}),
        (table_of(*(rows_of((3,), columns={"label_noise": noise}) for noise in (0.0, 0.1))), {"label-noise"}),
    ],
    ids=["faults", "epochs", "one network", "models", "two noises"],
)
def test_a_study_gives_the_figures_it_has_rows_for(table, names):
    found = {name for name in study_figures(table) if not name.startswith(("width", "measures"))}
    assert found == names


def test_networks_in_training_are_no_part_of_the_sweep_over_width():
    before = rows_of(columns={"epoch": 5, "last": False}, absolute_deviation=np.full(5, 1e6))
    figures = study_figures(table_of(rows_of(), before))
    assert "width" in figures
    assert figures["width"].axes[0].get_ylim()[1] < 1000
    lines = [text.get_text() for text in figures["epochs"].axes[0].get_legend().get_texts()]
    assert lines == [f"width {width}" for width in (10, 20, 40, 80, 160)]


def test_two_widths_are_drawn_and_what_a_claim_lacks_is_said(tmp_path):
    names = {file.name for file in report_tables(table_of(rows_of((1, 2))), tmp_path)}
    assert names == {f"{name}.{end}" for name in ("width", "measures") for end in ("png", "svg")} | {
        "claims.txt",
        "claims.csv",
    }
    assert "need a curve over 3 widths" in " ".join((tmp_path / "claims.txt").read_text().split())


def test_a_grid_of_settings_is_lines_of_one_figure_over_each_of_them_that_makes_a_curve():
    table = table_of(
        *(
            rows_of((8, 16, 32, 64), columns={"label_noise": n, "split": s})
            for n in (0, 0.1, 0.2)
            for s in ("train", "test")
        )
    )
    figures = study_figures(table)
    pictures = {name for name in figures if not name.startswith("measures")}
    assert pictures == {f"{axis}-{split}-split" for axis in ("width", "label-noise") for split in ("train", "test")}
    labels = [text.get_text() for text in figures["label-noise-test-split"].axes[0].get_legend().get_texts()]
    assert labels == ["width 8", "width 16", "width 32", "width 64"]
    assert {name for name in study_figures(table, over="label_noise") if "measures" not in name} == {
        "label-noise-train-split",
        "label-noise-test-split",
    }


def test_a_sweep_over_another_setting_is_judged_over_it(tmp_path):
    curve = {"test_error": [0.3, 0.4, 0.5, 0.45, 0.4], "absolute_deviation": [3.0, 4.0, 5.0, 4.5, 4.0]}
    noises = [0.0, 0.1, 0.2, 0.3, 0.4]
    rows = [row | {"label_noise": noises[WIDTHS.index(row["width"])], "width": 7} for row in rows_of(**curve)]
    files = {file.name: file for file in report_tables(table_of(rows), tmp_path)}
    assert {"label-noise.png", "curves.csv", "follows.csv"} < set(files)
    said = " ".join(files["claims.txt"].read_text().split())
    assert said.startswith("5 label noises from 0 to 0.4, 2 seeds;")
    assert "[seen] both peak at the same label noise or at neighbours" in said


def test_a_missing_seed_is_named_and_nothing_is_written(tmp_path):
    with pytest.raises(InvalidInput, match=r"\(160, 1\)\] are missing"):
        report_tables(table_of(rows_of()[:-1]), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_models_without_a_width_are_networks_beside_each_other(tmp_path):
    rows = [row | {"model": f"my:{name}", "width": None, "batch_norm": None} for name in "ab" for row in rows_of((7,))]
    names = {file.name for file in report_tables(table_of(rows), tmp_path)}
    assert names == {"networks.png", "networks.svg", "claims.txt", "claims.csv"}
    assert (tmp_path / "claims.txt").read_text().startswith("my:a: no sweep over the width, 2 seeds; 48 closed")
    mixed = table_of(rows, rows_of())
    assert {"networks.png", "width.png", "curves.csv"} < {file.name for file in report_tables(mixed, tmp_path)}
    figures = study_figures(mixed)
    assert [tick.get_text() for tick in figures["networks"].axes[0].get_yticklabels()] == ["my:a", "my:b"]
    assert figures["width"].axes[0].get_lines()[0].get_xdata().tolist() == list(WIDTHS)


def test_what_was_not_asked_for_stands_below_every_figure_and_no_line_is_too_wide():
    study = StudyConfig.parse({"data": {"label_noise": [0.0, 0.2]}, "model": {"width": [*WIDTHS]}})
    figures = study_figures(with_noise(), path_table(KINDS, paths=20, noises=(0.0, 0.2)), note=defaults_said(study))
    assert set(figures) == {"width", "measures-0-label-noise", "measures-20-label-noise", "kinds"}
    for figure in figures.values():
        said = figure.get_supxlabel()
        assert "Not asked for, so by default:" in said
        assert "schedule constant" in said
        assert "label_noise" not in said
        figure.savefig(io.BytesIO(), format="png")
        (below,) = (text for text in figure.texts if text.get_text() == said)
        place = below.get_window_extent()
        assert (place.x0 > 0, place.y0 > 0, place.x1 < figure.bbox.width) == (True,) * 3
        assert all(place.y1 < axes.get_tightbbox().y0 for axes in figure.axes if axes.get_visible())


def test_a_study_over_epochs_alone_is_judged_over_them(tmp_path):
    rows = rows_of((1, 2, 4, 8), over="epoch", columns={"last": False, "width": 7})
    files = {file.name: file for file in report_tables(table_of(rows), tmp_path)}
    assert {"epochs.png", "curves.csv", "follows.csv"} < set(files)
    assert files["claims.txt"].read_text().startswith("4 epochs from 1 to 8")
