"""Batches of an epoch: every sample once, in an order and with an augmentation of its own."""

from __future__ import annotations

import torch

from support.training_samples import images, signals
from transect.study.config import TrainConfig
from transect.study.training.steps import batches, epoch_order, seed_of_layers


def joined(data, config, epoch):
    parts = list(batches(data, config, epoch))
    return torch.cat([inputs for inputs, _ in parts]), torch.cat([labels for _, labels in parts]), len(parts)


def test_the_order_of_an_epoch_is_a_permutation_of_its_own():
    orders = [epoch_order(100, seed, epoch) for seed in (0, 1) for epoch in (0, 1)]
    assert all(torch.equal(order.sort().values, torch.arange(100)) for order in orders)
    assert len({tuple(order.tolist()) for order in orders}) == 4


def test_batches_are_the_samples_in_that_order():
    data, config = signals(50), TrainConfig(batch_size=20, seed=3)
    inputs, labels, count = joined(data, config, 5)
    order = epoch_order(50, 3, 5)
    assert count == 3
    assert torch.equal(inputs, data.train.inputs[order])
    assert torch.equal(labels, data.train.labels[order])


def test_images_are_prepared():
    data = images()
    inputs, _, _ = joined(data, TrainConfig(), 0)
    torch.testing.assert_close(inputs.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(inputs.std((0, 2, 3), correction=0), torch.ones(3), atol=1e-5, rtol=0)


def test_flips_depend_on_seed_and_epoch_and_are_those_of_the_samples():
    data = images()
    order = epoch_order(40, 0, 0)
    plain = data.prepare(data.train.inputs[order])
    inputs, labels, _ = joined(data, TrainConfig(flip=True, batch_size=7), 0)
    again, _, _ = joined(data, TrainConfig(flip=True, batch_size=7), 0)
    as_they_are = (inputs == plain).flatten(1).all(1)
    mirrored = (inputs == plain.flip(3)).flatten(1).all(1)
    assert torch.equal(inputs, again)
    assert torch.equal(as_they_are, ~mirrored)
    assert 8 < mirrored.sum() < 32  # 20 expected, standard deviation 3.2
    assert torch.equal(labels, data.train.labels[order])
    chosen = []
    for seed, epoch in [(0, 0), (0, 1), (1, 0)]:
        rows = epoch_order(40, seed, epoch)
        flipped, _, _ = joined(data, TrainConfig(flip=True, seed=seed), epoch)
        which = torch.empty(40, dtype=torch.bool)
        which[rows] = (flipped != data.prepare(data.train.inputs[rows])).flatten(1).any(1)
        chosen.append(tuple(which.tolist()))
    assert len(set(chosen)) == 3


def test_what_a_network_draws_has_a_seed_for_each_epoch():
    seeds = [seed_of_layers(TrainConfig(seed=seed), epoch) for seed in (0, 1) for epoch in (0, 1, 2)]
    assert len(set(seeds)) == 6
    assert all(0 <= seed < 2**63 for seed in seeds)
