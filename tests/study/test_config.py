"""Configurations: frozen, checked, hashed."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from transect.errors import StudyError
from transect.study.config import RunKey, StudyConfig
from transect.study.presets import demo_study

PLAIN = {"widths": [9, 16], "seeds": [0, 1], "train": {"epochs": 3}}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"widht": [3]}, "'widths'"),
        ({"train": {"epoch": 3}}, r"train: unknown key 'epoch': did you mean 'epochs'\?"),
        ({"data": {"xyz": 3}}, "valid keys are name, train_samples"),
        ({"train": {"epochs": 0}}, "train.epochs: .*got 0"),
        ({"data": {"label_noise": 1.2}}, "label_noise"),
        ({"model": {"name": "mpl"}}, "model.name: .*'mlp'.*got 'mpl'"),
        ({"widths": []}, "widths"),
        ({"seeds": [1, 1]}, "every value once"),
    ],
)
def test_wrong_settings_are_named(given, said):
    with pytest.raises(StudyError, match=said):
        StudyConfig.parse(PLAIN | given)


def test_all_problems_are_listed_at_once():
    with pytest.raises(StudyError) as caught:
        StudyConfig.parse({"widths": [0], "data": {"seed": -1}, "train": {"lerning_rate": 1}})
    assert all(word in str(caught.value) for word in ["widths.0", "data.seed", "'learning_rate'"])


def test_it_is_frozen():
    with pytest.raises(ValidationError):
        StudyConfig.parse(PLAIN).widths = (1,)


def test_runs_are_all_pairs_in_order():
    config = StudyConfig(widths=(16, 9), seeds=(1, 0))
    assert config.runs() == (RunKey(9, 0), RunKey(9, 1), RunKey(16, 0), RunKey(16, 1))


def test_the_hash_is_that_of_what_determines_a_run():
    config = StudyConfig.parse(PLAIN)
    same = [
        {"widths": [3]},
        {"seeds": [7]},
        {"train": {"epochs": 3, "checkpoint_every": 1}},
        {"model": {"name": "mlp"}},
    ]
    other = [
        {"train": {"epochs": 4}},
        {"data": {"noise_seed": 1}},
        {"paths": {"anchors": 4}},
        {"model": {"name": "cnn1d"}},
    ]
    assert {StudyConfig.parse(PLAIN | change).hash() for change in same} == {config.hash()}
    assert len({StudyConfig.parse(PLAIN | change).hash() for change in other} | {config.hash()}) == 5


def test_it_survives_json():
    config = demo_study()
    assert StudyConfig.parse(config.model_dump(mode="json")) == config


def test_the_demo_has_widths_on_both_sides_and_the_seeds_asked_for():
    config = demo_study(seeds=3)
    assert config.seeds == (0, 1, 2)
    assert 8 <= len(config.widths) <= 11
    assert min(config.widths) <= 10
    assert max(config.widths) >= 400
