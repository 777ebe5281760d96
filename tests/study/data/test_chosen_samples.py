"""Which samples paths start from and lead to."""

from __future__ import annotations

import pytest
import torch

from transect.errors import StudyError
from transect.study.config import PathConfig
from transect.study.data.dataset import Split
from transect.study.data.samples import chosen_pairs, chosen_samples

CLEAN = torch.arange(60) % 3
NOISY = torch.arange(60) % 5 == 0


def split() -> Split:
    """60 samples of three classes; every fifth has a wrong label."""
    labels = torch.where(NOISY, (CLEAN + 1) % 3, CLEAN)
    return Split(torch.zeros(60, 4), labels, CLEAN, NOISY.nonzero().flatten())


def config(**settings) -> PathConfig:
    return PathConfig(**{"paths": 10, "kind": "between_classes"} | settings)


@pytest.mark.parametrize(("samples", "wrong"), [("clean", 0), ("noisy", 10)])
def test_samples_are_of_the_kind_asked_for(samples, wrong):
    found = chosen_samples(split(), config(samples=samples))
    assert len(set(found.tolist())) == 10
    assert int(NOISY[found].sum()) == wrong


def test_samples_are_spread_over_the_split_and_fewer_are_the_first_of_more():
    few, many = (chosen_samples(split(), config(paths=paths)) for paths in (10, 60))
    assert torch.equal(few, many[:10])
    assert sorted(many.tolist()) == list(range(60)) != many.tolist()


def test_the_seed_decides_and_the_global_generator_is_left_alone():
    state = torch.random.get_rng_state()
    first, again, other = (torch.stack(chosen_pairs(split(), config(seed=seed))) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("samples", ["all", "clean", "noisy"])
@pytest.mark.parametrize("kind", ["between_same_class", "between_classes"])
def test_pairs_differ_and_are_of_the_classes_and_the_kind_asked_for(kind, samples):
    starts, ends = chosen_pairs(split(), config(kind=kind, samples=samples))
    assert bool((starts != ends).all())
    assert bool(((CLEAN[starts] == CLEAN[ends]) == (kind == "between_same_class")).all())
    for part in (starts, ends):
        assert samples == "all" or bool((NOISY[part] == (samples == "noisy")).all())


def test_every_other_sample_of_the_class_is_an_end_and_the_start_is_none():
    labels = torch.tensor([0, 1, 0, 1, 0])
    small = Split.clean(torch.zeros(5, 4), labels)
    found = set()
    for seed in range(60):
        starts, ends = chosen_pairs(small, config(kind="between_same_class", paths=5, seed=seed))
        found |= set(zip(starts.tolist(), ends.tolist()))
    assert found == {(a, b) for a in range(5) for b in range(5) if a != b and labels[a] == labels[b]}


def test_a_sample_that_is_alone_in_its_class_starts_no_path_within_it():
    alone = Split.clean(torch.zeros(4, 2), torch.tensor([1, 0, 1, 1]))
    starts, _ = chosen_pairs(alone, config(kind="between_same_class", paths=3))
    assert sorted(starts.tolist()) == [0, 2, 3]
    with pytest.raises(StudyError, match=r"at least 4 samples .*another one of the same class.*got 3"):
        chosen_pairs(alone, config(kind="between_same_class", paths=4))


def test_one_class_has_no_path_to_another():
    single = Split.clean(torch.zeros(4, 2), torch.zeros(4, dtype=torch.int64))
    with pytest.raises(StudyError, match=r"another one of another class.*got 0"):
        chosen_pairs(single, config(paths=1))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"paths": 61}, "at least 61 samples in the train part.*got 60"),
        ({"paths": 13, "samples": "noisy"}, "at least 13 noisy samples.*got 12"),
        ({"paths": 49, "samples": "clean"}, "at least 49 clean samples.*got 48"),
        ({"samples": "noisy", "split": "test"}, "only training labels are noisy.*got 'test'"),
    ],
)
def test_too_few_samples_are_refused_with_their_number(settings, message):
    with pytest.raises(StudyError, match=message):
        chosen_samples(split(), config(**settings))
