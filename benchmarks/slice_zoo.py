"""Well-known networks sliced exactly and compared with the modules themselves: a table of the documentation.

    python benchmarks/slice_zoo.py [--cases NAME ...] [--only-missing] [--table]

Networks as in ``zoo.py``, with random weights and batch norm statistics near those of noise, and a small U-Net, on a
square around a noise image, just large enough for a thousand regions and more. Sliced in float64 with ``verify="all"``:
in the middle of every region the outputs are compared with the exported program and with the module, and at every edge
inside a group the units that bend there. ``difference`` is the largest difference of an output from the module,
relative to the largest output. Times are of the processor. Every network runs in a process of its own.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import torch
from torch import Tensor, nn

import transect
import zoo
from environment import markdown
from options import parser, wanted
from processes import run_alone

NAME = "slice_zoo"
REGIONS = 1000
PROBE = 1e-3  # half of the side of the first square tried


class UNet(nn.Module):
    """Two levels: convolutions with batch norm, max-pooling down, bilinear upsampling and skip connections back."""

    def __init__(self, channels: int = 8) -> None:
        super().__init__()
        self.first, self.second = _double(3, channels), _double(channels, 2 * channels)
        self.bottom = _double(2 * channels, 4 * channels)
        self.back, self.last = _double(6 * channels, 2 * channels), _double(3 * channels, channels)
        self.pool = nn.MaxPool2d(2)
        self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
        self.head = nn.Conv2d(channels, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Two numbers a pixel."""
        first = self.first(x)
        second = self.second(self.pool(first))
        bottom = self.bottom(self.pool(second))
        back = self.back(torch.cat([self.up(bottom), second], 1))
        return self.head(self.last(torch.cat([self.up(back), first], 1)))


def _double(channels_in: int, channels: int) -> nn.Sequential:
    parts: list[nn.Module] = []
    for before in (channels_in, channels):
        parts += [nn.Conv2d(before, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()]
    return nn.Sequential(*parts)


SIZES = {"resnet18": 32, "vgg11_bn": 32, "densenet121": 32, "googlenet": 32, "U-Net": 16}


def main() -> None:
    """Run the networks, each in its own process, and write each row as it comes."""
    options = parser(__doc__, SIZES, one=True).parse_args()
    if options.table:
        print(table())
    elif options.one:
        print(json.dumps(row_of(options.one)))
    else:
        sys.exit(run_alone(NAME, __file__, wanted(NAME, options)))


def row_of(name: str) -> dict[str, Any]:
    """Slice one network."""
    torch.set_num_threads(1)
    shape = (3, SIZES[name], SIZES[name])
    model = _unet(shape) if name == "U-Net" else zoo.build(name)
    image = zoo.noise(shape)[0]
    network = transect.capture(model, image)
    radius = _radius(network, image)
    began = time.process_time()
    found = transect.slice(network, transect.Plane.around(image, radius, seed=0), verify="all")
    seconds = time.process_time() - began
    verified = found.verification
    assert verified is not None
    return {
        "case": name,
        "input": "x".join(map(str, shape)),
        "units": sum(network.units),
        "side": 2 * radius,
        "regions": found.regions,
        "borders": found.borders,
        "unresolved": len(found.unresolved),
        "points": verified.regions + verified.points,
        "within_rounding": verified.within_rounding,
        "difference": max(verified.module_error, verified.error) / verified.scale,
        "seconds": seconds,
    }


def _unet(shape: tuple[int, ...]) -> nn.Module:
    torch.manual_seed(0)
    model = UNet().eval()
    zoo.set_statistics(model, shape)
    return model


def _radius(network: transect.Network, image: Tensor) -> float:
    """Half of the side of a square with at least so many regions, rounded to two digits."""
    radius = PROBE
    while True:
        plane = transect.Plane.around(image, radius, seed=0)
        found = transect.slice(network, plane, keep="measures", verify=False).regions
        if found >= REGIONS:
            return radius
        radius = float(f"{radius * min(4.0, (1.3 * REGIONS / max(found, 10)) ** 0.5):.1e}")


def table() -> str:
    """The rows in Markdown, and where they were made."""
    columns = ("network", "input", "units", "side of the square", "regions", "borders", "unresolved", "points compared",
               "units within rounding", "difference", "time")  # fmt: skip
    return markdown(NAME, columns, _cells, SIZES)


def _cells(row: dict[str, Any]) -> list[str]:
    counts = [f"{row[key]:,}" for key in ("regions", "borders", "unresolved", "points", "within_rounding")]
    ends = [f"{row['difference']:.0e}", f"{row['seconds']:.0f} s"]
    return [row["case"], row["input"], f"{row['units']:,}", f"{row['side']:.1e}", *counts, *ends]


if __name__ == "__main__":
    main()
