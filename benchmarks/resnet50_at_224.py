"""ResNet50 at 224x224, between two photographs: an estimate of the whole line, and the exact trace of a stretch of it.

    python benchmarks/resnet50_at_224.py [--cases NAME ...] [--crossings N] [--images A B] [--only-missing] [--table]

torchvision's ResNet50 with random weights from a seed and the batch norm statistics of crops of the photographs. A
random ResNet50 is chaotic: on such a line every unit crosses many times, and neighbouring samples have little to do
with one another. So the last batch norm of every residual branch gets the weight 0.2 in place of 1, with which units
cross between once and twice; the case ``as initialised`` keeps 1, and 257 samples are too few for it. Without
``--images`` the photographs are the two that come with scikit-learn; all are cut to a square.

``estimate`` writes down seconds (capture included), samples, flips with their interval, and memory. ``stretch`` takes
a part of the line with about ``--crossings`` crossings, by that estimate; first ``transect.forecast`` says what to
expect, then ``transect.stream`` walks it, with a progress bar on a terminal. Every case runs in a process of its own,
and its row is written as it comes. ``--table`` prints the rows as Markdown.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor, nn

import networks
import transect
from environment import markdown, read_rows
from options import parser, wanted
from processes import run_alone
from timing import Peak, timed
from transect.measuring import Forecast

NAME = "resnet50_at_224"
SIDE = 224
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet
BRANCHES = {"estimate": 0.2, "estimate, as initialised": 1.0, "stretch": 0.2}
SAMPLES = {"estimate, as initialised": 257}  # no number of samples that fits the time would be enough


def main() -> None:
    """Run the cases, each in its own process, and write each row as it comes."""
    arguments = parser(__doc__, BRANCHES, one=True)
    arguments.add_argument("--crossings", type=int, default=2500, help="of the stretch")
    arguments.add_argument("--images", type=Path, nargs=2, help="two photographs")
    arguments.add_argument(
        "--side", type=int, default=SIDE, help="of the images in pixels; not kept if it is another one"
    )
    options = arguments.parse_args()
    if options.table:
        print(table())
    elif options.one or options.side != SIDE:
        for name in [options.one] if options.one else options.cases:
            print(json.dumps(row_of(name, photographs(options.images), options.side, options.crossings)), flush=True)
    else:
        given = ["--images", *map(str, options.images)] if options.images else []
        sys.exit(run_alone(NAME, __file__, wanted(NAME, options), "--crossings", str(options.crossings), *given))


def row_of(name: str, photos: list[Tensor], side: int, crossings: int) -> dict[str, Any]:
    """One case."""
    first, second = (_normalised(_resized(_square(photo), side)) for photo in photos)
    path = transect.paths.line(first.double(), second.double())
    model = networks.resnet50(_crops(photos, side), BRANCHES[name])
    row = {"case": name, "side": side, "branches": BRANCHES[name], "length": path.length}
    if name == "stretch":
        return row | stretch(model, path, crossings)
    return row | estimated(model, path, SAMPLES.get(name))


def estimated(model: nn.Module, path: transect.Path, max_samples: int | None) -> dict[str, Any]:
    """The estimate of the whole line, in the module's own float32, from capture to result."""
    found: dict[str, transect.Estimate] = {}
    with Peak() as peak:
        seconds = timed(lambda: found.update(made=transect.estimate(model, path, max_samples=max_samples)))
    made = found["made"]
    deviation = made.absolute_deviation()
    return {
        "units": sum(made.units),
        "seconds": seconds,
        "samples": int(made.samples),
        "converged": bool(made.converged),
        "flips": float(made.flips),
        "flips_interval": made.flips_interval[0].tolist(),
        "deviation": float(deviation.norm()),
        "deviation_error": float((made.interval("absolute_deviation").diff(dim=-1) / 2).norm() / deviation.norm()),
        "peak_mib": peak.mib,
    }


def stretch(model: nn.Module, path: transect.Path, crossings: int) -> dict[str, Any]:
    """Forecast and exact trace of a part of the line with about so many crossings."""
    known = read_rows(NAME).get("estimate", {})
    whole = known["flips"] if known.get("side") == path.anchors.shape[-1] else _quick_flips(model, path)
    part = float(f"{min(1.0, crossings / whole):.2g}")
    cut = path.between(0, part)
    network = transect.capture(model, cut.anchors[0])
    forecast: dict[str, Forecast] = {}
    found: dict[str, int] = {}
    with Peak() as peak:  # the forecast traces too, and what it leaves in the process counts
        forecast_s = timed(lambda: forecast.update(made=transect.forecast(network, cut)))
        expected = forecast["made"]
        seconds = timed(lambda: found.update(_streamed(network, cut, str(expected))))
    assert expected.crossings is not None
    assert expected.exact_seconds is not None
    return {
        "part": part,
        "crossings": found["crossings"],
        "flips": found["flips"],
        "seconds": seconds,
        "peak_mib": peak.mib,
        "forecast": str(expected),
        "forecast_s": forecast_s,
        "forecast_crossings": [expected.crossings.low, expected.crossings.value, expected.crossings.high],
        "forecast_seconds": [expected.exact_seconds.low, expected.exact_seconds.value, expected.exact_seconds.high],
        "forecast_mib": expected.bytes / 2**20,
    }


