"""The learning curve: its numbers, and its logs for TensorBoard."""

from __future__ import annotations

import sys

import pytest
from torch import nn

from support.training_samples import Killed, fresh, killed_after, quiet, signals
from transect.errors import MissingDependency
from transect.study.config import TrainConfig
from transect.study.training.evaluation import LEARNING_CURVE_SCHEMA, evaluate, learning_curve_file
from transect.study.training.training import train
from transect.tables.files import read_table


def trained(folder, config, report=quiet, validation=30):
    data = signals(50, validation)
    model = fresh("mlp", data, batch_norm=True)
    ended = train(model, data, config, [], folder, report)
    return data, model, ended, read_table(learning_curve_file(folder), LEARNING_CURVE_SCHEMA).to_pylist()


def test_a_row_an_epoch_and_errors_where_they_are_asked_for(tmp_path):
    config = TrainConfig(epochs=5, evaluate_every=2, schedule="step", milestones=(3,), learning_rate=0.1)
    data, model, ended, rows = trained(tmp_path, config)
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4, 5]
    assert [row["learning_rate"] for row in rows] == pytest.approx([0.1, 0.1, 0.1, 0.02, 0.02])
    for column in ("validation_error", "test_error"):
        assert [row[column] is not None for row in rows] == [False, True, False, True, True]
    assert rows[-1]["test_error"] == evaluate(model, data.test).error
    assert rows[-1]["validation_error"] == evaluate(model, data.validation).error
    assert sum(row["seconds"] for row in rows) == pytest.approx(ended.seconds)
    assert ended.seconds > 0


def test_a_part_without_samples_has_no_error(tmp_path):
    _, _, _, rows = trained(tmp_path, TrainConfig(epochs=2, evaluate_every=1), validation=0)
    assert [row["validation_error"] for row in rows] == [None, None]
    assert None not in [row["test_error"] for row in rows]


def test_train_loss_and_error_are_those_of_the_samples_as_they_were_met(tmp_path):
    """With a single batch an epoch, they are those of the network before its step."""
    data, model = signals(), fresh("mlp", signals())
    before = model(data.train.inputs)
    train(model, data, TrainConfig(epochs=1, batch_size=50), [], tmp_path, quiet)
    (row,) = read_table(learning_curve_file(tmp_path), LEARNING_CURVE_SCHEMA).to_pylist()
    assert row["train_loss"] == pytest.approx(nn.functional.cross_entropy(before, data.train.labels).item())
    assert row["train_error"] == (before.argmax(1) != data.train.labels).double().mean().item()


def test_the_curve_of_a_killed_training_ends_with_its_checkpoint(tmp_path):
    with pytest.raises(Killed):
        trained(tmp_path, TrainConfig(epochs=9, checkpoint_every=3), killed_after(5))
    rows = read_table(learning_curve_file(tmp_path), LEARNING_CURVE_SCHEMA).to_pylist()
    assert [row["epoch"] for row in rows] == [1, 2, 3]


def logged(folder) -> dict[str, dict[int, float]]:
    """Step to value of every tag, as TensorBoard itself reads them."""
    accumulation = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    accumulator = accumulation.EventAccumulator(str(folder / "tensorboard"), purge_orphaned_data=True)
    accumulator.Reload()
    found = {}
    for tag in accumulator.Tags()["scalars"]:
        steps = [event.step for event in accumulator.Scalars(tag)]
        assert len(set(steps)) == len(steps)
        found[tag] = {event.step: event.value for event in accumulator.Scalars(tag)}
    return found


def test_tensorboard_shows_the_learning_curve_also_of_a_resumed_training(tmp_path):
    pytest.importorskip("tensorboard")
    config = TrainConfig(epochs=6, checkpoint_every=2, evaluate_every=3, tensorboard=True)
    with pytest.raises(Killed):
        trained(tmp_path, config, killed_after(5))
    _, _, _, rows = trained(tmp_path, config)
    tags = {
        "learning_rate": "learning_rate",
        "loss/train": "train_loss",
        "error/train": "train_error",
        "error/validation": "validation_error",
        "error/test": "test_error",
    }
    found = logged(tmp_path)
    assert found.keys() == tags.keys()
    for tag, column in tags.items():
        assert found[tag] == pytest.approx({row["epoch"]: row[column] for row in rows if row[column] is not None})


def test_tensorboard_that_is_not_installed_is_asked_for_before_training(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingDependency, match=r"pip install .transect\[tensorboard"):
        trained(tmp_path, TrainConfig(epochs=1, tensorboard=True))
    assert list(tmp_path.iterdir()) == []
