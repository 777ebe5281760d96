"""Kolmogorov-Smirnov tests between kinds of paths, against scipy and Holm's procedure by hand."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from support.study_tables import path_table
from transect.analysis.kinds import compare_kinds, holm
from transect.errors import InvalidInput
from transect.tables.grouping import select

CLOSED, OPEN, RANDOM = ("circle", "samples"), ("arc", "samples"), ("circle", "random")


def shifted(by):
    return lambda random, count: by + random.normal(size=count)


KINDS = {CLOSED: shifted(5.0), OPEN: shifted(5.0), RANDOM: shifted(9.0)}


def values(table, kind, **chosen):
    return select(table, kind=kind[0], around=kind[1], **chosen)["absolute_deviation"].to_numpy()


def test_every_pair_of_kinds_of_every_network_is_tested_as_scipy_does():
    table = path_table(KINDS, seeds=(0, 1), paths=40, noises=(0.0, 0.2))
    found = compare_kinds(table)
    assert len(found.tests) == 2 * 2 * 3
    pairs = {"closed": CLOSED, "open": OPEN, "random": RANDOM}
    for test in found.tests:
        one, other = (values(table, pairs[kind], **test.values) for kind in (test.one, test.other))
        theirs = scipy.stats.ks_2samp(one, other)
        assert (test.statistic, test.p) == pytest.approx((theirs.statistic, theirs.pvalue))
        assert (test.one_paths, test.other_paths) == (40, 40)
        assert test.one_median == pytest.approx(np.median(one))
        assert test.differs is ("random" in (test.one, test.other))
    assert found.summary().count("no difference shown") == 4
    assert "8 of 12 pairs differ" in found.summary()
    assert "(Holm)" in found.summary()


def with_ways(table, ways):
    """The table with settings that have no column: one text a (kind, around)."""
    given = [ways[row["kind"], row["around"]] for row in table.select(["kind", "around"]).to_pylist()]
    place = table.column_names.index("way")
    return table.set_column(place, table.schema.field("way"), pa.array(given, pa.string()))


def test_kinds_whose_other_settings_differ_are_compared_all_the_same():
    table = with_ways(path_table(KINDS, paths=40), {CLOSED: "anchors 8", OPEN: "anchors 5", RANDOM: "anchors 8"})
    found = compare_kinds(table)
    assert [(test.one, test.other) for test in found.tests] == [
        ("closed", "open"),
        ("closed", "random"),
        ("open", "random"),
    ]


def test_one_kind_in_two_ways_is_two_kinds_named_by_their_ways():
    small = with_ways(path_table({CLOSED: shifted(5.0)}, paths=40), {CLOSED: "radius 2"})
    large = with_ways(path_table({CLOSED: shifted(9.0)}, paths=40), {CLOSED: "radius 4"})
    (test,) = compare_kinds(pa.concat_tables([small, large])).tests
    assert (test.one, test.other) == ("closed, radius 2", "closed, radius 4")
    assert test.differs


def test_the_statistic_is_the_largest_distance_of_the_distribution_functions():
    kinds = {CLOSED: lambda _, count: np.arange(4.0), OPEN: lambda _, count: np.arange(4.0) + 2}
    (test,) = compare_kinds(path_table(kinds, noises=(0.0,))).tests
    assert test.statistic == 0.5  # at 1: half of the one, nothing of the other
    assert test.adjusted_p == test.p


def test_pooled_seeds_are_averaged_path_by_path():
    table = path_table(KINDS, seeds=(0, 1, 2), paths=20, noises=(0.0,))
    found = compare_kinds(table, pool_seeds=True)
    means = {kind: np.mean([values(table, kind, seed=seed) for seed in (0, 1, 2)], axis=0) for kind in (CLOSED, RANDOM)}
    (test,) = [each for each in found.tests if (each.one, each.other) == ("closed", "random")]
    assert test.statistic == pytest.approx(scipy.stats.ks_2samp(means[CLOSED], means[RANDOM]).statistic)
    assert (test.one_paths, len(found.tests), test.values) == (20, 3, {})
    assert "mean over seeds" in found.summary()


def test_pooling_seeds_with_other_paths_is_refused():
    table = path_table(KINDS, seeds=(0, 1), paths=10)
    part = table.filter(~((pc.field("seed") == 1) & (pc.field("path") == 3)))
    with pytest.raises(InvalidInput, match=r"every path once with each of the 2 seeds.*closed paths"):
        compare_kinds(part, pool_seeds=True)


def test_what_no_column_tells_apart_is_refused():
    table = path_table(KINDS, paths=10)
    other = table.set_column(table.schema.get_field_index("run"), "run", pa.array(["another"] * len(table)))
    with pytest.raises(InvalidInput, match=r"1 value\(s\) of 'run' among the closed paths.*run-0.2-0"):
        compare_kinds(pa.concat_tables([table, other]))


def test_one_kind_and_missing_values_are_refused():
    with pytest.raises(InvalidInput, match=r"two kinds of paths of one network at least, got \['closed'\]"):
        compare_kinds(path_table({CLOSED: shifted(1.0)}, paths=5))
    with pytest.raises(InvalidInput, match="column 'flips', 15 of 15 have none"):
        compare_kinds(path_table(KINDS, paths=5), "flips")


def test_the_table_has_a_row_a_test():
    rows = compare_kinds(path_table(KINDS, paths=10, noises=(0.0, 0.2))).table().to_pylist()
    assert [(row["label_noise"], row["one"], row["other"]) for row in rows[:3]] == [
        (0.0, "closed", "open"),
        (0.0, "closed", "random"),
        (0.0, "open", "random"),
    ]


def test_holm_by_hand():
    # Sorted .01, .02, .03, .04, times 4, 3, 2, 1: .04, .06, .06, .04, never falling: .04, .06, .06, .06.
    assert holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0.01, 0.5))
def test_holm_rejects_what_the_step_down_procedure_rejects(p, level):
    rejected = 0
    while rejected < len(p) and sorted(p)[rejected] * (len(p) - rejected) < level:
        rejected += 1
    assert sum(each < level for each in holm(p)) == rejected
