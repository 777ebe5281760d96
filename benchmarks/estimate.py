"""Estimates against exact traces in float64, on trained networks.

    python benchmarks/estimate.py [--widths 8 16 32 50] [--seeds 100 101 102 103 104] [--paths 25] [--table]
    python benchmarks/estimate.py --images FOLDER [--widths 2 4] [--seeds 100] [--paths 10] [--checkpoints FOLDER]

Without ``--images``, convolutional networks on MNIST-1D are trained here, each in seconds; half of the paths are
circles around test signals, half lines between them. With it, ResNet18s with batch norm are trained on the images of
``FOLDER/train/<class>/*`` (minutes each; their weights are kept in ``--checkpoints`` and found there the next time),
and paths are translation circles of images of ``FOLDER/test/<class>/*``, five in a row of the results. The constants of
the estimates were chosen on networks of seeds 0 and 1: take others.

The trace is in float64, the estimate in float32. Errors are those of a whole path, across outputs the l2 norm:
|estimate / exact - 1|. Coverage is the share of paths, and for deviations of outputs of paths, whose exact value lies
in the stated interval, the sum of those of its segments; of these intervals the mean width relative to the exact value
is given, and the coverage of single segments. Rows are written as they come; those that are there, made with the same
settings, are not made again (``--again`` does). ``--table`` prints them as Markdown.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

import networks
import training
import transect
from environment import markdown, read_rows
from processes import keep
from timing import timed
from transect.study.models.architectures import resnet18

NAME = "estimate"
CHECKPOINTS = Path(__file__).parents[1] / "runs" / "benchmarks"
LEAST_SAMPLES = 129  # of a segment; or a hundredth of its crossings where that is more
TOGETHER = 5  # paths around images of one row: minutes of work

Settings = dict[str, Any]
Paths = list[transect.Path]


def main() -> None:
    """Run the cases and write each row as it comes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--widths", type=int, nargs="*", help="8 16 32 50; with --images 2 4")
    parser.add_argument("--seeds", type=int, nargs="*", help="100 to 104; with --images 100")
    parser.add_argument("--epochs", type=int, help="100; with --images 20")
    parser.add_argument("--paths", type=int, help="of each network: 25; with --images 10")
    parser.add_argument("--rtol", type=float, default=1e-2)
    parser.add_argument("--images", type=Path, help="folder with train/<class>/* and test/<class>/*")
    parser.add_argument("--train-images", type=int, default=8000)
    parser.add_argument("--checkpoints", type=Path, default=CHECKPOINTS, help="where trained ResNet18s are kept")
    parser.add_argument("--again", action="store_true", help="make rows anew")
    parser.add_argument("--table", action="store_true", help="print the rows as Markdown and do nothing else")
    options = parser.parse_args()
    if options.table:
        print(table())
    elif options.images:
        image_rows(_with_defaults(options, [2, 4], [100], 20, 10))
    else:
        signal_rows(_with_defaults(options, [8, 16, 32, 50], [100, 101, 102, 103, 104], 100, 25))


def _with_defaults(
    options: argparse.Namespace, widths: list[int], seeds: list[int], epochs: int, paths: int
) -> argparse.Namespace:
    for name, value in {"widths": widths, "seeds": seeds, "epochs": epochs, "paths": paths}.items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


def signal_rows(options: argparse.Namespace) -> None:
    """Networks trained on MNIST-1D with a fifth of the labels wrong, which makes them bend."""
    settings = {"rtol": options.rtol, "paths": options.paths, "epochs": options.epochs}
    wanted = {f"cnn1d-w{width}-seed{seed}": (width, seed) for width in options.widths for seed in options.seeds}
    todo = [name for name in wanted if options.again or not done(name, settings)]
    data = training.mnist1d(train=4000, test=1000, noise=0.2) if todo else None
    for name in todo:
        assert data is not None
        width, seed = wanted[name]
        model = networks.cnn1d(width, seed)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.03, momentum=0.9)
        training.train(model, data, optimizer, options.epochs, batch=100, seed=seed)
        paths = _signal_paths(data.test, options.paths, seed)
        keep(NAME, compared(name, settings | _errors(model, data), model, paths))


def _signal_paths(signals: Tensor, count: int, seed: int) -> Paths:
    generator = torch.Generator().manual_seed(seed)
    chosen = signals[torch.randperm(len(signals), generator=generator)].double()
    circles = math.ceil(count / 2)
    lines = chosen[circles:][: 9 * (count - circles)].split(9)
    return [*transect.paths.shift_scale_circles(chosen[:circles]), *(transect.Path(anchors) for anchors in lines)]


def image_rows(options: argparse.Namespace) -> None:
    """ResNet18s along translation circles of test images, some at a time."""
    data = training.images(options.images, options.train_images, test=2000)
    circles = _image_paths(data.test, options.paths)
    settings = {"rtol": options.rtol, "epochs": options.epochs, "train_images": options.train_images}
    for width in options.widths:
        for seed in options.seeds:
            model: nn.Module | None = None
            for first in range(0, len(circles), TOGETHER):
                paths = circles[first : first + TOGETHER]
                name = f"resnet18-w{width}-seed{seed}, circles {first + 1} to {first + len(paths)}"
                if not options.again and done(name, settings | {"paths": len(paths)}):
                    continue
                model = model or trained_resnet(width, seed, data, options)
                keep(NAME, compared(name, settings | {"paths": len(paths)} | _errors(model, data), model, paths))


