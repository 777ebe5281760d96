"""Combinations of settings that are each right, but not together."""

from __future__ import annotations

from transect.errors import StudyError
from transect.study.config import StudyConfig
from transect.study.schedule import refuse_useless_milestones


def check_study(config: StudyConfig) -> None:
    """Refuse combinations of settings that are each right, but not together.

    Raises:
        StudyError: If there are any.
    """
    for how in (one.measures for one in config.measurings()):
        if how.method == "estimate" and (how.upper_bound_integral or how.drop_last_region):
            raise StudyError(
                "measures: upper_bound_integral and drop_last_region need every region; expected method = "
                f'"exact" with them, got {how.method!r}'
            )
    for train in config.train:
        refuse_useless_milestones(train)
    asked = [epoch for epoch in config.epochs() if isinstance(epoch, int)]
    trained = [model for model in config.model if model.checkpoint is None]
    if trained and (late := [epoch for epoch in asked for train in config.train if epoch > train.epochs]):
        raise StudyError(f"measures.epoch: expected epochs up to train.epochs, got {sorted(set(late))}")
    if len(trained) < len(config.model) and (asked or len(config.train) > 1):
        raise StudyError(
            "model.checkpoint: a network from a file is not trained; expected one variant of [train] and "
            f'measures.epoch = "last", got {len(config.train)} variants and the epochs {list(config.epochs())}'
        )
