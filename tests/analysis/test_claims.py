"""The claims of the paper on sweeps for which the answer is known."""

from __future__ import annotations

import pytest

from support.study_tables import lifelike, with_noise
from support.sweep_tables import WIDTHS, rows_of, table_of
from transect.analysis.claims import Claim, Part
from transect.analysis.confidence import Verdict
from transect.analysis.judging import judge_claims

LONG = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)
PEAKED = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.55, 0.5, 0.45, 0.4, 0.35]
SIMILAR = [1 - error for error in PEAKED]


def outcome(table, number, **options):
    (claim,) = judge_claims(table, **options).of(number)
    return claim.outcome


def long(seeds=3, **curves):
    known = {"test_error": PEAKED, "absolute_deviation": PEAKED, "density": LONG, "slope_similarity": SIMILAR}
    return rows_of(LONG, tuple(range(seeds)), **{"train_error": [0.5] * 11, **known, **curves})


def test_a_claim_is_no_better_than_its_worst_part():
    parts = {outcome: Part("", "", outcome) for outcome in Verdict}
    for worst in Verdict:
        claim = Claim(2, "", {}, (parts[Verdict.HOLDS], parts[worst], parts[Verdict.HOLDS]))
        assert claim.outcome is worst
    assert Claim(2, "", {}, ()).outcome is Verdict.OPEN


def test_a_double_descent_bears_out_all_claims_about_one_sweep():
    verdict = judge_claims(table_of(long()))
    assert [claim.outcome for claim in verdict.claims] == [Verdict.HOLDS] * 3 + [Verdict.OPEN]
    assert "one label noise only" in verdict.summary()
    assert verdict.lacking == ("a second label noise, for claim 5",)


@pytest.mark.parametrize("seeds", [1, 2])
def test_with_fewer_than_three_seeds_nothing_is_more_than_seen(seeds):
    halves = {"absolute_deviation": [v / 2 for v in PEAKED], "scaled_deviation": [0.25] * 11}
    clean = [row | {"label_noise": 0.0} for row in long(seeds, **halves)]
    verdict = judge_claims(table_of(clean, long(seeds)))
    assert {claim.outcome for claim in verdict.claims} == {Verdict.SEEN}
    assert not any(claim_parts.outcome in (Verdict.HOLDS, Verdict.FAILS) for claim_parts in all_parts(verdict))
    assert "[" not in "".join(part.found for part in all_parts(verdict))
    assert f"lacks 3 seeds (it has {seeds})" in verdict.summary().replace("\n", " ")


@pytest.mark.parametrize("widths", [3, 4])
def test_with_fewer_than_five_widths_no_curve_is_more_than_seen(widths):
    error, rising = [0.3, 0.5, 0.4, 0.35][:widths], [1.0, 2.0, 3.0, 4.0][:widths]
    curves = {"test_error": error, "absolute_deviation": error, "density": rising}
    verdict = judge_claims(table_of(rows_of(WIDTHS[:widths], (0, 1, 2, 3), train_error=error, **curves)))
    assert [verdict.of(number)[0].outcome for number in (2, 3)] == [Verdict.SEEN] * 2
    assert f"lacks 5 widths up to the error's peak and from it on (it has 2, {widths - 1})" in " ".join(
        verdict.summary().split()
    )


def test_two_widths_are_no_curve_and_it_is_said():
    verdict = judge_claims(table_of(rows_of((1, 2), train_error=[0.1] * 2)))
    assert [claim.outcome for claim in verdict.claims] == [Verdict.OPEN] * 2
    said = " ".join(verdict.summary().split())
    assert "They need a curve over 3 widths at least; a sweep has 2 at most." in said
    assert "this study lacks 5 widths (a sweep has 2); 3 seeds (it has 2); a second label noise, for claim 5." in said


def test_the_summary_says_what_was_walked():
    said = " ".join(judge_claims(table_of(long())).summary().split())
    assert said.startswith(
        "11 widths from 1 to 11, 3 seeds; 48 closed translation paths around samples of the train split, traced exactly"
    )


def all_parts(verdict):
    return [part for claim in verdict.claims for part in claim.parts]


@pytest.mark.parametrize(
    ("density", "found"),
    [
        (LONG, Verdict.HOLDS),
        (PEAKED, Verdict.FAILS),  # rises and falls with the error: neither rises nor fails to follow
        ([1, 2, 3, 4, 5, 6, 5.9, 5.8, 5.7, 5.6, 5.5], Verdict.FAILS),
        (LONG[::-1], Verdict.FAILS),  # does not follow, but does not rise
    ],
)
def test_claim_2_is_about_rising_and_not_following(density, found):
    assert outcome(table_of(long(density=density)), 2) is found


