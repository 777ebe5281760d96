"""Tracing against the plain batched forward pass over the trace's own knots.

    python benchmarks/trace_against_forward.py [--pairs 3] [--cases NAME ...] [--table]

``ratio`` is the time of the trace divided by the time of the forward pass at its knots: same dtype, same threads, the
best of several batch sizes, measured in turn. ``peak_mib`` is what the trace adds to the process's resident memory.
Each case runs in a process of its own, so that its memory is its own. ``--table`` prints the rows as Markdown.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import transect
from environment import described, read_rows, reset_peak, resident_bytes, write_row
from transect.study.models.resnet import resnet18

NAME = "trace_against_forward"
BATCHES = (16, 32, 64, 128)


def _model(width: int) -> nn.Module:
    """A ResNet18 as initialised by PyTorch, with non-trivial batch norm statistics."""
    torch.manual_seed(0)
    model = resnet18(width, (3, 32, 32), classes=10, batch_norm=True)
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.copy_(0.1 * torch.randn(module.num_features, generator=generator))
            module.running_var.copy_(0.5 + torch.rand(module.num_features, generator=generator))
    return model.eval()


def _noise(images: int, seed: int = 2) -> Tensor:
    return torch.randn(images, 3, 32, 32, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _short_segments() -> transect.Path:
    """Eight segments, each a thirtieth of the way to another noise image."""
    anchors = [_noise(1)[0]]
    for target in _noise(8, seed=3):
        anchors.append(torch.lerp(anchors[-1], target, 1 / 30))
    return transect.Path(torch.stack(anchors))


def _line(part: float = 1.0) -> transect.Path:
    first, second = _noise(2)
    return transect.Path(torch.stack([first, torch.lerp(first, second, part)]))


CASES: dict[str, tuple[int, torch.dtype, Callable[[], transect.Path]]] = {
    "resnet18-w4-8-segments": (4, torch.float64, _short_segments),
    "resnet18-w4-line": (4, torch.float64, lambda: _line(0.5)),
    "resnet18-w4-line-float32": (4, torch.float32, lambda: _line(0.5)),
    "resnet18-w16-noise": (16, torch.float64, _line),
}
ONCE = ("resnet18-w16-noise",)  # takes many minutes: traced once, for its memory, and not timed against a forward pass


def main() -> None:
    """Run the cases, each in its own process, and write one JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--cases", nargs="*", default=list(CASES))
    parser.add_argument("--table", action="store_true", help="print the rows as Markdown and do nothing else")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(run_case(options.one, options.pairs)))
        return
    if options.table:
        print(table())
        return
    for name in options.cases:
        command = [sys.executable, __file__, "--one", name, "--pairs", str(options.pairs)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        row = json.loads(output.splitlines()[-1])
        print(json.dumps(row), write_row(NAME, row), flush=True)


def table() -> str:
    """The rows in Markdown, and where they were made."""
    rows = list(read_rows(NAME).values())
    columns = ("case", "crossings", "trace", "forward at its knots (best batch)", "ratio (pairs)", "peak", "error")
    head = f"| {' | '.join(columns)} |"
    places = dict.fromkeys(described(row) for row in rows)
    return "\n".join([head, "|---" * len(columns) + "|", *map(_line_of, rows), "", *places])


def _line_of(row: dict[str, Any]) -> str:
    timed, ratio = "", ""
    if row["forward_s"]:
        timed = f"{row['forward_s']:.1f} s ({row['forward_batch']})"
        ratio = f"{row['ratio']:.2f} ({', '.join(f'{one:.2f}' for one in row['ratios'])})"
    measured = f"{row['trace_s']:.1f} s | {timed} | {ratio} | {row['peak_mib']:.0f} MiB | {row['relative_error']:.0e}"
    return f"| {row['case']} | {row['crossings']:,} | {measured} |"


def run_case(name: str, pairs: int) -> dict[str, Any]:
    """Time one case; the first trace is a warm-up and counts the memory."""
    width, dtype, make_path = CASES[name]
    path = make_path()
    network = transect.capture(_model(width), path.anchors[0], dtype=dtype)
    module = _model(width).to(dtype)
    before = resident_bytes("VmRSS")
    reset_peak()
    began = time.perf_counter()
    trace = transect.trace(network, path, keep="measures")
    seconds = time.perf_counter() - began
    peak = resident_bytes("VmHWM") - before
    knots = None if name in ONCE else transect.trace(network, path).segments
    traced, forward, best = [seconds] if name in ONCE else [], [], 0
    for _ in range(0 if name in ONCE else pairs):
        traced.append(_timed(lambda: transect.trace(network, path, keep="measures", verify=False)))
        if knots is not None:
            seconds, best = min((_timed(lambda b=b: _forward(module, path, knots, b)), b) for b in BATCHES)
            forward.append(seconds)
    ratios = [a / b for a, b in zip(traced, forward, strict=False)]
    return {
        "case": name,
        "segments": len(path),
        "crossings": int(trace.crossings.sum()),
        "relative_error": trace.verification.relative_error,
        "trace_s": statistics.median(traced),
        "forward_s": statistics.median(forward) if forward else None,
        "forward_batch": best,
        "ratio": statistics.median(ratios) if ratios else None,
        "ratios": ratios,
        "peak_mib": peak / 2**20,
    }


def _forward(module: nn.Module, path: transect.Path, knots: Any, batch: int) -> None:
    with torch.no_grad():
        for start, end, segment in zip(path.starts, path.ends, knots, strict=True):
            for t in segment.t.split(batch):
                weight = t.reshape(-1, 1, 1, 1)
                module(torch.lerp(start, end, weight).to(next(module.parameters()).dtype))


def _timed(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
