"""The sections of a study: data, model, training, paths, measures; one value each."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WrapValidator,
    field_validator,
    model_validator,
)

from transect.errors import StudyError, did_you_mean
from transect.support.text import is_controlling

_SHOWN = 200


def plain_text(given: str) -> str:
    """A text, if a terminal, a file's name and a table show it as it is.

    Raises:
        ValueError: If there is a control character in it.
    """
    if odd := [letter for letter in given if is_controlling(letter)]:
        raise ValueError(f"expected text without control characters, got {odd[0]!r} in {given[:_SHOWN]!r}")
    return given


Text = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(plain_text)]


def refuse_odd_texts(given: Any) -> None:
    """Make sure that nested values have no control characters, and no numbers that JSON cannot write.

    Raises:
        ValueError: If they have.
    """
    if isinstance(given, str):
        plain_text(given)
    elif isinstance(given, float) and not math.isfinite(given):
        raise ValueError(f"expected finite numbers, got {given}")
    elif isinstance(given, dict):
        for key, value in given.items():
            refuse_odd_texts(str(key))
            refuse_odd_texts(value)
    elif isinstance(given, list | tuple):
        for value in given:
            refuse_odd_texts(value)


class Settings(BaseModel):
    """A section of a configuration. Building one with a wrong value raises pydantic's ``ValidationError``."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, given: Any) -> Any:
        unknown = [key for key in given if key not in cls.model_fields] if isinstance(given, dict) else []
        if unknown:
            raise ValueError("; ".join(_unknown_key(str(key), list(cls.model_fields)) for key in unknown))
        return given

    @classmethod
    def parse(cls, given: dict[str, Any]) -> Self:
        """Build from plain values, such as those of a TOML or JSON file.

        Raises:
            StudyError: If a key is unknown (the message names the nearest valid one) or a value is wrong; lists all.
        """
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            lines = [f"  {_place(problem['loc'])}{_reason(problem)}" for problem in error.errors()]
            distinct = dict.fromkeys(lines)  # the variants of a section share their mistakes
            raise StudyError("\n".join(["the configuration is not valid:", *distinct])) from error


def canonical_json(settings: dict[str, Any]) -> str:
    """The same text for equal settings: keys sorted, no spaces."""
    return json.dumps(settings, sort_keys=True, separators=(",", ":"))


def differences(ours: dict[str, Any], theirs: dict[str, Any], prefix: str = "") -> list[str]:
    """Lines that say which entries of two nested dictionaries differ, ``"train.epochs: 3 there, 5 here"``."""
    lines: list[str] = []
    for key in sorted(set(ours) | set(theirs)):
        here, there = ours.get(key, "nothing"), theirs.get(key, "nothing")
        if isinstance(here, dict) and isinstance(there, dict):
            lines += differences(here, there, f"{prefix}{key}.")
        elif here != there:
            lines.append(f"{prefix}{key}: {there} there, {here} here")
    return lines


def _unknown_key(key: str, valid: list[str]) -> str:
    return f"unknown key {key!r}" + (did_you_mean(key, valid, most=1) or f": valid keys are {', '.join(valid)}")


def _place(location: tuple[int | str, ...]) -> str:
    """The keys on the way; not which variant of a section, since a person wrote lists."""
    names = [part for part in location if isinstance(part, str)]
    return ".".join(names) + ": " if names else ""


def _reason(problem: Any) -> str:
    message = str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return message
    given = repr(problem["input"])
    nearest = did_you_mean(problem["input"], re.findall(r"'([^']*)'", message), most=1) if _is_choice(problem) else ""
    return f"{message}, got {given if len(given) <= _SHOWN else given[:_SHOWN] + '...'}{nearest}"


def _is_choice(problem: Any) -> bool:
    return problem["type"] == "literal_error" and isinstance(problem["input"], str)


_INT64 = 2**63 - 1
_LARGEST = 10_000_000


def _with_plain_texts(given: dict[str, Any]) -> dict[str, Any]:
    refuse_odd_texts(given)
    return given


Whole = Annotated[int, Field(strict=True, ge=0, le=_LARGEST)]
Count = Annotated[int, Field(strict=True, ge=1, le=_LARGEST)]
Pixels = Annotated[int, Field(strict=True, ge=1, le=4096)]
Seed = Annotated[int, Field(strict=True, ge=0, le=_INT64)]
Real = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Positive = Annotated[Real, Field(gt=0.0)]
Fraction = Annotated[Real, Field(ge=0.0, le=1.0)]
Truth = Annotated[bool, Field(strict=True)]
SplitName = Literal["train", "validation", "test"]
Arguments = Annotated[dict[str, Any], AfterValidator(_with_plain_texts)]
Number = Annotated[Count | None, BeforeValidator(lambda given: None if given == "all" else given)]

_PLACE = r"^\w+(\.\w+)*:\w+(\.\w+)*$"

TORCHVISION = "torchvision."
_OF_MNIST1D = {"train_samples": 4000, "test_samples": 1000}
"""The sizes with which it was published."""


