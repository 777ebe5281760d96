"""Make the pictures of docs/slices.md, and its numbers between the markers.

    .venv/bin/python docs/update_slices.py [--parts toy digits images] [--data data/cifar10]

The parts train small networks from fixed seeds: two moons (seconds), digits (a minute), and ResNet18 of base width 4
on 500 images of CIFAR-10 as a folder of images (ten minutes on two cores); without the folder that one is left out.
"""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import torch
from pages import FIGURES, ROOT, markdown_table, update
from torch import Tensor, nn
from torch.nn import functional

import transect
from transect.plots import plot_slice, render
from transect.study.data.load import load_data
from transect.study.models.architectures import resnet18
from transect.study.sections import DataConfig

PAGE = ROOT / "docs" / "slices.md"
NOISE = 0.2  # of the labels of the images are wrong
BEFORE, AFTER = 3, 120  # epochs; between them is the first without an error on the training images


def main() -> None:
    """Make the parts asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--data", type=Path, default=ROOT / "data" / "cifar10")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.parts:
        if name == "images" and not options.data.is_dir():
            print(f"left out: no images in {options.data}")
            continue
        block = PARTS[name](options.data)
        update(PAGE, {name: f"{block}\n\n{_made()}"}.get)


def toy(_: Path) -> str:
    """Two moons: the regions in the plane of the inputs, and the decision boundary between them."""
    x, y = _moons(200, torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 24), nn.ReLU(), nn.Linear(24, 24), nn.ReLU(), nn.Linear(24, 2))
    for _ in _epochs(model, x, y, 400, 200, 1e-2):
        pass
    corners = [(-1.8, -1.4), (2.8, -1.4), (2.8, 1.9), (-1.8, 1.9)]
    plane = transect.Plane(torch.zeros(2), [1.0, 0.0], [0.0, 1.0], corners)
    found = transect.slice(model, plane, verify="all")
    _save("slice_toy", plot_slice(found, colour="class", borders="depth", samples=x, labels=y))
    _save("slice_toy_slope", plot_slice(found, colour="slope", borders="plain"))
    return _table({"two moons": found})


def digits(_: Path) -> str:
    """A ConvNet with max-pooling on 8x8 digits, in the plane through three of them."""
    data = load_data(DataConfig(name="digits"))
    images, labels = data.prepare(data.train.inputs), data.train.labels
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(256, 10),
    )  # fmt: skip
    for _ in _epochs(model, images, labels, 30, 64, 3e-3):
        pass
    three = torch.stack([images[(labels == digit).nonzero()[0, 0]] for digit in (3, 5, 8)])
    found = transect.slice(model, transect.Plane.through(*three, margin=0.15), verify="all")
    _save("slice_digits", plot_slice(found, colour="class", images=three))
    close = ((-2.0, -2.6), (0.0, -0.9))
    _save("slice_digits_close", plot_slice(found, colour="slope", borders="depth", window=close))
    return _table({"digits": found})


def images(folder: Path) -> str:
    """ResNet18 on images with wrong labels, around a training and a test image, three times in training."""
    data = load_data(
        DataConfig(name="images", folder=str(folder), train_samples=500, test_samples=1000, label_noise=NOISE)
    )
    train, labels, test = data.prepare(data.train.inputs), data.train.labels, data.prepare(data.test.inputs)
    torch.manual_seed(0)
    model = resnet18(4, (3, 32, 32), 10, batch_norm=True)
    radius, found = 0.6, {}
    saved: dict[str, dict[str, Tensor]] = {}
    at = None
    for epoch, error in _epochs(model, train, labels, AFTER, 50, 1e-3):
        if at is None and error == 0:
            at = epoch
        if epoch in (BEFORE, at, AFTER):
            saved[f"epoch {epoch}"] = {name: value.clone() for name, value in model.state_dict().items()}
    places = {"training image": train[0], "test image": test[0]}
    for when, weights in saved.items():
        model.load_state_dict(weights)
        model.eval()
        for where, image in places.items():
            plane = transect.Plane.around(image, radius, seed=0)
            found[f"{where}, {when}"] = transect.slice(model, plane)
    largest = max(float(one.polygons.slope_norm.max()) for one in found.values())
    smallest = min(float(one.polygons.slope_norm.min()) for one in found.values())
    for name, one in found.items():
        limits = (smallest, largest)
        _save(f"slice_images_{_slug(name)}", plot_slice(one, colour="slope", limits=limits, title=name))
    return _table(found)


PARTS: dict[str, Callable[[Path], str]] = {"toy": toy, "digits": digits, "images": images}


def _moons(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    angle = torch.rand(count, generator=generator) * torch.pi
    upper = torch.arange(count) % 2 == 0
    x = torch.where(upper, angle.cos(), 1 - angle.cos())
    y = torch.where(upper, angle.sin(), 0.5 - angle.sin())
    points = torch.stack([x, y], 1) + 0.15 * torch.randn(count, 2, generator=generator)
    return points, (~upper).long()


def _epochs(
    model: nn.Module, x: Tensor, y: Tensor, epochs: int, batch: int, rate: float
) -> Iterator[tuple[int, float]]:
    """Train with Adam; after every epoch its number and the error on the training samples."""
    optimizer, order = torch.optim.Adam(model.parameters(), rate), torch.Generator().manual_seed(1)
    for epoch in range(1, epochs + 1):
        model.train()
        for rows in torch.randperm(len(x), generator=order).split(batch):
            optimizer.zero_grad()
            functional.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            wrong = torch.cat([model(part).argmax(1) for part in x.split(500)]) != y
        yield epoch, float(wrong.float().mean())


def _table(found: dict[str, transect.Slice]) -> str:
    heads = ["slice", "regions", "area", "regions per area", "border length", "decision boundary", "mean slope"]
    rows = [
        [name, f"{one.regions:,}", f"{one.area:.3g}", f"{one.density:,.0f}", f"{one.border_length:,.1f}",
         f"{one.boundary_length:.2f}", f"{one.mean_slope:.3g}"]
        for name, one in found.items()
    ]  # fmt: skip
    return markdown_table(heads, rows)


def _made() -> str:
    machine = f"{date.today()}, {os.cpu_count()} cores; Python {platform.python_version()}"
    return f"`docs/update_slices.py`, seed 0; {machine}, torch {torch.__version__}, transect {transect.__version__}."


def _slug(name: str) -> str:
    return name.replace(",", "").replace(" ", "_")


def _save(name: str, figure: object) -> None:
    FIGURES.mkdir(exist_ok=True)
    (FIGURES / f"{name}.png").write_bytes(render(figure, "png"))


if __name__ == "__main__":
    main()
