"""The demo, a study ready to run without a file; more of them lie in ``studies/``."""

from __future__ import annotations

from transect.study.config import StudyConfig


def demo_study(seeds: int = 3) -> StudyConfig:
    """The poster's figure on MNIST-1D, in a few minutes on two cores.

    4,000 signals with 20 % wrong labels, an MLP 40-h-h-10 of nine widths on both sides of the interpolation threshold
    (between 52 and 110 units), large batches and a learning rate to match: few steps, which is where small networks
    spend their time. 32 closed paths around training samples and as many around test samples.

    Args:
        seeds: Number of seeds, counted from 0; each costs about two minutes of one core.
    """
    return StudyConfig.parse(
        {
            "name": "demo",
            "data": {"name": "mnist1d", "train_samples": 4000, "test_samples": 4000, "label_noise": 0.2},
            "model": {"name": "mlp", "width": [12, 18, 27, 38, 52, 72, 110, 180, 300]},
            "train": {
                "optimizer": "sgd",
                "learning_rate": 0.07,
                "momentum": 0.9,
                "batch_size": 200,
                "epochs": 200,
                "seed": list(range(seeds)),
            },
            "paths": {"kind": "shift_scale_circle", "split": ["train", "test"], "paths": 32, "anchors": 8},
        }
    )