DataName = Literal["mnist1d", "digits", "cifar10", "cifar100", "images"]
SETTINGS_OF_DATA: Mapping[DataName, tuple[str, ...]] = MappingProxyType(
    {
        "mnist1d": (),
        "digits": ("image_size",),
        "cifar10": ("folder", "download", "image_size"),
        "cifar100": ("folder", "download", "image_size"),
        "images": ("folder", "image_size"),
    }
)
"""Every data set, and the settings that have a say in some data sets only, in this one."""


class DataConfig(Settings):
    """The data set. ``seed`` draws the samples and the splits, ``noise_seed`` the wrong training labels.

    Attributes:
        name: Which data: ``images`` is a folder with ``train/<class>/*`` and ``test/<class>/*``.
        folder: Where images lie, or where torchvision keeps CIFAR; not needed for generated data.
        download: Whether torchvision may download CIFAR to ``folder``.
        image_size: Side in pixels to which images are resized; as they are where None.
        train_samples: Training samples, as many of each class as can be; None, or ``all`` in a file, for all. MNIST-1D
            is generated: all are as many as were published, 4000, and 1000 test samples.
        validation_samples: Samples set apart from the training part; they keep their right labels.
        test_samples: Test samples; None, or ``all`` in a file, for all.
        label_noise: Part of the training labels that is replaced by another class.
    """

    name: DataName = "mnist1d"
    folder: Text | None = None
    download: Truth = False
    image_size: Pixels | None = None
    train_samples: Number = None
    validation_samples: Whole = 0
    test_samples: Number = None
    label_noise: Fraction = 0.0
    seed: Seed = 0
    noise_seed: Seed = 0

    @model_validator(mode="before")
    @classmethod
    def _fill_in_published_sizes(cls, given: Any) -> Any:
        if not isinstance(given, dict) or given.get("name", "mnist1d") != "mnist1d":
            return given
        return given | {key: size for key, size in _OF_MNIST1D.items() if given.get(key) in (None, "all")}

    @model_validator(mode="after")
    def _refuse_what_the_generator_cannot(self) -> Self:
        if self.name == "mnist1d" and self.seed >= 2**32:
            raise ValueError(
                f"seed: expected less than 2**32 for mnist1d, whose generator takes no more, got {self.seed}"
            )
        return self


class ModelConfig(Settings):
    """The network.

    Attributes:
        name: An entry of :data:`transect.study.models.BUILDERS`, ``torchvision.<name>`` for a model of its zoo, or
            ``package.module:callable`` for one of your own.
        width: Base width; 1 where it is not given. A callable of your own gets it where it is given, and must have a
            parameter of this name. Models of torchvision have none.
        batch_norm: Whether to use batch norm; not where it is not given. Likewise.
        arguments: Further arguments of a model of torchvision or of your own.
        checkpoint: A file of weights (.safetensors, .pt): the network is not trained, only measured. A pattern such as
            ``runs/*.pt`` in a study file stands for all files that fit.
    """

    name: Text = "mlp"
    width: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] | None = None
    batch_norm: Truth | None = None
    arguments: Arguments = Field(default_factory=dict)
    checkpoint: Text | None = None

    @model_validator(mode="before")
    @classmethod
    def _fill_in_what_every_model_of_the_table_has(cls, given: Any) -> Any:
        name = given.get("name", "mlp") if isinstance(given, dict) else ""
        if not isinstance(name, str) or not name or ":" in name or name.startswith(TORCHVISION):
            return given
        defaults: dict[str, Any] = {"width": 1, "batch_norm": False}
        return given | {key: value for key, value in defaults.items() if given.get(key) is None}

    @property
    def is_users(self) -> bool:
        """Whether it is ``package.module:callable``."""
        return ":" in self.name


class TrainConfig(Settings):
    """The training.

    Attributes:
        schedule: Of the learning rate: ``step`` multiplies it by ``decay`` at the epochs of ``milestones``, ``cosine``
            takes it to zero.
        stop_error: Training stops after the first epoch whose error on the training labels is at most this; None to
            do all epochs.
        crop: Training images are padded by so many pixels and cropped at random; 0 for no crop.
        flip: Whether training images are mirrored at random.
        device: ``auto`` takes a CUDA device where there is one. Kept out of what identifies a run, like the
            next three.
        tensorboard: Whether to write logs for TensorBoard.
        evaluate_every: How often the learning curve gets errors of the validation and test part, in epochs; 0 for only
            after the last epoch.
        checkpoint_every: How often the state is kept from which a killed training goes on, in epochs.
        seed: Of the weights.
        order_seed: Of the order of the samples and of their augmentation; ``seed`` where None.
    """

    optimizer: Literal["sgd", "adam"] = "sgd"
    learning_rate: Positive = 0.01
    momentum: Fraction = 0.9
    weight_decay: Annotated[Real, Field(ge=0.0)] = 0.0
    schedule: Literal["constant", "step", "cosine"] = "constant"
    milestones: tuple[Count, ...] = ()
    decay: Annotated[Positive, Field(le=1.0)] = 0.2
    batch_size: Count = 100
    epochs: Annotated[Count, Field(le=1_000_000)] = 500
    stop_error: Fraction | None = None
    crop: Annotated[Whole, Field(le=4096)] = 0
    flip: Truth = False
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    device: Literal["auto", "cpu", "cuda"] = "cpu"
    tensorboard: Truth = False
    evaluate_every: Whole = 0
    checkpoint_every: Count = 50
    seed: Seed = 0
    order_seed: Seed | None = None

    @field_validator("milestones")
    @classmethod
    def _refuse_disorder(cls, given: tuple[int, ...]) -> tuple[int, ...]:
        if list(given) != sorted(set(given)):
            raise ValueError(f"expected increasing epochs, each once, got {list(given)}")
        return given

    @property
    def seed_of_order(self) -> int:
        """Seed of the order of the samples."""
        return self.seed if self.order_seed is None else self.order_seed


