"""What a study is: a grid of networks, each measured in a grid of ways."""

from __future__ import annotations

import hashlib
import itertools
import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from transect.study.columns import SETTING_OF
from transect.study.naming import ABSENT, SECTIONS, as_cells, differing, said
from transect.study.sections import (
    DataConfig,
    MeasureConfig,
    ModelConfig,
    PathConfig,
    Settings,
    Text,
    TrainConfig,
    canonical_json,
    plain_text,
)
from transect.support.text import is_file_name

LARGEST_GRID = 100_000


def variants(given: Any, lists: Collection[str] = ()) -> Any:
    """Every combination of the values of a section.

    Args:
        given: A mapping in which a list or tuple stands for several values, or a list of such mappings (all their
            variants, one after the other). Anything else, also within the list, is kept as it is.
        lists: Keys whose value is a list, or holds some, itself: for several values of them take a list of lists (or a
            list of mappings).

    Returns:
        A list of mappings with one value each; the last key varies fastest. What is no section is returned as it is,
        for the validation to refuse.

    Raises:
        ValueError: If a list of values is empty.
    """
    if isinstance(given, Mapping):
        return _combinations(given, lists)
    if isinstance(given, list | tuple):
        found: list[Any] = []
        for part in given:
            found += variants(part, lists) if isinstance(part, Mapping) else [part]
            _refuse_too_many(len(found), "variants of a section")
        return found
    return [given] if hasattr(given, "model_dump") else given


def asked_in(given: Mapping[str, Any]) -> list[str]:
    """Full names such as ``"train.seed"`` of the settings that a study gives in every variant of their section.

    Args:
        given: Sections as :func:`variants` takes them, and under ``ways`` mappings from section to those.
    """
    found: dict[str, list[set[str]]] = {}
    parts = [given, *(way for way in given.get("ways") or () if isinstance(way, Mapping))]
    for section, value in ((name, value) for part in parts for name, value in part.items()):
        for one in value if isinstance(value, list | tuple) else [value]:
            keys = one if isinstance(one, Mapping) else getattr(one, "model_fields_set", None)
            if keys is not None:
                found.setdefault(section, []).append(set(keys))
    return sorted(f"{section}.{key}" for section, several in found.items() for key in set.intersection(*several))


