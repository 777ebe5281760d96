"""The sections of a study: data, model, training, paths, measures; one value each."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from transect.study.settings import Settings

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
SplitName = Literal["train", "validation", "test"]
Number = Annotated[PositiveInt | None, BeforeValidator(lambda given: None if given == "all" else given)]


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