@pytest.mark.parametrize(
    ("deviation", "found"),
    [
        (PEAKED, Verdict.HOLDS),
        ([1, 2, 3, 4, 5, 6, 7, 5, 4, 3, 2], Verdict.SEEN),  # at the neighbour, and by half a step perhaps beyond
        (LONG, Verdict.FAILS),
        (LONG[::-1], Verdict.FAILS),  # falls with it
        ([6, 5, 4, 3, 2, 1, 2, 3, 4, 5, 6], Verdict.FAILS),
    ],
)
def test_claim_3_is_about_the_peak_and_both_sides(deviation, found):
    assert outcome(table_of(long(absolute_deviation=deviation)), 3) is found


@pytest.mark.parametrize(
    ("similarity", "found"),
    [
        (SIMILAR, Verdict.HOLDS),
        (PEAKED, Verdict.FAILS),
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.91, 0.92], Verdict.FAILS),  # against the error after it only
    ],
)
def test_claim_4_is_about_similarity_as_the_error_falls(similarity, found):
    assert outcome(table_of(long(slope_similarity=similarity)), 4) is found


@pytest.mark.parametrize(
    ("factor", "normalised", "found"),
    [(2.0, 1.5, Verdict.HOLDS), (2.0, 0.9, Verdict.FAILS), (0.5, 0.9, Verdict.FAILS)],
)
def test_claim_5_compares_label_noises_network_by_network(factor, normalised, found):
    noisy = long(
        absolute_deviation=[factor * value for value in PEAKED],
        scaled_deviation=[normalised] * 11,
    )
    clean = [row | {"label_noise": 0.0} for row in long(scaled_deviation=[1.0] * 11)]
    (claim,) = judge_claims(table_of(clean, noisy)).of(5)
    assert claim.outcome is found
    assert claim.parts[0].found.startswith(f"{factor:g} [")
    assert f"at {11 if factor > 1 else 0} of 11 widths" in claim.parts[0].found
    assert (claim.label, claim.note) == ("20 % label noise", "Against 0 % label noise.")


def test_seeds_that_disagree_make_a_claim_unsure():
    clean = [row | {"label_noise": 0.0} for row in long()]
    mixed = [[1.5 * value, 1.4 * value, 0.7 * value] for value in PEAKED]  # 1.14 on average, below 1 for one seed
    (claim,) = judge_claims(table_of(clean, long(absolute_deviation=mixed))).of(5)
    assert claim.parts[0].outcome is Verdict.SEEN


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
        assert clean.outcome is Verdict.OPEN
        assert noisy.outcome is (Verdict.HOLDS if number == 2 else Verdict.SEEN)
        assert "no peak inside the sweep (it is largest at width 9)" in clean.note


def test_estimates_are_judged_by_flips_and_have_no_similarity():
    verdict = judge_claims(table_of(lifelike(method="estimate")))
    (density,), (similarity,) = verdict.of(2), verdict.of(4)
    assert density.outcome is Verdict.HOLDS
    assert "flips (estimated" in density.parts[0].statement
    assert similarity.outcome is Verdict.OPEN
    assert "estimates do not give it" in similarity.note


def test_baselines_that_follow_too_are_named():
    (claim,) = judge_claims(table_of(long(logit_std=PEAKED, weight_norm=LONG))).of(3)
    assert claim.note.startswith("Whether others follow the test error: deviation / logit std: does not hold; par")
    assert "logit std: holds; weight norm: does not hold." in claim.note


def test_epochs_can_be_judged():
    rows = rows_of(LONG, (0, 1, 2), over="epoch", test_error=PEAKED, absolute_deviation=PEAKED, density=LONG)
    verdict = judge_claims(table_of(rows), over="epoch")
    assert verdict.of(3)[0].outcome is Verdict.HOLDS
    assert "rises with the epoch" in verdict.of(2)[0].text


def test_the_table_has_a_row_a_part_and_the_summary_fits_a_narrow_terminal():
    verdict = judge_claims(with_noise())
    rows = verdict.table().to_pylist()
    assert [row["outcome"] for row in rows if row["claim"] == 3] == ["cannot be told"] + ["seen"] * 3
    assert [row["part_outcome"] for row in rows if row["claim"] == 3] == [None, "seen", "seen", "holds"]
    assert max(map(len, verdict.summary().splitlines())) <= 79
