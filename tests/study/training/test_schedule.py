"""Learning rates, against hand values and PyTorch's own schedulers."""

from __future__ import annotations

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, MultiStepLR

from transect.errors import StudyError
from transect.study.config import TrainConfig
from transect.study.training.steps import learning_rate, refuse_useless_milestones

PAPER = TrainConfig(learning_rate=0.1, schedule="step", milestones=(150, 225), decay=0.2, epochs=300)


def test_the_rates_of_the_paper():
    assert [learning_rate(PAPER, epoch) for epoch in (0, 149, 150, 224, 225, 299)] == pytest.approx(
        [0.1, 0.1, 0.02, 0.02, 0.004, 0.004]
    )


def test_a_constant_rate_is_exactly_the_one_given():
    assert {learning_rate(TrainConfig(learning_rate=0.1), epoch) for epoch in range(500)} == {0.1}


def test_a_cosine_is_at_half_in_the_middle_and_falls():
    config = TrainConfig(learning_rate=0.4, schedule="cosine", epochs=10)
    rates = [learning_rate(config, epoch) for epoch in range(11)]
    assert (rates[0], rates[5], rates[10]) == pytest.approx((0.4, 0.2, 0.0))
    assert rates == sorted(rates, reverse=True)


@pytest.mark.parametrize(
    ("config", "make"),
    [
        (PAPER, lambda optimizer: MultiStepLR(optimizer, [150, 225], 0.2)),
        (TrainConfig(learning_rate=0.1, schedule="cosine", epochs=300), lambda one: CosineAnnealingLR(one, 300)),
    ],
)
def test_rates_are_those_of_the_schedulers_of_pytorch(config, make):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.1)
    scheduler = make(optimizer)
    for epoch in range(300):
        assert learning_rate(config, epoch) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9, abs=1e-12)
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize(("schedule", "milestones"), [("step", ()), ("constant", (3,)), ("cosine", (3,))])
def test_milestones_without_effect_are_refused(schedule, milestones):
    with pytest.raises(StudyError, match="milestones"):
        refuse_useless_milestones(TrainConfig(schedule=schedule, milestones=milestones))