PathKind = Literal["circle", "arc", "shift_scale_circle", "between_same_class", "between_classes"]
SETTINGS_OF_KIND: Mapping[PathKind, tuple[str, ...]] = MappingProxyType(
    {
        "circle": ("anchors", "radius", "repeated_normalisation", "rolled_closure"),
        "arc": ("anchors", "radius"),
        "shift_scale_circle": ("anchors", "shift", "scale"),
        "between_same_class": (),
        "between_classes": (),
    }
)
"""Every kind of paths, and the settings that have a say in some kinds only, in this one."""


def _is_place(given: Any) -> bool:
    return isinstance(given, str) and re.match(_PLACE, given) is not None


class PathConfig(Settings):
    """The paths; ``seed`` chooses the samples, the same for all networks.

    Attributes:
        kind: ``circle`` and ``arc`` translate images (closed and open); ``shift_scale_circle`` is for signals;
            ``between_same_class`` and ``between_classes`` are straight lines from a sample to another one;
            ``package.module:callable`` is a maker of your own: it is given the chosen samples as the network sees them,
            ``(paths, *input_shape)`` float64, and returns a path for each.
        arguments: Further arguments of a maker of your own.
        around: Where images come from: samples of the split, or ``random`` ones, uniform in mean +- standard deviation
            of each channel.
        split: Samples of which part.
        samples: All of them, or only those whose training label is right (``clean``) or wrong (``noisy``).
        paths: How many.
        anchors: Of each circle or arc.
        radius: Of circles and arcs, in pixels.
        shift: Of a ``shift_scale_circle``: radius in samples of the signal.
        scale: Of a ``shift_scale_circle``: relative radius in amplitude.
        repeated_normalisation: The released code's fault 1: anchor k of K is normalised K - k times.
        rolled_closure: The released code's fault 2: the last anchor is joined to the first of the *next* path.
    """

    kind: Annotated[
        PathKind,
        WrapValidator(lambda given, known: given if _is_place(given) else known(given)),
    ] = "shift_scale_circle"
    around: Literal["samples", "random"] = "samples"
    split: SplitName = "train"
    samples: Literal["all", "clean", "noisy"] = "all"
    paths: Annotated[Count, Field(le=1_000_000)] = 48
    anchors: Annotated[Count, Field(ge=2, le=100_000)] = 8
    radius: Annotated[Positive, Field(le=4096)] = 4.0
    shift: Annotated[Positive, Field(le=4096)] = 2.0
    scale: Annotated[Fraction, Field(lt=1.0)] = 0.15
    arguments: Arguments = Field(default_factory=dict)
    repeated_normalisation: Truth = False
    rolled_closure: Truth = False
    seed: Seed = 0

    @property
    def is_users(self) -> bool:
        """Whether they are made by ``package.module:callable``."""
        return ":" in self.kind


class MeasureConfig(Settings):
    """How the function is measured along the paths.

    Attributes:
        method: Every region (``exact``), or from samples (``estimate``).
        rtol: Relative tolerance of an estimate.
        max_samples: Samples of a segment in an estimate, at most; None for the default.
        dtype: Of exact traces; estimates are made in the network's own.
        first_paths: Only so many of the paths; all where None. For an exact check of a part of what is estimated.
        epoch: After which epoch of the training; ``last`` is the trained network.
        upper_bound_integral: The released code's fault 3: an upper bound in place of the deviation; exact only.
        drop_last_region: The released code's fault 5: the last region of every segment is left out; exact only.
        own: Measures of your own, each as ``package.module:name`` of a :class:`transect.measures.Measure`; exact only.
    """

    method: Literal["exact", "estimate"] = "exact"
    rtol: Annotated[Positive, Field(lt=1.0)] = 1e-2
    max_samples: Annotated[int, Field(strict=True, ge=18, le=2**40)] | None = None
    dtype: Literal["float64", "float32"] = "float64"
    first_paths: Count | None = None
    epoch: Count | Literal["last"] = "last"
    upper_bound_integral: Truth = False
    drop_last_region: Truth = False
    own: tuple[Annotated[Text, Field(pattern=_PLACE)], ...] = ()
