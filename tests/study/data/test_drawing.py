"""Drawing samples: sizes, classes, what depends on what."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from transect.errors import StudyError
from transect.study.config import DataConfig
from transect.study.data.dataset import DataSet, Normalisation, Split
from transect.study.data.images import ImageSource, LabelledImages
from transect.study.data.samples import drawn, interleaved


def numbered(per_class: list[int], first: int) -> LabelledImages:
    """Images sorted by class; the first two pixels of each are its number, so that it can be told apart."""
    labels = torch.arange(len(per_class)).repeat_interleave(torch.tensor(per_class))
    number = first + torch.arange(len(labels))
    pixels = torch.stack([number // 256, number % 256, torch.full_like(number, 200)], 1).to(torch.uint8)
    return LabelledImages(pixels.reshape(-1, 1, 1, 3), labels)


def source(train: list[int], test: list[int]) -> ImageSource:
    return ImageSource("numbered", len(train), numbered(train, 0), numbered(test, sum(train)))


def draw(train: list[int], test: list[int] | None = None, **settings) -> DataSet:
    settings = {"train_samples": None, "test_samples": None} | settings
    return drawn(source(train, test or [2] * len(train)), DataConfig(name="images", **settings))


def numbers(split: Split) -> list[int]:
    return [256 * high + low for high, low, _ in split.inputs.flatten(1).tolist()]


def counts(split: Split, classes: int) -> list[int]:
    return torch.bincount(split.labels, minlength=classes).tolist()


def test_everything_is_used_once_where_all_is_asked_for():
    data = draw([30, 40], [5, 6], validation_samples=10)
    assert sorted(numbers(data.train) + numbers(data.validation)) == list(range(70))
    assert sorted(numbers(data.test)) == list(range(70, 81))
    assert [len(data.train), len(data.validation)] == [60, 10]


def test_every_image_keeps_its_label():
    data = draw([30, 40], validation_samples=10)
    for split in (data.train, data.validation):
        assert split.labels.tolist() == [int(number >= 30) for number in numbers(split)]


@given(per_class=st.lists(st.integers(1, 30), min_size=1, max_size=6), part=st.floats(0.01, 1), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_classes_are_as_even_as_can_be(per_class, part, seed):
    samples = max(1, int(part * sum(per_class)))
    found = counts(draw(per_class, train_samples=samples, seed=seed).train, len(per_class))
    assert sum(found) == samples
    not_used_up = [own for own, there in zip(found, per_class, strict=True) if own < there]
    assert all(own <= least + 1 for own in found for least in not_used_up)


def test_another_number_of_training_samples_leaves_the_rest_and_the_first_samples_alone():
    few, many = (draw([50] * 4, train_samples=n, validation_samples=20, seed=3) for n in (30, 150))
    assert numbers(few.validation) == numbers(many.validation)
    assert numbers(few.test) == numbers(many.test)
    assert numbers(few.train) == numbers(many.train)[:30]
    assert torch.equal(few.normalisation.mean, many.normalisation.mean)


def test_fewer_test_samples_are_the_first_of_all_and_of_every_class():
    few, all_of_them = (draw([2, 2], [500, 500], test_samples=n) for n in (100, None))
    assert numbers(few.test) == numbers(all_of_them.test)[:100]
    assert min(counts(few.test, 2)) > 25


def test_the_seed_decides_and_the_global_generator_is_left_alone():
    state = torch.random.get_rng_state()
    first, again, other = (numbers(draw([40, 40], train_samples=20, seed=seed).train) for seed in (1, 1, 2))
    assert first == again != other
    assert torch.equal(torch.random.get_rng_state(), state)


def test_the_normalisation_is_that_of_the_whole_training_part():
    data = draw([40, 40], train_samples=3, validation_samples=5)
    assert torch.equal(data.normalisation.std, Normalisation.of(source([40, 40], [1, 1]).train.images).std)


def test_classes_take_turns_in_the_order_given():
    assert interleaved(torch.tensor([2, 2, 0, 2, 0, 1])).tolist() == [0, 2, 5, 1, 4, 3]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train_samples": 19, "validation_samples": 2}, "at most 20 samples together.*got 19 for .* and 2 for"),
        ({"validation_samples": 20}, "got all other for training and 20"),
        ({"test_samples": 5}, "at most 4 samples.*got 5"),
    ],
)
def test_more_samples_than_there_are_are_refused(settings, message):
    with pytest.raises(StudyError, match=message):
        draw([10, 10], **settings)
