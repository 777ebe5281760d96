"""Measures of a user's own: through ``trace`` and ``measure`` without a line in the package."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

import transect
from support.measured import mlp, paths
from support.own_study import LARGEST_GAP, LargestGap
from transect.errors import InvalidInput, NotEstimated
from transect.measures import MEASURES
from transect.measures.base import Reduced


class Nameless(LargestGap):
    def results(self):
        return {"gap": Reduced(self.largest, self.largest)}


class Flat(LargestGap):
    def results(self):
        return {"largest_gap": Reduced(self.largest.sum(1), self.largest.sum(1))}


def absolute():
    model = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 1))
    with torch.no_grad():
        for weight, value in zip(model.parameters(), ([[1.0], [-1.0]], [0.0, 0.0], [[1.0, 1.0]], [0.0]), strict=True):
            weight.copy_(torch.tensor(value))
    return model.eval()


@pytest.mark.parametrize("budget", [None, 1])
def test_its_values_and_rounding_are_those_of_its_reducer(budget):
    path = transect.Path([[-1.0], [3.0], [1.0]])
    found = transect.trace(absolute(), path, measures=[LARGEST_GAP], budget=budget)
    assert found.measure("largest_gap").tolist() == [[1.5], [0.0]]  # |x| from 1 to 3 by 0: the line is 1.5 at 0
    assert found.rounding("largest_gap").shape == (2, 1)
    assert found.measure("absolute_deviation").equal(found.absolute_deviation())


def test_tables_have_its_columns_with_one_worker_and_two_and_after_an_interruption(tmp_path):
    given = {"measures": [LARGEST_GAP], "together": 2, "progress": False}
    found = transect.measure(mlp(), paths(4), **given)
    alone = [transect.trace(mlp(), path, measures=[LARGEST_GAP]) for path in paths(4)]
    sums = [float(one.across_outputs(one.measure("largest_gap")).sum()) for one in alone]
    assert found.column("own_largest_gap") == pytest.approx(sums, rel=1e-12)
    assert (found.column("own_largest_gap_high") > found.column("own_largest_gap")).all()
    assert found.compare(0, 0, "own_largest_gap").ratio == 1
    kept = transect.measure(mlp(), paths(4), out=tmp_path, workers=2, **given)
    assert transect.Measurements.read(tmp_path).table.equals(kept.table)
    assert kept.table.drop_columns("seconds").equals(found.table.drop_columns("seconds"))
    with pytest.raises(InvalidInput, match=r"measures: .*largest_gap.* there"):
        transect.measure(mlp(), paths(4), out=tmp_path, **given | {"measures": [replace(LARGEST_GAP, reducer=Flat)]})


@pytest.mark.parametrize(("total", "expected"), [("sum", 1.5), ("mean", 0.75), ("max", 1.5)])
def test_a_table_has_the_total_of_the_segments_that_the_measure_asks_for(total, expected):
    path = transect.Path([[-1.0], [3.0], [1.0]])  # gaps of 1.5 and 0, as above
    found = transect.measure(absolute(), path, measures=[replace(LARGEST_GAP, total=total)], progress=False)
    assert found.column("own_largest_gap").tolist() == [expected]


@pytest.mark.parametrize(("field", "value"), [("total", "median"), ("per", "unit")])
def test_what_a_measure_says_of_itself_is_checked(field, value):
    with pytest.raises(InvalidInput, match=f"{field}: expected one of .*, got '{value}'"):
        replace(LARGEST_GAP, **{field: value})


@pytest.mark.parametrize(
    ("measures", "message"),
    [
        ([replace(LARGEST_GAP, reducer=Nameless)], "reducer of 'largest_gap'.*got nothing"),
        ([replace(LARGEST_GAP, reducer=Flat)], r"shape \(2, 3\) under that name, got \(2,\)"),
        ([replace(LARGEST_GAP, reducer=None)], "with a reducer"),
        ([LARGEST_GAP, LARGEST_GAP], "'largest_gap' again"),
        ([replace(LARGEST_GAP, name="arc_length")], "'arc_length' again"),
        ([LargestGap], "expected transect.measures.Measure objects"),
    ],
)
def test_what_is_no_measure_is_refused(measures, message):
    with pytest.raises(InvalidInput, match=message):
        transect.trace(mlp(), paths(1)[0], measures=measures)


def test_names_are_those_of_columns():
    with pytest.raises(InvalidInput, match="expected a name such as 'arc_length', got 'Largest gap'"):
        replace(LARGEST_GAP, name="Largest gap")


def test_samples_do_not_show_it():
    with pytest.raises(NotEstimated, match="measures of your own"):
        transect.measure(mlp(), paths(1), method="estimate", measures=[LARGEST_GAP], progress=False)
    with pytest.raises(NotEstimated, match="do not show 'slope_similarity'"):
        transect.estimate(mlp(), paths(1)[0]).measure("slope_similarity")


def test_every_listed_measure_is_there_under_its_name():
    trace, estimate = transect.trace(mlp(), paths(1)[0]), transect.estimate(mlp(), paths(1)[0])
    for measure in MEASURES:
        if measure.reducer is None:
            continue
        assert trace.measure(measure.name).dim() == (2 if measure.per == "output" else 1), measure.name
        if measure.estimated:
            assert estimate.measure(measure.name).shape == trace.measure(measure.name).shape
