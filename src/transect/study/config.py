"""What a study is: data, model, training, paths, and the widths and seeds that make its runs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, field_validator

from transect.study.settings import Settings, canonical_json

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
_DIGITS_OF_HASH = 10


class DataConfig(Settings):
    """The data set, the same for all runs; ``seed`` draws the samples, ``noise_seed`` the wrong training labels."""

    name: Literal["mnist1d"] = "mnist1d"
    train_samples: PositiveInt = 4000
    test_samples: PositiveInt = 4000
    label_noise: Fraction = 0.2
    seed: NonNegativeInt = 0
    noise_seed: NonNegativeInt = 0


class ModelConfig(Settings):
    """The network, but for its width: a name of :data:`transect.study.models.BUILDERS`."""

    name: Literal["mlp", "cnn1d", "resnet18", "resnet34"] = "mlp"
    batch_norm: bool = False


class TrainConfig(Settings):
    """The training. ``checkpoint_every`` is in epochs; it does not change the result."""

    optimizer: Literal["sgd", "adam"] = "sgd"
    learning_rate: PositiveFloat = 0.01
    momentum: Fraction = 0.9
    batch_size: PositiveInt = 100
    epochs: PositiveInt = 500
    checkpoint_every: PositiveInt = 50


class PathConfig(Settings):
    """Closed circles in (shift, scale) around samples of a split; ``seed`` chooses the samples, the same for all runs.

    ``shift`` is the radius in samples of the signal, ``scale`` the relative one in amplitude.
    """

    kind: Literal["shift_scale_circle"] = "shift_scale_circle"
    paths: PositiveInt = 48
    anchors: Annotated[int, Field(ge=3)] = 8
    shift: PositiveFloat = 2.0
    scale: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.15
    seed: NonNegativeInt = 0


@dataclass(frozen=True, order=True)
class RunKey:
    """Which run of a study: its width, and the seed of its weights and of the order of its batches."""

    width: int
    seed: int

    def __str__(self) -> str:
        return f"width {self.width}, seed {self.seed}"


class StudyConfig(Settings):
    """A sweep over widths and seeds; every pair of them is a run.

    ``name`` labels the rows of its tables. Widths and seeds may be added to a study that exists: its finished runs are
    kept.
    """

    name: str = "study"
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()
    paths: PathConfig = PathConfig()
    widths: Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
    seeds: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)] = (0, 1)

    @field_validator("widths", "seeds")
    @classmethod
    def _refuse_repetition(cls, values: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(values)) < len(values):
            raise ValueError(f"expected every value once, got {list(values)}")
        return values

    def runs(self) -> tuple[RunKey, ...]:
        """Every (width, seed), in increasing order."""
        return tuple(sorted(RunKey(width, seed) for width in self.widths for seed in self.seeds))

    def run_settings(self) -> dict[str, Any]:
        """What determines the result of a run, besides its width and seed: everything that a folder must agree on."""
        settings = self.model_dump(mode="json", exclude={"widths", "seeds"})
        del settings["train"]["checkpoint_every"]
        return settings

    def hash(self) -> str:
        """Short name of :meth:`run_settings`: equal settings give equal names, on every machine."""
        text = canonical_json(self.run_settings())
        return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS_OF_HASH]

    def run_folder(self, run: RunKey) -> str:
        """Name of the folder of one run."""
        return f"{self.hash()}-width-{run.width:04d}-seed-{run.seed}"
