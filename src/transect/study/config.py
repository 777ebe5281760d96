"""What a study is: data, model, training, paths and measures; a section with several values is a grid of them."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
)

from transect.study.grid import variants
from transect.study.settings import Settings, canonical_json

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
SplitName = Literal["train", "validation", "test"]
Number = Annotated[PositiveInt | None, BeforeValidator(lambda given: None if given == "all" else given)]
_DIGITS_OF_HASH = 10


class DataConfig(Settings):
    """The data set. ``seed`` draws the samples and the splits, ``noise_seed`` the wrong training labels.

    Attributes:
        name: Which data: ``images`` is a folder with ``train/<class>/*`` and ``test/<class>/*``.
        folder: Where images lie, or where torchvision keeps CIFAR; not needed for generated data.
        download: Whether torchvision may download CIFAR to ``folder``.
        image_size: Side in pixels to which images are resized; as they are where None.
        train_samples: Training samples, as many of each class as can be; None, or ``all`` in a file, for all.
        validation_samples: Samples set apart from the training part; they keep their right labels.
        test_samples: Test samples; None, or ``all`` in a file, for all.
        label_noise: Part of the training labels that is replaced by another class.
    """

    name: Literal["mnist1d", "digits", "cifar10", "cifar100", "images"] = "mnist1d"
    folder: str | None = None
    download: bool = False
    image_size: PositiveInt | None = None
    train_samples: Number = 4000
    validation_samples: NonNegativeInt = 0
    test_samples: Number = 4000
    label_noise: Fraction = 0.2
    seed: NonNegativeInt = 0
    noise_seed: NonNegativeInt = 0


class ModelConfig(Settings):
    """The network.

    Attributes:
        name: An entry of :data:`transect.study.models.BUILDERS`, ``torchvision.<name>`` for a model of its zoo, or
            ``package.module:callable`` for one of your own.
        width: Base width; given to a callable of your own that has a parameter of this name.
        batch_norm: Whether to use batch norm; given to a callable of your own that has a parameter of this name.
        arguments: Further arguments of a model of torchvision or of your own.
        checkpoint: A file of weights (.safetensors, .pt): the network is not trained, only measured. A pattern such as
            ``runs/*.pt`` in a study file stands for all files that fit.
    """

    name: str = "mlp"
    width: PositiveInt = 1
    batch_norm: bool = False
    arguments: dict[str, Any] = Field(default_factory=dict)
    checkpoint: str | None = None


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
    learning_rate: PositiveFloat = 0.01
    momentum: Fraction = 0.9
    weight_decay: NonNegativeFloat = 0.0
    schedule: Literal["constant", "step", "cosine"] = "constant"
    milestones: tuple[PositiveInt, ...] = ()
    decay: Annotated[float, Field(gt=0.0, le=1.0)] = 0.2
    batch_size: PositiveInt = 100
    epochs: PositiveInt = 500
    stop_error: Fraction | None = None
    crop: NonNegativeInt = 0
    flip: bool = False
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    device: Literal["auto", "cpu", "cuda"] = "cpu"
    tensorboard: bool = False
    evaluate_every: NonNegativeInt = 0
    checkpoint_every: PositiveInt = 50
    seed: NonNegativeInt = 0
    order_seed: NonNegativeInt | None = None

    @property
    def seed_of_order(self) -> int:
        """Seed of the order of the samples."""
        return self.seed if self.order_seed is None else self.order_seed


NOT_IDENTIFYING = {
    "train": {"checkpoint_every", "device", "evaluate_every", "tensorboard"},
    "data": {"folder", "download"},
}
"""Settings that do not change which network comes out of a training."""


class PathConfig(Settings):
    """The paths; ``seed`` chooses the samples, the same for all networks.

    Attributes:
        kind: ``circle`` and ``arc`` translate images (closed and open); ``shift_scale_circle`` is for signals;
            ``between_same_class`` and ``between_classes`` are straight lines from a sample to another one.
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

    kind: Literal["circle", "arc", "shift_scale_circle", "between_same_class", "between_classes"] = "shift_scale_circle"
    around: Literal["samples", "random"] = "samples"
    split: SplitName = "train"
    samples: Literal["all", "clean", "noisy"] = "all"
    paths: PositiveInt = 48
    anchors: Annotated[int, Field(ge=2)] = 8
    radius: PositiveFloat = 4.0
    shift: PositiveFloat = 2.0
    scale: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.15
    repeated_normalisation: bool = False
    rolled_closure: bool = False
    seed: NonNegativeInt = 0


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
    """

    method: Literal["exact", "estimate"] = "exact"
    rtol: PositiveFloat = 1e-2
    max_samples: Annotated[int, Field(ge=18)] | None = None
    dtype: Literal["float64", "float32"] = "float64"
    first_paths: PositiveInt | None = None
    epoch: PositiveInt | Literal["last"] = "last"
    upper_bound_integral: bool = False
    drop_last_region: bool = False


class NetworkConfig(Settings):
    """One network of a study: a run. Everything that its training depends on."""

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()

    def identity(self) -> dict[str, Any]:
        """What determines the network, as plain values. Of a folder of images that is its name, not where it lies."""
        settings = self.model_dump(mode="json", exclude=NOT_IDENTIFYING)
        if self.data.name == "images" and self.data.folder is not None:
            settings["data"]["folder"] = Path(self.data.folder).name
        return settings

    def hash(self) -> str:
        """Short name of :meth:`identity`: equal settings give equal names, on every machine."""
        return short_hash(self.identity())

    def folder(self) -> str:
        """Name of the folder of the run: readable, and its own."""
        model = self.model.name.replace(":", "-").replace("/", "-")
        return f"{model}-width-{self.model.width:04d}-seed-{self.train.seed}-{self.hash()}"


class MeasuringConfig(Settings):
    """One way of measuring every network of a study: paths, and how the function is measured along them."""

    paths: PathConfig = PathConfig()
    measures: MeasureConfig = MeasureConfig()

    def hash(self) -> str:
        """Short name: equal settings give equal names, on every machine."""
        return short_hash(self.model_dump(mode="json"))


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
    """

    name: str = "study"
    title: str = ""
    data: tuple[DataConfig, ...] = (DataConfig(),)
    model: tuple[ModelConfig, ...] = (ModelConfig(),)
    train: tuple[TrainConfig, ...] = (TrainConfig(),)
    paths: tuple[PathConfig, ...] = (PathConfig(),)
    measures: tuple[MeasureConfig, ...] = (MeasureConfig(),)

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

    def networks(self) -> tuple[NetworkConfig, ...]:
        """Every network, in the order of the lists: the last section varies fastest."""
        return tuple(
            NetworkConfig(data=data, model=model, train=train)
            for data in self.data
            for model in self.model
            for train in self.train
        )

    def measurings(self) -> tuple[MeasuringConfig, ...]:
        """Every way of measuring."""
        return tuple(MeasuringConfig(paths=paths, measures=how) for paths in self.paths for how in self.measures)

    def epochs(self) -> tuple[int | str, ...]:
        """After which epochs networks are measured."""
        return tuple(dict.fromkeys(how.epoch for how in self.measures))

    def labels(self) -> Iterator[tuple[NetworkConfig, str]]:
        """Every network with its name for people: the settings in which the study's networks differ."""
        networks = self.networks()
        found = differing([network.model_dump(mode="json") for network in networks])
        for network, values in zip(networks, found, strict=True):
            yield network, _said(values or {"width": network.model.width})

    def variants(self) -> tuple[str, ...]:
        """Of each network, the differing settings that have no column in tables."""
        found = differing([network.model_dump(mode="json") for network in self.networks()], _NETWORK_COLUMNS)
        return tuple(_said(values) for values in found)

    def ways(self) -> tuple[str, ...]:
        """Of each way of measuring, the differing settings that have no column in tables."""
        found = differing([measuring.model_dump(mode="json") for measuring in self.measurings()], _MEASURING_COLUMNS)
        return tuple(_said(values) for values in found)


_NETWORK_COLUMNS = frozenset(
    {"data.name", "data.label_noise", "model.name", "model.batch_norm", "model.width", "train.seed"}
)
_MEASURING_COLUMNS = frozenset(
    {"paths.kind", "paths.around", "paths.split", "paths.samples", "paths.repeated_normalisation"}
    | {"paths.rolled_closure", "measures.method", "measures.epoch", "measures.upper_bound_integral"}
    | {"measures.drop_last_region", "measures.first_paths", "measures.rtol", "measures.max_samples"}
)
"""Settings that have a column, or only say how precisely something is measured."""


def differing(settings: Sequence[dict[str, Any]], but: Collection[str] = ()) -> list[dict[str, Any]]:
    """Of several settings with sections, each one's values where they are not all the same.

    Args:
        settings: Mappings from section to mapping from key to value.
        but: Names that are passed over, ``"section.key"``.

    Returns:
        Of each, key to value.
    """
    flat = [
        {f"{part}.{key}": value for part, values in one.items() for key, value in values.items()} for one in settings
    ]
    keys = [key for key in flat[0] if key not in but and any(one[key] != flat[0][key] for one in flat)]
    return [{key.rpartition(".")[2]: one[key] for key in keys} for one in flat]


def _said(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items())


_LISTS = {"train": frozenset({"milestones"}), "model": frozenset({"arguments"})}
"""Settings of a section that are lists, or hold some, themselves."""


def short_hash(settings: dict[str, Any]) -> str:
    """A short name of plain values: equal ones give equal names, on every machine."""
    return hashlib.sha256(canonical_json(settings).encode()).hexdigest()[:_DIGITS_OF_HASH]
