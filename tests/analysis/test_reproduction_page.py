"""The script that writes the pages on the reproduction: its tables and verdicts, on made-up studies."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from support.study_tables import lifelike, path_table, with_noise
from support.sweep_tables import table_of
from transect.study.columns import PATH_SCHEMA
from transect.tables.files import make_table
from transect.tables.grouping import select

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def page(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(DOCS))
    pages = importlib.import_module("pages")
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    (tmp_path / "docs" / "reproduction").mkdir(parents=True)
    monkeypatch.setattr(pages, "save", lambda figure, name, says: f"![{says}](figures/{name}.png)")
    sys.modules.pop("update_reproduction", None)
    yield importlib.import_module("update_reproduction")
    sys.modules.pop("update_reproduction", None)


def study(runs, paths=None, core_minutes=90.0):
    return SimpleNamespace(runs=runs, paths=paths, core_minutes=lambda trained: core_minutes)


def estimated_with_a_check(**columns):
    rows = [*lifelike(method="estimate", **columns), *lifelike(method="exact", **columns)]
    return table_of(rows)


def test_the_numbers_of_a_width_are_means_over_seeds_and_similarity_comes_from_exact_paths(page):
    table = page.width_table(estimated_with_a_check()).splitlines()
    rows = select(estimated_with_a_check(), width=47).to_pylist()
    deviations = [row["absolute_deviation"] for row in rows if row["method"] == "estimate"]
    similarities = [row["slope_similarity"] for row in rows if row["method"] == "exact"]
    (line,) = (line for line in table if line.startswith("| 47 |"))
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert float(cells[3]) == pytest.approx(sum(deviations) / 3, rel=1e-3)
    assert float(cells[7]) == pytest.approx(sum(similarities) / 3, abs=1e-3)
    assert len(deviations) == len(similarities) == 3


def test_with_and_without_batch_norm_have_tables_of_their_own(page):
    both = page.width_tables(table_of(*(estimated_with_a_check(batch_norm=norm).to_pylist() for norm in (False, True))))
    assert both.index("Without batch norm:") < both.index("With batch norm:")
    assert both.count("| 47 |") == 2


def test_every_claim_has_a_verdict_and_what_it_rests_on(page):
    found = {"poster-small": study(estimated_with_a_check())}
    (verdicts,) = dict(page.verdicts(found)).values()
    assert "(3) the absolute deviation peaks" in verdicts
    assert verdicts.count("poster-small") == 3
    lines = page.claim_lines(page.judged(found["poster-small"].runs)).splitlines()
    deviation = next(line for line in lines if line.startswith("| (3)"))
    assert "**seen**" in deviation
    assert "seen: both peak at the same width" in deviation
    assert "holds: and from the peak on: +0.95 [+0.90, +1.00]" in deviation
    assert "deviation / logit std: seen;" in deviation
    assert {line.count("|") for line in lines} == {5}


def test_label_noise_is_judged_on_the_widths_that_both_studies_have(page):
    rows = with_noise().to_pylist()
    noisy = [row | {"method": "estimate", "study": "noisy"} for row in rows if row["label_noise"] == 0.2]
    clean = [row | {"method": "estimate", "study": "clean"} for row in rows if row["label_noise"] == 0.0]
    some = [row for row in clean if row["width"] in (16, 47, 177)]
    (claim,) = page.noise_claims({"poster-small": study(table_of(noisy)), "clean-small": study(table_of(some))})
    assert claim.outcome.words == "seen"  # three widths
    assert "at 3 of 3 widths" in claim.parts[0].found


def test_estimates_are_held_against_the_exact_values_of_the_same_paths(page):
    def row(method, path, value, low=None, high=None):
        ends = {"absolute_deviation_low": low, "absolute_deviation_high": high}
        return {"run": "a", "split": "train", "method": method, "path": path, "absolute_deviation": value} | ends

    paths = make_table(
        [
            row("estimate", 0, 101.0, 99.0, 103.0),
            row("estimate", 1, 102.0, 101.5, 102.5),
            row("estimate", 2, 500.0, 400.0, 600.0),
            row("exact", 0, 100.0),
            row("exact", 1, 100.0),
        ],
        PATH_SCHEMA,
    )
    assert page.agreement(paths, "absolute_deviation") == ["absolute deviation", "2", "1.50 %", "2.00 %", "1 of 2"]


def test_times_and_kinds_of_paths_are_told(page):
    draw = {
        ("circle", "samples"): lambda random, count: random.normal(10, 1, count),
        ("arc", "samples"): lambda random, count: random.normal(20, 1, count),
    }
    runs, paths = estimated_with_a_check(), path_table(draw, noises=(0.0, 0.2))
    found = {"paths-small": study(runs, paths, core_minutes=12.4)}
    assert "| paths-small | 1 | 1 | 800 | 12 |" in dict(page.times(found))["times"]
    both = dict(page.times(found | {"poster-small": study(runs, paths)}))["times"].splitlines()
    assert both[2:4] == ["| poster-small | 1 | 1 | 800 | 90 |", "| paths-small | 1 | 0 | 800 | 12 |"]
    text = dict(page.kinds(found))["paths-small"]
    assert text.startswith("![")
    assert [line.split("|")[4].strip() for line in text.splitlines()[4:]] == ["1.00", "1.00"]


def test_a_study_that_is_not_there_is_read_from_its_summary(page, tmp_path):
    whole = page.Study(estimated_with_a_check(), paths=None)
    for name in page.SUMMARY:
        assert name in whole.runs.column_names
    page.summarise(whole, tmp_path / "poster-small.csv")
    again = page.read(tmp_path / "nowhere", tmp_path / "poster-small.csv")
    assert page.read(tmp_path / "nowhere", tmp_path / "nothing.csv") is None
    assert again.runs.schema.field("legacy").type == whole.runs.schema.field("legacy").type
    assert page.claim_lines(page.judged(again.runs)) == page.claim_lines(page.judged(whole.runs))
    assert page.width_table(again.runs) == page.width_table(whole.runs)
    assert dict(page.times({"poster-small": again})) == {}