def _image_paths(images: Tensor, count: int) -> Paths:
    """Around images of all classes: normalisation commutes with translation."""
    chosen = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[:count]
    return transect.paths.translation_circles(images[chosen].double())


def trained_resnet(width: int, seed: int, data: training.Data, options: argparse.Namespace) -> nn.Module:
    """A trained ResNet18: from its file, or trained now and written to it."""
    file = options.checkpoints / f"resnet18-w{width}-seed{seed}-{options.train_images}-images-{options.epochs}-epochs"
    file = file.with_name(f"{file.name}.safetensors")
    torch.manual_seed(seed)
    model = resnet18(width, tuple(data.train.shape[1:]), training.CLASSES, batch_norm=True)
    if file.exists():
        model.load_state_dict(safetensors.torch.load_file(file))
        return model.eval()
    training.train(model, data, torch.optim.Adam(model.parameters(), lr=1e-3), options.epochs, batch=128, seed=seed)
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f"{file.name}.part")
    safetensors.torch.save_file(model.state_dict(), partial)
    partial.replace(file)
    return model


def _errors(model: nn.Module, data: training.Data) -> dict[str, float]:
    return {
        "train_error": training.error(model, data.train, data.labels),
        "test_error": training.error(model, data.test, data.test_labels),
    }


def done(name: str, settings: Settings) -> bool:
    """Whether there is a row of this name, made with these settings."""
    row = read_rows(NAME).get(name)
    return row is not None and all(row.get(key) == value for key, value in settings.items())


def compared(name: str, settings: Settings, model: nn.Module, paths: Paths) -> dict[str, Any]:
    """Trace and estimate the same paths, and compare."""
    network = transect.capture(model, paths[0].anchors[0])
    fast = transect.capture(model, paths[0].anchors[0], dtype=torch.float32)  # so that neither time includes capture
    traces, estimates = [], []
    trace_s = timed(lambda: traces.extend(transect.trace(network, paths, keep="measures")))
    estimate_s = timed(lambda: estimates.extend(transect.estimate(fast, paths, rtol=settings["rtol"])))
    pairs = list(zip(traces, estimates, strict=True))
    exact = [t.reduced["absolute_deviation"].value for t in traces]
    deviations = [(x, e.absolute_deviation(), e.interval("absolute_deviation")) for x, (_, e) in zip(exact, pairs)]
    samples = torch.cat([e.samples for e in estimates])
    allowed = torch.cat([(t.crossings / 100).clamp_min(LEAST_SAMPLES) for t in traces])
    return {
        "case": name,
        **settings,
        "segments": len(samples),
        "flips_a_path": sum(int(t.flips.sum()) for t in traces) / len(paths),
        **_compare("flips", [(t.flips, e.flips, e.flips_interval) for t, e in pairs]),
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


def table() -> str:
    """One line a network, the means over all paths, and where they were made."""
    one = ("error, worst", "in interval: paths, segments", "its width")
    columns = ("case", "test error", "paths", "flips a path",
               *(f"{name}: {part}" for name in ("flips", "deviation") for part in one),
               "samples a segment, most", "trace, estimate")  # fmt: skip
    return markdown(NAME, columns, _cells, summary=summary)


def _cells(row: dict[str, Any]) -> list[str]:
    measured = [
        cell
        for name in ("flips", "deviation")
        for cell in (
            f"{row[f'{name}_error']:.2%}, {row[f'{name}_worst']:.2%}",
            f"{row[f'{name}_coverage']:.1%}, {row[f'{name}_segment_coverage']:.1%}",
            f"{row[f'{name}_width']:.1%}",
        )
    ]
    return [
        row["case"], f"{row['test_error']:.2f}", f"{row['paths']}", f"{row['flips_a_path']:,.0f}", *measured,
        f"{row['samples']:.0f}, {row['most_samples']}", f"{row['trace_s']:.1f} s, {row['estimate_s']:.1f} s",
    ]  # fmt: skip


def summary(rows: list[dict[str, Any]]) -> str:
    """What holds over all paths, in a sentence a group of networks."""
    groups = {"MNIST-1D CNNs": "cnn1d", "ResNet18s on images": "resnet18"}
    chosen = {told: [row for row in rows if row["case"].startswith(kind)] for told, kind in groups.items()}
    return "\n\n".join(_sentence(told, some) for told, some in chosen.items() if some)


def _sentence(what: str, rows: list[dict[str, Any]]) -> str:
    paths = sum(row["paths"] for row in rows)

    def mean(key: str) -> float:
        return sum(row[key] * row["paths"] for row in rows) / paths

    told = [
        f"{name} off by {mean(f'{name}_error'):.2%} on average and {max(row[f'{name}_worst'] for row in rows):.2%} at "
        f"worst, in the interval in {mean(f'{name}_coverage'):.1%}"
        for name in ("flips", "deviation")
    ]
    over, left = (sum(row[name] for row in rows) for name in ("segments_over_limit", "not_converged"))
    return (
        f"**{what}, {paths} paths**: {'; '.join(told)}; {over} segments took more than max(129, crossings / 100) "
        f"samples, {left} did not converge."
    )


if __name__ == "__main__":
    main()
