"""Studies ready to run."""

from __future__ import annotations

from transect.study.config import DataConfig, ModelConfig, PathConfig, StudyConfig, TrainConfig


def demo_study(seeds: int = 2) -> StudyConfig:
    """The poster's figure on MNIST-1D, in a few minutes on two cores.

    4,000 signals with 20 % wrong labels, an MLP 40-h-h-10 of nine widths on both sides of the interpolation threshold
    (between 52 and 70 units), large batches and a learning rate to match: few steps, which is where small networks
    spend their time. 48 closed paths around training samples and as many around test samples.

    Args:
        seeds: Number of seeds, counted from 0; each costs about a minute of one core.
    """
    return StudyConfig(
        name="demo",
        data=DataConfig(name="mnist1d", train_samples=4000, test_samples=4000, label_noise=0.2),
        model=ModelConfig(name="mlp"),
        train=TrainConfig(optimizer="sgd", learning_rate=0.06, momentum=0.9, batch_size=200, epochs=250),
        paths=PathConfig(paths=48, anchors=8),
        widths=(10, 17, 27, 38, 52, 70, 110, 200, 400),
        seeds=tuple(range(seeds)),
    )
