"""What a study says before it runs: settings that would do nothing are refused, those that were defaulted are named."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from transect.errors import StudyError
from transect.study.config import MeasuringConfig, NetworkConfig, StudyConfig
from transect.study.models import check_model
from transect.study.naming import SECTIONS, differing, flat, said
from transect.study.sections import SETTINGS_OF_DATA, SETTINGS_OF_KIND
from transect.study.training.steps import refuse_useless_milestones

Flat = Mapping[str, Any]


@dataclass(frozen=True)
class Setting:
    """A setting of a study, resolved.

    Attributes:
        name: Its full name, such as ``train.learning_rate``.
        values: The values that it has in the study, in their order.
        asked: Whether the study gives it; else the value is the default.
    """

    name: str
    values: tuple[Any, ...]
    asked: bool

    def __str__(self) -> str:
        values = [_WITHOUT.get(self.name, "none") if value in (None, "", (), []) else value for value in self.values]
        return f"{self.name.partition('.')[2]} {', '.join(str(value) for value in values)}"


def resolved_settings(config: StudyConfig) -> tuple[Setting, ...]:
    """Every setting that has a say in a study, asked for or not, with the values that it has there.

    Those that have none are left out: ``milestones`` of a constant learning rate, ``radius`` of straight lines, the
    training of networks that come from files.
    """
    values: dict[str, list[Any]] = {}
    for part in (config.networks(), config.measurings()):
        for settings in _distinct(part):
            for name, value in settings.items():
                if name.startswith("model.arguments.") or name not in _WHERE or _WHERE[name](settings):
                    known = values.setdefault(name, [])
                    known += [value] if value not in known else []
    asked = set(config.asked)
    return tuple(
        Setting(name, tuple(found), name in asked or name.startswith("model.arguments."))
        for name, found in values.items()
    )


def useless_settings(config: StudyConfig) -> list[str]:
    """Settings that are given though they have no say where they stand: nothing would differ without them."""
    used = {setting.name: setting.values for setting in resolved_settings(config)}
    found = set()
    for part in (config.networks(), config.measurings()):
        for settings in _distinct(part):
            for name in (name for name, has_say in _WHERE.items() if name in settings and not has_say(settings)):
                asked = name in config.asked and name not in used and settings[name] not in (None, False, [])
                if asked or settings[name] not in (None, _DEFAULTS[name], *used.get(name, ())):
                    found.add(name)
    return sorted(found)


def defaults_said(config: StudyConfig) -> str:
    """The settings that were not asked for, with their values: a line for each section, below one that says so.

    Empty where all were asked for.
    """
    lines: dict[str, list[str]] = {}
    for setting in resolved_settings(config):
        if not setting.asked:
            lines.setdefault(setting.name.partition(".")[0], []).append(str(setting))
    said = [f"  {section}: {'; '.join(found)}" for section, found in lines.items()]
    return "\n".join(["Not asked for, so by default:", *said]) if said else ""


def _distinct(parts: Iterable[NetworkConfig | MeasuringConfig]) -> Iterable[Flat]:
    return (flat(part.model_dump(mode="json")) for part in parts)


_DEFAULTS = flat({name: section().model_dump(mode="json") for name, section in SECTIONS.items()})
_WITHOUT = {
    "data.train_samples": "all",
    "data.test_samples": "all",
    "data.image_size": "as they are",
    "train.order_seed": "that of seed",
    "measures.first_paths": "all",
    "measures.max_samples": "as many as it takes",
}
"""What stands where a setting has no value."""


def _trained(of: Flat) -> bool:
    return of["model.checkpoint"] is None


def _of_some(named: str, table: Mapping[Any, Sequence[str]]) -> dict[str, Callable[[Flat], bool]]:
    """The settings that have a say with some values only of the setting ``named`` of their section."""

    def has_say(setting: str) -> Callable[[Flat], bool]:
        values = {value for value, settings in table.items() if setting in settings}
        return lambda of: of[named] in values

    section = named.partition(".")[0]
    return {f"{section}.{setting}": has_say(setting) for settings in table.values() for setting in settings}


_IN_TRAINING = (
    *("optimizer", "learning_rate", "weight_decay", "schedule", "batch_size", "epochs", "stop_error", "crop", "flip"),
    *("precision", "tensorboard", "evaluate_every", "checkpoint_every", "seed", "order_seed"),
)
_WHERE: Mapping[str, Callable[[Flat], bool]] = MappingProxyType(
    {f"train.{name}": _trained for name in _IN_TRAINING}
    | _of_some("data.name", SETTINGS_OF_DATA)
    | _of_some("paths.kind", SETTINGS_OF_KIND)
    | {
        "data.noise_seed": lambda of: of["data.label_noise"] > 0,
        "model.width": lambda of: of["model.width"] is not None,
        "model.batch_norm": lambda of: of["model.batch_norm"] is not None,
        "model.checkpoint": lambda of: not _trained(of),
        "train.momentum": lambda of: _trained(of) and of["train.optimizer"] == "sgd",
        "train.milestones": lambda of: _trained(of) and of["train.schedule"] == "step",
        "train.decay": lambda of: _trained(of) and of["train.schedule"] == "step",
        "paths.arguments": lambda of: ":" in of["paths.kind"],
        "measures.own": lambda of: bool(of["measures.own"]),
        "measures.rtol": lambda of: of["measures.method"] == "estimate",
        "measures.max_samples": lambda of: of["measures.method"] == "estimate",
        "measures.dtype": lambda of: of["measures.method"] == "exact",
        "measures.upper_bound_integral": lambda of: of["measures.method"] == "exact",
        "measures.drop_last_region": lambda of: of["measures.method"] == "exact",
    }
)
"""Where a setting has a say; one that is not here has it everywhere."""


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
        if how.method == "estimate" and how.own:
            raise StudyError(
                'measures: own ones need every region; expected method = "exact" with them, got "estimate"'
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
