"""The claims of the paper on sweeps for which the answer is known."""

from __future__ import annotations

import pytest

from study_tables import lifelike, with_noise
from sweep_tables import rows_of, table_of
from transect.study.statistics.claims import Claim, Outcome, Part
from transect.study.statistics.judging import judge_claims

LONG = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)
PEAKED = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.55, 0.5, 0.45, 0.4, 0.35]
SIMILAR = [1 - error for error in PEAKED]


def outcome(table, number, **options):
    (claim,) = judge_claims(table, **options).of(number)
    return claim.outcome


def long(**curves):
    known = {"test_error": PEAKED, "absolute_deviation": PEAKED, "density": LONG, "slope_similarity": SIMILAR}
    return rows_of(LONG, **{"train_error": [0.5] * 11, **known, **curves})


def test_a_claim_holds_if_all_parts_do_and_partly_if_some_do():
    yes, no, may = Part("", "", True), Part("", "", False), Part("", "", True, sure=False)
    found = [Claim(2, "", {}, parts).outcome for parts in ((yes, yes), (yes, no), (yes, may), (no, no), ())]
    assert found == [Outcome.HOLDS, Outcome.PARTLY, Outcome.PARTLY, Outcome.FAILS, Outcome.OPEN]


def test_a_double_descent_bears_out_all_claims_about_one_sweep():
    verdict = judge_claims(table_of(long()))
    assert [claim.outcome for claim in verdict.claims] == [Outcome.HOLDS] * 3 + [Outcome.OPEN]
    assert "one label noise only" in verdict.summary()
    assert "[NO]" not in verdict.summary()


@pytest.mark.parametrize(
    ("density", "found"),
    [
        (LONG, Outcome.HOLDS),
        (PEAKED, Outcome.FAILS),  # rises and falls with the error: neither rises nor fails to follow
        ([1, 2, 3, 4, 5, 6, 5.9, 5.8, 5.7, 5.6, 5.5], Outcome.FAILS),
        (LONG[::-1], Outcome.PARTLY),  # does not follow, but does not rise
    ],
)
def test_claim_2_is_about_rising_and_not_following(density, found):
    assert outcome(table_of(long(density=density)), 2) is found


@pytest.mark.parametrize(
    ("deviation", "found"),
    [
        (PEAKED, Outcome.HOLDS),
        ([1, 2, 3, 4, 5, 6, 7, 5, 4, 3, 2], Outcome.HOLDS),  # peaks at the neighbour; rank correlation .94
        (LONG, Outcome.PARTLY),
        (LONG[::-1], Outcome.PARTLY),  # falls with it
        ([6, 5, 4, 3, 2, 1, 2, 3, 4, 5, 6], Outcome.FAILS),
    ],
)
def test_claim_3_is_about_the_peak_and_both_sides(deviation, found):
    assert outcome(table_of(long(absolute_deviation=deviation)), 3) is found


@pytest.mark.parametrize(
    ("similarity", "found"),
    [
        (SIMILAR, Outcome.HOLDS),
        (PEAKED, Outcome.FAILS),
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.91, 0.92], Outcome.PARTLY),  # against the error after it only
    ],
)
def test_claim_4_is_about_similarity_as_the_error_falls(similarity, found):
    assert outcome(table_of(long(slope_similarity=similarity)), 4) is found


@pytest.mark.parametrize(
    ("factor", "normalised", "found"),
    [(2.0, 1.5, Outcome.HOLDS), (2.0, 0.9, Outcome.PARTLY), (0.5, 0.9, Outcome.FAILS)],
)
def test_claim_5_compares_label_noises_network_by_network(factor, normalised, found):
    noisy = long(
        absolute_deviation=[factor * value for value in PEAKED],
        normalised_deviation=[normalised] * 11,
    )
    clean = [row | {"label_noise": 0.0} for row in long(normalised_deviation=[1.0] * 11)]
    (claim,) = judge_claims(table_of(clean, noisy)).of(5)
    assert claim.outcome is found
    assert claim.parts[0].found.startswith(f"{factor:g} [")
    assert f"at {11 if factor > 1 else 0} of 11 widths" in claim.parts[0].found
    assert (claim.label, claim.note) == ("20 % label noise", "Against 0 % label noise.")


def test_seeds_that_disagree_make_a_claim_unsure():
    clean = [row | {"label_noise": 0.0} for row in long()]
    mixed = [[1.5 * value, 0.7 * value] for value in PEAKED]  # 1.1 on average, below 1 for one seed
    (claim,) = judge_claims(table_of(clean, long(absolute_deviation=mixed))).of(5)
    assert claim.parts[0].holds
    assert not claim.parts[0].sure
    assert claim.outcome is Outcome.PARTLY


def test_several_noises_are_each_compared_with_the_least_in_every_sweep():
    parts = [
        [row | {"label_noise": noise, "batch_norm": norm} for row in long()]
        for noise in (0.0, 0.1, 0.2)
        for norm in (False, True)
    ]
    labels = [claim.label for claim in judge_claims(table_of(*parts)).of(5)]
    assert labels == [f"{norm}batch norm, {noise} % label noise" for norm in ("no ", "") for noise in (10, 20)]


def test_an_error_that_only_falls_leaves_nothing_to_follow():
    verdict = judge_claims(with_noise())
    for number in (2, 3):
        clean, noisy = verdict.of(number)
        assert (clean.outcome, noisy.outcome) == (Outcome.OPEN, Outcome.HOLDS)
        assert "no peak inside the sweep (it is largest at width 9)" in clean.note


def test_estimates_are_judged_by_flips_and_have_no_similarity():
    verdict = judge_claims(table_of(lifelike(method="estimate")))
    (density,), (similarity,) = verdict.of(2), verdict.of(4)
    assert density.outcome is Outcome.HOLDS
    assert "flips (estimated" in density.parts[0].statement
    assert similarity.outcome is Outcome.OPEN
    assert "estimates do not give it" in similarity.note


def test_baselines_that_follow_too_are_named():
    (claim,) = judge_claims(table_of(long(logit_std=PEAKED, weight_norm=LONG))).of(3)
    assert "Baselines that follow it: logit std; that do not: parameters, train loss, weight norm." in claim.note
    assert "Divided by the standard deviation of the logits it does not follow" in claim.note


def test_epochs_can_be_judged():
    rows = rows_of(LONG, over="epoch", test_error=PEAKED, absolute_deviation=PEAKED, density=LONG)
    verdict = judge_claims(table_of(rows), over="epoch")
    assert verdict.of(3)[0].outcome is Outcome.HOLDS
    assert "rises with the epoch" in verdict.of(2)[0].text


def test_the_table_has_a_row_a_part_and_the_summary_fits_a_narrow_terminal():
    verdict = judge_claims(with_noise())
    rows = verdict.table().to_pylist()
    assert [row["outcome"] for row in rows if row["claim"] == 3] == ["cannot be judged"] + ["holds"] * 3
    assert max(map(len, verdict.summary().splitlines())) <= 79