def _streamed(network: transect.Network, path: transect.Path, forecast: str) -> dict[str, int]:
    """Crossings and flips of a line, run by run, with a bar that shows how much of it is behind us."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:.0f} %"),
               TextColumn("{task.fields[crossings]:,} crossings"), TimeElapsedColumn(), TextColumn("left"),
               TimeRemainingColumn())  # fmt: skip
    crossings = flips = 0
    console.print(f"forecast: {forecast}", highlight=False, markup=False, soft_wrap=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("Tracing", total=1.0, crossings=0)
        for run in transect.stream(network, path):
            crossings += len(run.knots())
            flips += 0 if run.flips is None else len(run.flips)
            progress.update(task, completed=float(run.t[-1]), crossings=crossings)
    return {"crossings": crossings, "flips": flips}


def _quick_flips(model: nn.Module, path: transect.Path) -> float:
    return float(transect.estimate(model, path, max_samples=33).flips)


def photographs(files: list[Path] | None) -> list[Tensor]:
    """Two photographs with values in [0, 1], ``(3, H, W)`` each."""
    if files:
        from PIL import Image  # comes with matplotlib

        pixels = [np.asarray(Image.open(file).convert("RGB")) for file in files]
    else:
        from sklearn.datasets import load_sample_images

        pixels = load_sample_images().images
    return [torch.from_numpy(one.astype(np.float32) / 255).permute(2, 0, 1) for one in pixels]


def _square(photo: Tensor) -> Tensor:
    """The largest square in the middle."""
    height, width = photo.shape[1:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return photo[:, top : top + side, left : left + side]


def _crops(photos: list[Tensor], side: int) -> Tensor:
    """Sixteen random squares of the photographs: batch norm needs statistics."""
    generator = torch.Generator().manual_seed(1)
    crops = []
    for index in range(16):
        photo = photos[index % 2]
        most = min(photo.shape[1:])
        size, *place = (torch.rand(3, generator=generator) * torch.tensor([0.6, 1.0, 1.0])).tolist()
        part = round(most * (0.4 + size))
        top, left = (int(at * (length - part)) for at, length in zip(place, photo.shape[1:], strict=True))
        crops.append(_normalised(_resized(photo[:, top : top + part, left : left + part], side)))
    return torch.stack(crops)


def _resized(photo: Tensor, side: int) -> Tensor:
    mode = "area" if photo.shape[1] >= side else "nearest"
    return nn.functional.interpolate(photo.unsqueeze(0), (side, side), mode=mode)[0]


def _normalised(photo: Tensor) -> Tensor:
    mean, std = (torch.tensor(part).reshape(3, 1, 1) for part in (MEAN, STD))
    return (photo - mean) / std


def table() -> str:
    """The rows in Markdown, and where they were made."""
    columns = ("case", "samples", "converged", "flips (interval)", "crossings", "seconds", "forecast", "peak")
    return markdown(NAME, columns, _cells, BRANCHES, _forecasts)


def _cells(row: dict[str, Any]) -> list[str]:
    time, peak = f"{row['seconds']:.0f} s", f"{row['peak_mib']:,.0f} MiB"
    if row["case"] == "stretch":
        low, _, high = row["forecast_seconds"]
        name = f"{row['part']:.1e} of the line, exactly"
        return [name, "", "", f"{row['flips']:,}", f"{row['crossings']:,}", time, f"{low:.0f} to {high:.0f} s", peak]
    low, high = row["flips_interval"]
    flips = f"{row['flips']:,.0f} ({low:,.0f} to {high:,.0f})"
    return [row["case"], f"{row['samples']}", "yes" if row["converged"] else "no", flips, "", time, "", peak]


def _forecasts(rows: list[dict[str, Any]]) -> str:
    told = [row for row in rows if "forecast" in row]
    return "\n\n".join(
        f"Forecast of that stretch, made in {row['forecast_s']:.0f} s: *{row['forecast']}*." for row in told
    )


if __name__ == "__main__":
    main()
