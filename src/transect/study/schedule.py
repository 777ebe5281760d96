"""The learning rate as a function of the epoch alone: a training that goes on needs no state of a schedule."""

from __future__ import annotations

import math

from transect.errors import StudyError
from transect.study.config import TrainConfig


def learning_rate(config: TrainConfig, epoch: int) -> float:
    """The learning rate during an epoch; it is the same for all of its steps.

    Constant: the initial rate. Step: times ``decay`` for every milestone that is not after ``epoch``, so that the
    first epoch with the smaller rate is the one before which ``milestone`` epochs are done. Cosine:
    ``(1 + cos(pi epoch / epochs)) / 2`` of the initial rate (Loshchilov and Hutter, 2017, without restarts), which
    would be zero after the last epoch.

    Args:
        config: The schedule, its initial rate and, for cosine, the number of epochs.
        epoch: How many epochs are done; 0 for the first one.
    """
    if config.schedule == "step":
        return config.learning_rate * config.decay ** sum(milestone <= epoch for milestone in config.milestones)
    if config.schedule == "cosine":
        return config.learning_rate * (1 + math.cos(math.pi * epoch / config.epochs)) / 2
    return config.learning_rate


def refuse_useless_milestones(config: TrainConfig) -> None:
    """Make sure that milestones are there if and only if the schedule looks at them.

    Raises:
        StudyError: If a step schedule has none, or another schedule has some.
    """
    if config.schedule == "step" and not config.milestones:
        raise StudyError(
            "train.schedule is step, but there are no train.milestones: list the epochs, such as [150, 225]"
        )
    if config.schedule != "step" and config.milestones:
        raise StudyError(
            f"train.milestones have no effect on the {config.schedule} schedule; leave them out, or set "
            'train.schedule = "step"'
        )
