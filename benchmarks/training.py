"""Small trainings in plain PyTorch, and the data they need; seeded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

CIFAR_MEAN, CIFAR_STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
CLASSES = 10


@dataclass(frozen=True)
class Data:
    """Samples to train on and to test with.

    Attributes:
        train: Inputs, ``(N, *input_shape)`` float32.
        labels: Their classes, ``(N,)`` int64.
        test: Inputs that training does not see.
        test_labels: Their classes.
    """

    train: Tensor
    labels: Tensor
    test: Tensor
    test_labels: Tensor


def mnist1d(train: int, test: int, noise: float) -> Data:
    """Signals of MNIST-1D, made here; a part ``noise`` of the training labels is drawn anew from the other classes."""
    from mnist1d.data import get_dataset_args, make_dataset  # slow to import

    args = get_dataset_args()
    args.num_samples, args.seed = train + test, 0
    made = make_dataset(args)
    inputs = torch.tensor(np.concatenate([made["x"], made["x_test"]]), dtype=torch.float32)
    labels = torch.tensor(np.concatenate([made["y"], made["y_test"]]), dtype=torch.int64)
    return Data(inputs[:train], _noisy(labels[:train], noise), inputs[train:], labels[train:])


def images(folder: Path, train: int, test: int) -> Data:
    """Images of ``folder/train/<class>/*`` and ``folder/test/<class>/*``, as many of each class as can be.

    Their channels are normalised with the mean and standard deviation of CIFAR-10.
    """
    return Data(*_images(folder / "train", train), *_images(folder / "test", test))


def normalised(pixels: Tensor) -> Tensor:
    """Images ``(N, 3, H, W)`` with values in [0, 1], as networks are trained on them."""
    mean, std = (torch.tensor(part, dtype=pixels.dtype).reshape(3, 1, 1) for part in (CIFAR_MEAN, CIFAR_STD))
    return (pixels - mean) / std


def train(
    model: nn.Module, data: Data, optimizer: torch.optim.Optimizer, epochs: int, batch: int, seed: int
) -> nn.Module:
    """Train a model in place, and give it back in evaluation mode."""
    generator = torch.Generator().manual_seed(seed)
    model.train()
    for _ in range(epochs):
        for chosen in torch.randperm(len(data.train), generator=generator).split(batch):
            optimizer.zero_grad()
            functional.cross_entropy(model(data.train[chosen]), data.labels[chosen]).backward()
            optimizer.step()
    return model.eval()


def error(model: nn.Module, inputs: Tensor, labels: Tensor) -> float:
    """Share of inputs that a model gives another class than theirs."""
    with torch.no_grad():
        given = torch.cat([model(part).argmax(1) for part in inputs.split(500)])
    return float((given != labels).double().mean())


def _noisy(labels: Tensor, part: float) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    wrong = torch.randperm(len(labels), generator=generator)[: round(part * len(labels))]
    steps = torch.randint(1, CLASSES, (len(wrong),), generator=generator)
    noisy = labels.clone()
    noisy[wrong] = (labels[wrong] + steps) % CLASSES
    return noisy


def _images(folder: Path, count: int) -> tuple[Tensor, Tensor]:
    """Images of every class in turn, always the same ones."""
    from PIL import Image  # comes with matplotlib

    classes = sorted(part for part in folder.iterdir() if part.is_dir()) if folder.is_dir() else []
    if not classes:
        raise SystemExit(f"--images: expected folders train/<class> and test/<class>, found no class in {folder}")
    of_each = -(-count // len(classes))
    files = [(file, label) for label, part in enumerate(classes) for file in sorted(part.iterdir())[:of_each]]
    pixels = [np.asarray(Image.open(file).convert("RGB"), dtype=np.float32) / 255 for file, _ in files]
    return normalised(torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)), torch.tensor([one for _, one in files])
