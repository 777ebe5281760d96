"""Combinations of settings that are each right, but not together."""

from __future__ import annotations

from transect.errors import StudyError
from transect.study.config import NetworkConfig, StudyConfig
from transect.study.defaults import useless_settings
from transect.study.models import check_model
from transect.study.naming import differing, said
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
    for model in config.model:
        check_model(model)
    _refuse_same_networks(config)
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
    _refuse_training_of_files(config)
    if useless := useless_settings(config):
        raise StudyError(f"{useless[0]}: it has no say here, beside what else the study asks for; leave it out")


def _refuse_training_of_files(config: StudyConfig) -> None:
    """Settings of training would describe a network from a file wrongly."""
    useless = sorted(key for key in config.asked if key.startswith("train.") and key != "train.device")
    if useless and config.model and all(model.checkpoint is not None for model in config.model):
        raise StudyError(
            f"{useless[0]}: all networks come from files (model.checkpoint), which are not trained; leave it out"
        )


def _refuse_same_networks(config: StudyConfig) -> None:
    """Two that differ only in what does not matter would share a folder, and be two rows of one thing."""
    networks: dict[str, NetworkConfig] = {}
    for network in config.networks():
        other = networks.setdefault(network.hash(), network)
        if other is not network:
            one, two = differing([other.model_dump(mode="json"), network.model_dump(mode="json")])
            raise StudyError(
                f"two networks of the study are the same: they differ only in {said(one)} and {said(two)}, which gives "
                "the same network; expected one of them"
            )
    if len({way.hash() for way in config.measurings()}) < len(config.measurings()):
        raise StudyError("ways: expected every way of measuring once, two of them are the same")