def combinations(names: Iterable[str], choices: Sequence[Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """Every combination of the choices for some names; the last one varies fastest.

    Raises:
        ValueError: If there are too many.
    """
    _refuse_too_many(math.prod(map(len, choices)), "variants of a section")
    return (dict(zip(names, values, strict=True)) for values in itertools.product(*choices))


def _refuse_too_many(number: int, what: str) -> None:
    if number > LARGEST_GRID:
        raise ValueError(f"expected at most {LARGEST_GRID} {what}, got {number} or more")


def _twice(values: Iterable[Any]) -> list[Any]:
    """Values that are there again; of mappings nothing is said, which may be equal but for what they leave out."""
    seen: set[Any] = set()
    found = []
    for value in values:
        plain = isinstance(value, bool | int | float | str)  # 1 is 1.0, but neither True nor a text
        key = (isinstance(value, bool), isinstance(value, str), value if plain else repr(value))
        found += [value] if key in seen and not isinstance(value, Mapping) else []
        seen.add(key)
    return found


def _combinations(section: Mapping[str, Any], lists: Collection[str]) -> list[dict[str, Any]]:
    choices = [_choices(key, value, key in lists) for key, value in section.items()]
    return list(combinations(section, choices))


def _choices(key: str, value: Any, is_list: bool) -> list[Any]:
    if not isinstance(value, list | tuple):
        return [value]
    several = not is_list or (bool(value) and all(isinstance(part, list | tuple | Mapping) for part in value))
    if several and not value:
        raise ValueError(f"{key}: expected at least one value in the list, got none")
    if several and (twice := _twice(value)):
        raise ValueError(f"{key}: expected every value of a list once, got {twice[0]!r} twice")
    return list(value) if several else [value]


__all__ = [
    "DataConfig",
    "MeasureConfig",
    "MeasuringConfig",
    "ModelConfig",
    "NetworkConfig",
    "PathConfig",
    "StudyConfig",
    "TrainConfig",
    "short_hash",
]

_DIGITS_OF_HASH, _LONGEST_NAME = 10, 100
NOT_IDENTIFYING: dict[str, set[str] | bool] = {
    "train": {"checkpoint_every", "device", "evaluate_every", "tensorboard"},
    "data": {"folder", "download"},
    "contents": True,
}
"""Settings that do not change which network comes out of a training, or that :meth:`NetworkConfig.identity` treats by
itself."""

LATER = ("paths.arguments", "measures.own")
"""Settings that were added when there were results already. At their defaults they have no part in what a network or a
way of measuring is called, so that what was made before is known as it was."""


class NetworkConfig(Settings):
    """One network of a study: a run. Everything that its training depends on.

    Attributes:
        contents: Digests of what only a name stands for in the settings, :func:`transect.study.identity.identified`.
    """

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()
    contents: dict[str, str] = Field(default_factory=dict)

    @property
    def is_named_only(self) -> bool:
        """Whether the settings say of some part of it only where it lies."""
        return self.data.name == "images" or self.model.checkpoint is not None or self.model.is_users

    def identity(self) -> dict[str, Any]:
        """What determines the network, as plain values: no place of a file whose contents are known."""
        settings = _without_later(self.model_dump(mode="json", exclude=NOT_IDENTIFYING))
        if self.train.device != "cpu":  # it rounds differently
            settings["train"]["device"] = self.train.device
        if self.data.name == "images" and "data" not in self.contents:
            settings["data"]["folder"] = _resolved(self.data.folder)
        if self.model.checkpoint is not None:
            known = "weights" in self.contents
            settings["model"]["checkpoint"] = "" if known else _resolved(self.model.checkpoint)
        return settings | ({"contents": self.contents} if self.contents else {})

    def hash(self) -> str:
        """Short name of :meth:`identity`: equal settings give equal names, on every machine."""
        return short_hash(self.identity())

    def folder(self) -> str:
        """Name of the folder of the run: readable, and its own."""
        model = re.sub(r"[^\w.-]", "-", self.model.name)[:_LONGEST_NAME]
        width = "" if self.model.width is None else f"-width-{self.model.width:04d}"
        return f"{model}{width}-seed-{self.train.seed}-{self.hash()}"


class MeasuringConfig(Settings):
    """One way of measuring every network of a study: paths, and how the function is measured along them.

    Attributes:
        contents: Digests of the code that settings name, :func:`transect.study.identity.identified`.
    """

    paths: PathConfig = PathConfig()
    measures: MeasureConfig = MeasureConfig()
    contents: dict[str, str] = Field(default_factory=dict)

    @property
    def is_named_only(self) -> bool:
        """Whether the settings say of some part of it only where its code is."""
        return self.paths.is_users or bool(self.measures.own)

    def hash(self) -> str:
        """Short name: equal settings give equal names, on every machine."""
        settings = _without_later(self.model_dump(mode="json"))
        if not self.contents:
            del settings["contents"]
        return short_hash(settings)


class StudyConfig(Settings):
    """A study: every network (data x model x train) is trained once, and measured in every way (paths x measures).

    Each section is a tuple of its variants. It is given as a mapping, in which a list stands for several values (a
    setting that is a list itself, such as ``milestones``, takes a list of lists), or as a list of such mappings:

        >>> study = StudyConfig(name="demo", model={"width": [8, 16]}, train={"seed": [0, 1], "epochs": 9})
        >>> len(study.networks()), len(study.measurings())
        (4, 1)

    Attributes:
        name: Labels the rows of its tables.
        title: Of its figures; made from the table where empty.
        ways: Ways of measuring, each with its own ``paths`` and ``measures`` (in which a list is a grid too): in place
            of the grid of those sections, where it would have more than is wanted.
        contents: Of each network, what :func:`transect.study.identity.identified` finds; none before that.
        code: The same of each way of measuring.
        asked: Full names of the settings that were given, in every variant of their section; all others have defaults.
    """

    name: Annotated[Text, Field(max_length=100)] = "study"
    title: Annotated[str, Field(max_length=1000), AfterValidator(plain_text)] = ""
    data: tuple[DataConfig, ...] = (DataConfig(),)
    model: tuple[ModelConfig, ...] = (ModelConfig(),)
    train: tuple[TrainConfig, ...] = (TrainConfig(),)
    paths: tuple[PathConfig, ...] = (PathConfig(),)
    measures: tuple[MeasureConfig, ...] = (MeasureConfig(),)
    ways: tuple[MeasuringConfig, ...] = ()
    contents: tuple[dict[str, str], ...] = ()
    code: tuple[dict[str, str], ...] = ()
    asked: tuple[str, ...] = ()

    @field_validator("name")
    @classmethod
    def _refuse_places(cls, given: str) -> str:
        if not is_file_name(given):
            raise ValueError(f"expected a name that a folder can have, short and without separators, got {given!r}")
        return given

    @model_validator(mode="before")
    @classmethod
    def _note_what_is_asked_for(cls, given: Any) -> Any:
        return given if not isinstance(given, dict) or "asked" in given else given | {"asked": asked_in(given)}

    @model_validator(mode="before")
    @classmethod
    def _refuse_two_grids(cls, given: Any) -> Any:
        both = [name for name in ("paths", "measures") if name in given] if isinstance(given, dict) else []
        if both and given.get("ways") and not all(_is_default(name, given[name]) for name in both):
            raise ValueError(f"ways: they stand in place of [{both[0]}]; expected one or the other")
        return given

    @field_validator("ways", mode="before")
    @classmethod
    def _expand_ways(cls, given: Any) -> Any:
        if not isinstance(given, list | tuple):
            return given
        return [one for way in given for one in (_grid_of(way) if isinstance(way, dict) else [way])]

    @field_validator("data", "model", "train", "paths", "measures", mode="before")
    @classmethod
    def _expand(cls, given: Any, info: Any) -> Any:
        return variants(given, _LISTS.get(info.field_name, frozenset()))

    @field_validator("data", "model", "train", "paths", "measures")
    @classmethod
    def _refuse_repetition(cls, given: tuple[Settings, ...]) -> tuple[Settings, ...]:
        texts = [canonical_json(one.model_dump(mode="json")) for one in given]
        if len(set(texts)) < len(texts):
            raise ValueError("expected every value of a list once: two variants of this section are the same")
        return given

    @model_validator(mode="after")
    def _refuse_absurd_grids(self) -> Self:
        networks, ways = len(self.data) * len(self.model) * len(self.train), len(self.paths) * len(self.measures)
        if max(networks, ways, len(self.ways)) > LARGEST_GRID:
            raise ValueError(
                f"expected at most {LARGEST_GRID} networks and ways of measuring, got {networks} and {ways}"
            )
        if self.contents and len(self.contents) != networks:
            raise ValueError("contents: expected one entry a network")
        if self.code and len(self.code) != (len(self.ways) or ways):
            raise ValueError("code: expected one entry a way of measuring")
        return self

    def networks(self) -> tuple[NetworkConfig, ...]:
        """Every network, in the order of the lists: the last section varies fastest."""
        grid = list(itertools.product(self.data, self.model, self.train))
        contents: Sequence[dict[str, str]] = self.contents or [{}] * len(grid)
        return tuple(
            NetworkConfig(data=data, model=model, train=train, contents=found)
            for (data, model, train), found in zip(grid, contents, strict=True)
        )

    def measurings(self) -> tuple[MeasuringConfig, ...]:
        """Every way of measuring."""
        grid = self.ways or [
            MeasuringConfig(paths=paths, measures=how) for paths in self.paths for how in self.measures
        ]
        code: Sequence[dict[str, str]] = self.code or [{}] * len(grid)
        return tuple(one.model_copy(update={"contents": found}) for one, found in zip(grid, code, strict=True))

    def epochs(self) -> tuple[int | str, ...]:
        """After which epochs networks are measured."""
        return tuple(dict.fromkeys(one.measures.epoch for one in self.measurings()))

    def labels(self) -> Iterator[tuple[NetworkConfig, str]]:
        """Every network with its name for people: the settings in which the study's networks differ."""
        networks = self.networks()
        found = differing([network.model_dump(mode="json") for network in networks])
        for network, values in zip(networks, found, strict=True):
            yield network, said(_applying(values) or _described(network.model))

    def variants(self) -> tuple[str, ...]:
        """Of each network, the differing settings that have no column in tables."""
        found = differing([network.model_dump(mode="json") for network in self.networks()], _COLUMNS)
        return tuple(said(values) for values in found)

    def way_names(self) -> tuple[str, ...]:
        """Of each way of measuring, the differing settings that have no column in tables."""
        found = differing([measuring.model_dump(mode="json") for measuring in self.measurings()], _COLUMNS | _PRECISION)
        return tuple(said(values) for values in found)

    def swept(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Of each network, and of each way of measuring, the differing settings without a column, by full name."""
        networks, ways = (
            differing([one.model_dump(mode="json") for one in several], _COLUMNS)
            for several in (self.networks(), self.measurings())
        )
        return [as_cells(one) for one in networks], [as_cells(one) for one in ways]


_COLUMNS = frozenset(SETTING_OF.values()) | {
    "paths.repeated_normalisation",
    "paths.rolled_closure",
    "measures.upper_bound_integral",
    "measures.drop_last_region",
}
"""Settings that have a column in every table."""
_PRECISION = frozenset({"measures.first_paths", "measures.rtol", "measures.max_samples"})
"""Settings that only say how precisely something is measured."""


def _without_later(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings of sections without those of :data:`LATER` that have their default."""
    for section, name in (full.split(".") for full in LATER):
        if section in settings and settings[section][name] == _DEFAULTS[section][name]:
            del settings[section][name]
    return settings


_DEFAULTS = {name: section().model_dump(mode="json") for name, section in SECTIONS.items()}


def _grid_of(way: dict[str, Any]) -> list[dict[str, Any]]:
    """Every combination of the variants of the sections of a way of measuring."""
    sections = [variants(section, _LISTS.get(name, frozenset())) for name, section in way.items()]
    choices = [section if isinstance(section, list) else [section] for section in sections]
    return list(combinations(way, choices))


def _is_default(name: str, given: Any) -> bool:
    """Whether a section says nothing, as when a study is read back from its folder."""
    return bool(given in ([_DEFAULTS[name]], (_DEFAULTS[name],), [], ()))


_LISTS = {
    "train": frozenset({"milestones"}),
    "model": frozenset({"arguments"}),
    "paths": frozenset({"arguments"}),
    "measures": frozenset({"own"}),
}
"""Settings of a section that are lists, or hold some, themselves."""


def _applying(values: dict[str, Any]) -> dict[str, Any]:
    """Where models differ, without what one does not have: its width, batch norm, or an argument of another."""
    if "model.name" not in values:
        return values
    without = {"model.width": None, "model.batch_norm": None}
    return {key: value for key, value in values.items() if value is not without.get(key, ABSENT)}


def _described(model: ModelConfig) -> dict[str, Any]:
    return {"model.name": model.name} if model.width is None else {"model.width": model.width}


def _resolved(path: str | None) -> str | None:
    return None if path is None else str(Path(path).expanduser().resolve())


def short_hash(settings: dict[str, Any]) -> str:
    """A short name of plain values: equal ones give equal names, on every machine."""
    return hashlib.sha256(canonical_json(settings).encode()).hexdigest()[:_DIGITS_OF_HASH]
