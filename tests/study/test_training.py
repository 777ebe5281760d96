"""Training: against a hand-written step, resumed against undisturbed, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from transect.errors import StudyError
from transect.study.config import TrainConfig
from transect.study.data.dataset import Split
from transect.study.models import build_model
from transect.study.training import epoch_order, make_optimizer, train, train_epoch


def quiet(stage, step, steps):
    pass


def samples(count=50, shape=(40,)) -> Split:
    generator = torch.Generator().manual_seed(0)
    inputs, labels = torch.randn(count, *shape, generator=generator), torch.randint(10, (count,), generator=generator)
    return Split(inputs, labels, labels, torch.empty(0, dtype=torch.int64))


def trained(folder, config, report=quiet, name="mlp", batch_norm=False, order_seed=3):
    split = samples()
    model = build_model(name, 6, (40,), 10, seed=1, batch_norm=batch_norm)
    train(model, split, config, order_seed, folder / "c.safetensors", report)
    return model.state_dict()


def equal(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def test_sgd_with_momentum_is_the_textbook_update():
    """v <- m v + g, w <- w - lr v, with the gradient of softmax regression written out."""
    split, config = samples(12), TrainConfig(learning_rate=0.1, momentum=0.9, batch_size=5)
    model = torch.nn.Linear(40, 10, bias=False).double()
    weight = model.weight.detach().numpy().copy()
    velocity = np.zeros_like(weight)
    optimizer = make_optimizer(model, config)
    for _ in range(2):
        train_epoch(model, optimizer, split.inputs.double(), split.labels, config.batch_size)
        for begin in (0, 5, 10):
            x, y = split.inputs.double().numpy()[begin : begin + 5], split.labels.numpy()[begin : begin + 5]
            p = np.exp(x @ weight.T)
            p /= p.sum(1, keepdims=True)
            velocity = 0.9 * velocity + (p - np.eye(10)[y]).T @ x / len(x)
            weight -= 0.1 * velocity
    np.testing.assert_allclose(model.weight.detach().numpy(), weight, rtol=1e-10, atol=1e-13)


class Killed(Exception):
    """Stands for the death of the process."""


def kill_after(epoch):
    def report(stage, step, steps):
        if step == epoch:
            raise Killed

    return report


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize(("name", "batch_norm"), [("mlp", False), ("mlp", True), ("cnn1d", True)])
def test_a_killed_training_goes_on_with_the_same_bits(tmp_path, optimizer, name, batch_norm):
    config = TrainConfig(optimizer=optimizer, learning_rate=0.05, batch_size=20, epochs=7, checkpoint_every=2)
    (tmp_path / "undisturbed").mkdir()
    whole = trained(tmp_path / "undisturbed", config, name=name, batch_norm=batch_norm)
    for epoch in (1, 5):  # before the first checkpoint, and one epoch after the second
        with pytest.raises(Killed):
            trained(tmp_path, config, kill_after(epoch), name, batch_norm)
    epochs = []
    resumed = trained(tmp_path, config, lambda _stage, step, _steps: epochs.append(step), name, batch_norm)
    assert epochs == [5, 6, 7]
    assert equal(resumed, whole)
    again = trained(tmp_path, config, kill_after(1), name, batch_norm)  # nothing is left to do
    assert equal(again, whole)


def test_the_seed_of_the_order_matters_and_the_global_generator_does_not(tmp_path):
    config = TrainConfig(epochs=2, batch_size=20)
    results = []
    for index, (order_seed, global_seed) in enumerate([(3, 0), (3, 1), (4, 0)]):
        torch.manual_seed(global_seed)
        (tmp_path / str(index)).mkdir()
        results.append(trained(tmp_path / str(index), config, order_seed=order_seed))
    assert equal(results[0], results[1])
    assert not equal(results[0], results[2])


def test_the_order_of_an_epoch_is_a_permutation_of_its_own():
    orders = [epoch_order(100, seed, epoch) for seed in (0, 1) for epoch in (0, 1)]
    assert all(torch.equal(order.sort().values, torch.arange(100)) for order in orders)
    assert len({tuple(order.tolist()) for order in orders}) == 4


def test_training_learns(tmp_path):
    losses = []
    split = samples(30)
    model = build_model("mlp", 60, (40,), 10, seed=0)
    train(model, split, TrainConfig(learning_rate=0.1, epochs=60, batch_size=10), 0, tmp_path / "c", quiet)
    losses.append(torch.nn.functional.cross_entropy(model(split.inputs), split.labels).item())
    assert losses[0] < 0.05  # chance is log 10


@pytest.mark.parametrize("batch_size", [10, 50])  # with one step an epoch only the weights of the first one are bad
def test_divergence_is_reported_and_not_saved(tmp_path, batch_size):
    config = TrainConfig(learning_rate=1e39, epochs=1, batch_size=batch_size, checkpoint_every=1)
    with pytest.raises(StudyError, match=r"expected a finite training loss.* in epoch 1 of 1; choose a smaller"):
        trained(tmp_path, config)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", [lambda content: content[:200], lambda content: b""])
def test_a_damaged_checkpoint_says_what_to_do(tmp_path, damage):
    config = TrainConfig(epochs=2)
    trained(tmp_path, config)
    path = tmp_path / "c.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(StudyError, match="delete it to train from the start"):
        trained(tmp_path, config)


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    trained(tmp_path, TrainConfig(epochs=1))
    with pytest.raises(StudyError, match="cannot go on"):
        trained(tmp_path, TrainConfig(epochs=2), name="cnn1d")
