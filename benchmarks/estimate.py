"""Estimates against exact traces in float64, on trained networks.

    python benchmarks/estimate.py [--widths 8 16 32] [--seeds 100 101] [--paths 10] [--rtol 1e-2] [--table]
    python benchmarks/estimate.py --images FOLDER --checkpoint FILE --widths 8 [--batch-norm] [--paths 10]

Without ``--images``, convolutional networks on MNIST-1D are trained here, each in seconds; half of the paths are
circles around test signals, half lines between them. With it, a ResNet18 of the study is loaded from its weights
(``weights.safetensors``, or a state dict saved by torch), and paths are translation circles of the images. The
constants of the estimates were chosen on networks of seeds 0 and 1: take others.

The trace is in float64, the estimate in float32. Errors are those of a whole path, across outputs the l2 norm:
|estimate / exact - 1|. Coverage is the share of paths, and for deviations of outputs of paths, whose exact value lies
in the stated interval, the sum of those of its segments; of these intervals the mean width relative to the exact value
is given, and the coverage of single segments. ``--table`` prints the rows as Markdown.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

import transect
from environment import described, read_rows, write_row
from transect.study.config import DataConfig, TrainConfig
from transect.study.data.load import load_data
from transect.study.models import build_model
from transect.study.models.resnet import resnet18
from transect.study.training import train

NAME = "estimate"
CIFAR_MEAN, CIFAR_STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
LEAST_SAMPLES = 129  # of a segment; or a hundredth of its crossings where that is more

Case = tuple[str, nn.Module, list[transect.Path]]


def main() -> None:
    """Run the cases and write each row as it comes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--widths", type=int, nargs="*", default=[8, 16, 32])
    parser.add_argument("--seeds", type=int, nargs="*", default=[100, 101])
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--paths", type=int, default=10, help="of each network")
    parser.add_argument("--rtol", type=float, default=1e-2)
    parser.add_argument("--images", type=Path, help="folder of images, read with all its folders")
    parser.add_argument("--checkpoint", type=Path, help="weights of a ResNet18 of the width given")
    parser.add_argument("--batch-norm", action="store_true", help="whether that ResNet18 has batch norm")
    parser.add_argument("--table", action="store_true", help="print the rows as Markdown and do nothing else")
    options = parser.parse_args()
    if options.table:
        print(table())
        return
    for name, model, paths in image_cases(options) if options.images else signal_cases(options):
        row = compared(name, model, paths, options.rtol)
        print(json.dumps(row), write_row(NAME, row), flush=True)


def signal_cases(options: argparse.Namespace) -> Iterator[Case]:
    """Networks trained on MNIST-1D with a fifth of the labels wrong, which makes them bend."""
    data = load_data(DataConfig(name="mnist1d", train_samples=4000, test_samples=1000, label_noise=0.2))
    config = TrainConfig(learning_rate=0.03, batch_size=100, epochs=options.epochs, checkpoint_every=options.epochs)
    for width in options.widths:
        for seed in options.seeds:
            model = build_model("cnn1d", width, data.input_shape, data.classes, seed)
            with tempfile.TemporaryDirectory() as folder:
                train(model, data.train, config, seed, Path(folder) / "checkpoint.safetensors", lambda *_: None)
            yield f"cnn1d-w{width}-seed{seed}", model.eval(), _signal_paths(data.test.inputs, options.paths, seed)


def _signal_paths(signals: Tensor, count: int, seed: int) -> list[transect.Path]:
    generator = torch.Generator().manual_seed(seed)
    chosen = signals[torch.randperm(len(signals), generator=generator)].double()
    circles = math.ceil(count / 2)
    lines = chosen[circles:][: 9 * (count - circles)].split(9)
    return [*transect.paths.shift_scale_circles(chosen[:circles]), *(transect.Path(anchors) for anchors in lines)]


def image_cases(options: argparse.Namespace) -> Iterator[Case]:
    """One ResNet18 along translation circles of images."""
    (width,) = options.widths
    model = resnet18(width, (3, 32, 32), classes=10, batch_norm=options.batch_norm)
    model.load_state_dict(_weights(options.checkpoint))
    mean, std = (torch.tensor(part, dtype=torch.float64).reshape(3, 1, 1) for part in (CIFAR_MEAN, CIFAR_STD))
    images = [(image - mean) / std for image in _images(options.images, options.paths)]
    paths = [transect.paths.translation_circle(image) for image in images]
    yield f"resnet18-w{width}-{options.checkpoint.stem}", model.eval(), paths


def _weights(file: Path) -> dict[str, Tensor]:
    if file.suffix == ".safetensors":
        return safetensors.torch.load_file(file)
    return torch.load(file, weights_only=True)


def _images(folder: Path, count: int) -> Iterator[Tensor]:
    from PIL import Image  # comes with matplotlib

    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in (".png", ".jpg", ".jpeg"))
    if len(files) < count:
        raise SystemExit(f"--images: expected at least {count} images in {folder}, found {len(files)}")
    for index in np.random.default_rng(0).permutation(len(files))[:count]:
        pixels = np.asarray(Image.open(files[index]).convert("RGB"), dtype=np.float64) / 255
        yield torch.from_numpy(pixels).permute(2, 0, 1)


