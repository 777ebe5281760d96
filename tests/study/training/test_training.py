"""Training: against loops of plain PyTorch, and resumed against undisturbed, bit for bit."""

from __future__ import annotations

import pytest
import safetensors.torch
import torch
from torch import nn

from support.training_samples import Killed, fresh, images, killed_after, quiet, same_weights, signals
from transect.errors import StudyError
from transect.study.config import TrainConfig
from transect.study.training.checkpoint import checkpoint_file, snapshot_file
from transect.study.training.evaluation import LEARNING_CURVE_SCHEMA, evaluate, learning_curve_file
from transect.study.training.steps import epoch_order
from transect.study.training.training import train
from transect.tables.files import read_table


def curve(folder) -> list[dict]:
    """The learning curve, but for how long it took."""
    rows = read_table(learning_curve_file(folder), LEARNING_CURVE_SCHEMA).to_pylist()
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


@pytest.mark.parametrize(("name", "batch_norm"), [("resnet18", True), ("cnn5", False), ("mlp", True)])
def test_a_training_is_the_plain_loop(tmp_path, name, batch_norm):
    """Written out with another optimizer implementation, and convolutions in their ordinary layout."""
    data, model, twin = images(), *(fresh(name, images(), batch_norm=batch_norm) for _ in range(2))
    config = TrainConfig(learning_rate=0.02, batch_size=16, epochs=2, weight_decay=1e-3, order_seed=7)
    train(model, data, config, [], tmp_path, quiet)
    optimizer = torch.optim.SGD(twin.parameters(), 0.02, momentum=0.9, weight_decay=1e-3, foreach=False, fused=False)
    pixels = (data.train.inputs.double() / 255 - data.normalisation.mean.reshape(3, 1, 1)) / (
        data.normalisation.std.reshape(3, 1, 1)
    )
    for epoch in range(2):
        for rows in epoch_order(40, 7, epoch).split(16):
            optimizer.zero_grad()
            nn.functional.cross_entropy(twin(pixels[rows].float()), data.train.labels[rows]).backward()
            optimizer.step()
    for (key, ours), theirs in zip(model.state_dict().items(), twin.state_dict().values()):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4, msg=key)
        assert ours.is_contiguous()


CASES = {
    "sgd": ("mlp", False, {}),
    "no momentum": ("mlp", False, {"momentum": 0.0}),
    "adam": ("mlp", False, {"optimizer": "adam"}),
    "batch norm": ("mlp", True, {}),
    "adam, batch norm": ("cnn1d", True, {"optimizer": "adam"}),
    "steps": ("mlp", True, {"schedule": "step", "milestones": (2, 5), "weight_decay": 0.01}),
    "cosine": ("cnn1d", False, {"schedule": "cosine", "evaluate_every": 2}),
    "resnet": ("resnet18", True, {"crop": 1, "flip": True, "weight_decay": 0.01}),
    "resnet, adam": ("resnet18", False, {"crop": 1, "flip": True, "optimizer": "adam", "schedule": "cosine"}),
    "bfloat16": ("cnn5", False, {"flip": True, "precision": "bfloat16"}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_killed_training_goes_on_with_the_same_bits(tmp_path, case):
    name, batch_norm, settings = CASES[case]
    config = TrainConfig(learning_rate=0.02, batch_size=20, epochs=7, checkpoint_every=2, **settings)
    data = signals() if name in ("mlp", "cnn1d") else images()
    whole = fresh(name, data, batch_norm=batch_norm)
    train(whole, data, config, [3, 5], tmp_path / "undisturbed", quiet)
    folder = tmp_path / "killed"
    for epoch in (1, 5):  # before the first checkpoint, and one epoch after the second
        with pytest.raises(Killed):
            train(fresh(name, data, batch_norm=batch_norm), data, config, [3, 5], folder, killed_after(epoch))
    epochs, resumed = [], fresh(name, data, batch_norm=batch_norm)
    ended = train(resumed, data, config, [3, 5], folder, lambda _stage, step, _steps: epochs.append(step))
    assert epochs == [5, 6, 7]
    assert same_weights(resumed, whole)
    assert (ended.epochs, ended.stopped_early) == (7, False)
    for epoch in (3, 5, "last"):
        assert snapshot_file(folder, epoch).read_bytes() == snapshot_file(tmp_path / "undisturbed", epoch).read_bytes()
    assert curve(folder) == curve(tmp_path / "undisturbed")
    assert [row["epoch"] for row in curve(folder)] == list(range(1, 8))
    again = fresh(name, data, batch_norm=batch_norm)
    train(again, data, config, [3, 5], folder, killed_after(1))  # nothing is left to do
    assert same_weights(again, whole)


class Dropping(nn.Sequential):
    """Draws random numbers in its forward pass."""

    def __init__(self) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            super().__init__(nn.Linear(40, 20), nn.ReLU(), nn.Dropout(0.5), nn.Linear(20, 10))


def test_dropout_is_the_same_after_a_resumption_whatever_the_global_generator(tmp_path):
    data, config = signals(), TrainConfig(batch_size=20, epochs=4, checkpoint_every=2)
    whole, resumed = Dropping(), Dropping()
    torch.manual_seed(1)
    train(whole, data, config, [], tmp_path / "whole", quiet)
    torch.manual_seed(2)
    before = torch.random.get_rng_state()
    with pytest.raises(Killed):
        train(Dropping(), data, config, [], tmp_path / "killed", killed_after(3))
    train(resumed, data, config, [], tmp_path / "killed", quiet)
    assert same_weights(resumed, whole)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_seeds_of_order_and_weights_are_apart(tmp_path):
    data, results = signals(), []
    for index, (seed, order_seed) in enumerate([(0, 3), (1, 3), (3, None), (0, 4)]):
        model = fresh("mlp", data)
        train(model, data, TrainConfig(epochs=2, seed=seed, order_seed=order_seed), [], tmp_path / str(index), quiet)
        results.append(model)
    assert same_weights(results[0], results[1])
    assert same_weights(results[0], results[2])
    assert not same_weights(results[0], results[3])


def test_an_early_stop_is_confirmed_and_resumes_as_stopped(tmp_path):
    """Softer targets first: the training error, measured after each epoch, first passes the limit where it stops."""
    data, model = signals(30), fresh("mlp", signals(30), width=60)
    config = TrainConfig(learning_rate=0.1, epochs=200, batch_size=10, stop_error=0.1, checkpoint_every=1000)
    errors = []

    def report(stage, step, steps):
        errors.append(evaluate(model, data.train).error)

    ended = train(model, data, config, [2, 150], tmp_path, report)
    rows = curve(tmp_path)
    assert ended.stopped_early
    assert 2 < ended.epochs == len(errors) == len(rows) < 150
    passed = [row["train_error"] <= 0.1 and error <= 0.1 for row, error in zip(rows, errors, strict=True)]
    assert passed == [False] * (len(rows) - 1) + [True]
    assert [row["test_error"] is None for row in rows] == [True] * (len(rows) - 1) + [False]
    kept = {epoch: safetensors.torch.load_file(snapshot_file(tmp_path, epoch)) for epoch in (2, 150, "last")}
    assert all(torch.equal(value, kept["last"][name]) for name, value in kept[150].items())
    assert not torch.equal(kept[2]["head.weight"], kept["last"]["head.weight"])
    again = fresh("mlp", data, width=60)
    assert train(again, data, config, [2, 150], tmp_path, killed_after(1)) == ended
    assert same_weights(again, model)


def test_snapshots_are_the_weights_after_an_epoch(tmp_path):
    data, long, short = signals(), fresh("mlp", signals(), batch_norm=True), fresh("mlp", signals(), batch_norm=True)
    train(long, data, TrainConfig(epochs=6), [2], tmp_path / "long", quiet)
    train(short, data, TrainConfig(epochs=2), [2], tmp_path / "short", quiet)
    found = safetensors.torch.load_file(snapshot_file(tmp_path / "long", 2))
    assert all(torch.equal(value, found[name]) for name, value in short.state_dict().items())
    last = safetensors.torch.load_file(snapshot_file(tmp_path / "long", "last"))
    assert all(torch.equal(value, last[name]) for name, value in long.state_dict().items())


def test_a_checkpoint_that_has_passed_an_epoch_to_keep_is_not_used(tmp_path):
    data, config = signals(), TrainConfig(epochs=4, checkpoint_every=1)
    once, again, epochs = fresh("mlp", data), fresh("mlp", data), []
    train(once, data, config, [], tmp_path, quiet)
    train(again, data, config, [3], tmp_path, lambda _stage, step, _steps: epochs.append(step))
    assert epochs == [1, 2, 3, 4]
    assert same_weights(once, again)
    assert snapshot_file(tmp_path, 3).exists()


def test_weights_that_are_shared_are_kept_under_each_name(tmp_path):
    data, model = signals(shape=(10,)), nn.Sequential(nn.Linear(10, 10), nn.ReLU(), nn.Linear(10, 10))
    model[2].weight = model[0].weight
    with pytest.raises(Killed):
        train(model, data, TrainConfig(epochs=3, checkpoint_every=1), [], tmp_path, killed_after(2))
    train(model, data, TrainConfig(epochs=3, checkpoint_every=1), [], tmp_path, quiet)
    found = safetensors.torch.load_file(snapshot_file(tmp_path, "last"))
    assert torch.equal(found["0.weight"], found["2.weight"])


@pytest.mark.parametrize("batch_size", [10, 50])  # with one step an epoch only the weights of the first one are bad
def test_divergence_is_reported_and_not_saved(tmp_path, batch_size):
    config = TrainConfig(learning_rate=1e39, epochs=1, batch_size=batch_size, checkpoint_every=1)
    data, model = signals(), fresh("mlp", signals())
    with pytest.raises(StudyError, match=r"expected a finite training loss.* in epoch 1 of 1; choose a smaller"):
        train(model, data, config, [1], tmp_path, quiet)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", [lambda content: content[:200], lambda content: b""])
def test_a_damaged_checkpoint_says_what_to_do(tmp_path, damage):
    data = signals()
    train(fresh("mlp", data), data, TrainConfig(epochs=2), [], tmp_path, quiet)
    path = checkpoint_file(tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(StudyError, match="delete it to train from the start"):
        train(fresh("mlp", data), data, TrainConfig(epochs=2), [], tmp_path, quiet)


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    data = signals()
    train(fresh("mlp", data), data, TrainConfig(epochs=1), [], tmp_path, quiet)
    with pytest.raises(StudyError, match="cannot go on"):
        train(fresh("cnn1d", data), data, TrainConfig(epochs=2), [], tmp_path, quiet)


class Pair(nn.Linear):
    """Gives two tensors, in training mode only."""

    def forward(self, x):
        """The logits, and the inputs."""
        return (super().forward(x), x) if self.training else super().forward(x)


@pytest.mark.parametrize(
    ("settings", "keep", "said"),
    [
        ({"epochs": 3}, [2, 4], "between 1 and the 3 of the training, got 4"),
        ({"epochs": 3}, [0], "got 0"),
        ({"crop": 2}, [], r"for images.*inputs of noise have the shape \(50, 40\)"),
        ({"flip": True}, [], "set crop = 0 and flip = false"),
        ({"schedule": "step"}, [], r"there are no train\.milestones: list the epochs"),
        ({"milestones": (3,)}, [], "no effect on the constant schedule"),
        ({"precision": "tf32"}, [], "tf32, which only CUDA devices have"),
        ({"epochs": 1}, [], "expected the model to give logits, got a value of type tuple"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(tmp_path, settings, keep, said):
    with pytest.raises(StudyError, match=said):
        train(Pair(40, 10), signals(), TrainConfig(**settings), keep, tmp_path, quiet)
    assert list(tmp_path.iterdir()) == []