def compared(name: str, model: nn.Module, paths: list[transect.Path], rtol: float) -> dict[str, Any]:
    """Trace and estimate the same paths, and compare."""
    network = transect.capture(model, paths[0].anchors[0])
    traces, trace_s = _timed(lambda: transect.trace(network, paths, keep="measures"))
    fast = transect.capture(model, paths[0].anchors[0], dtype=torch.float32)  # so that neither time includes capture
    estimates, estimate_s = _timed(lambda: transect.estimate(fast, paths, rtol=rtol))
    pairs = list(zip(traces, estimates, strict=True))
    flips = _compare("flips", [(t.flips, e.flips, e.flips_interval) for t, e in pairs])
    exact = [t.reduced["absolute_deviation"].value for t in traces]
    deviations = [(x, e.absolute_deviation(), e.interval("absolute_deviation")) for x, (_, e) in zip(exact, pairs)]
    samples = torch.cat([e.samples for e in estimates])
    allowed = torch.cat([(t.crossings / 100).clamp_min(LEAST_SAMPLES) for t in traces])
    return {
        "case": name,
        "rtol": rtol,
        "paths": len(paths),
        "segments": len(samples),
        "flips_a_path": sum(int(t.flips.sum()) for t in traces) / len(paths),
        **flips,
        **_compare("deviation", deviations),
        "samples": samples.double().mean().item(),
        "most_samples": int(samples.max()),
        "segments_over_limit": int((samples > allowed).sum()),
        "not_converged": int(sum((~e.converged).sum() for e in estimates)),
        "trace_s": trace_s,
        "estimate_s": estimate_s,
    }


def _compare(name: str, values: list[tuple[Tensor, Tensor, Tensor]]) -> dict[str, float]:
    """Errors and coverage, from exact values, estimates and intervals of the segments of every path."""
    errors, paths, segments, widths = [], [], [], []
    for exact, estimated, interval in values:
        both = torch.stack([part.double() for part in (exact, estimated)])
        whole = (both if both.dim() == 2 else both.norm(dim=2)).sum(1)
        errors.append((whole[1] / whole[0] - 1).abs())
        paths.append(_inside(both[0].sum(0), interval.sum(0)))
        segments.append(_inside(both[0], interval))
        widths.append((interval.sum(0).diff(dim=-1).squeeze(-1) / both[0].sum(0)).reshape(-1))
    return {
        f"{name}_error": torch.stack(errors).mean().item(),
        f"{name}_worst": torch.stack(errors).max().item(),
        f"{name}_coverage": torch.cat(paths).mean().item(),
        f"{name}_segment_coverage": torch.cat(segments).mean().item(),
        f"{name}_width": torch.cat(widths).mean().item(),
    }


def _inside(exact: Tensor, interval: Tensor) -> Tensor:
    low, high = interval.unbind(-1)
    return ((exact >= low) & (exact <= high)).double().reshape(-1)


def _timed(work: Any) -> tuple[Any, float]:
    began = time.perf_counter()
    return work(), time.perf_counter() - began


def table() -> str:
    """The rows in Markdown, the means over all paths, and where they were made."""
    rows = list(read_rows(NAME).values())
    one = ("error, worst", "in interval: paths, segments", "its width")
    columns = ("case", "paths", "flips a path", *(f"{name}: {part}" for name in ("flips", "deviation") for part in one),
               "samples a segment, most", "trace, estimate")  # fmt: skip
    places = dict.fromkeys(described(row) for row in rows)
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|", *map(_line_of, rows)]
    return "\n".join([*lines, "", _summary(rows), "", *places])


def _line_of(row: dict[str, Any]) -> str:
    measured = " | ".join(
        f"{row[f'{name}_error']:.3%}, {row[f'{name}_worst']:.3%} | {row[f'{name}_coverage']:.1%}, "
        f"{row[f'{name}_segment_coverage']:.1%} | {row[f'{name}_width']:.1%}"
        for name in ("flips", "deviation")
    )
    return (
        f"| {row['case']} | {row['paths']} | {row['flips_a_path']:,.0f} | {measured} "
        f"| {row['samples']:.0f}, {row['most_samples']} | {row['trace_s']:.1f} s, {row['estimate_s']:.1f} s |"
    )


def _summary(rows: list[dict[str, Any]]) -> str:
    paths = sum(row["paths"] for row in rows)

    def told(name: str) -> str:
        error, coverage = (sum(row[f"{name}_{part}"] * row["paths"] for row in rows) / paths
                           for part in ("error", "coverage"))  # fmt: skip
        worst = max(row[f"{name}_worst"] for row in rows)
        return f"{name} off by {error:.3%} on average and {worst:.3%} at worst, in the interval in {coverage:.1%}"

    over, left = (sum(row[name] for row in rows) for name in ("segments_over_limit", "not_converged"))
    return (
        f"{paths} paths: {told('flips')}; {told('deviation')}; {over} segments took more than "
        f"max(129, crossings / 100) samples, {left} did not converge."
    )


if __name__ == "__main__":
    main()
