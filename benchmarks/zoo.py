"""Well-known networks, traced exactly and compared with the modules themselves: the table of the documentation.

    python benchmarks/zoo.py [--names NAME ...] [--only-missing | --again | --verify] [--table]

Every network has random weights from a fixed seed, batch norm statistics near those of noise, and the smallest images
it takes. It is traced on a short piece of the way between two noise images, long enough for about a thousand crossings,
and compared with a float64 copy of the module at 1,000 random points of that segment. ``difference`` is the largest
difference of an output, relative to the largest output; ``to_change`` relative to the largest change of an output
along the segment, which is much less. The first fifth of the segment is traced with ``verify="all"`` too: in the middle
of every region the outputs are compared with the exported program and the module itself, and the piece of every unit.
``--verify`` does only this, for rows that are there. Nothing is fetched.
Times are of the processor, not of the clock: what else a machine does hardly changes them.

Each network runs in a process of its own, and its row is written as soon as it is there: what was interrupted goes on
where it was. ``--table`` prints the rows as Markdown.
"""

from __future__ import annotations

import argparse
import copy
import importlib
import importlib.util
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

import transect
from environment import described, read_rows, write_row
from transect.errors import UnsupportedModel

NAME = "zoo"
CROSSINGS, POINTS, BATCH = 1000, 1000, 25
VERIFIED = 0.2  # part of the stretch of which every region is compared
PROBE = 1e-5  # part of the way on which crossings are counted, to choose how far to go


@dataclass(frozen=True)
class Entry:
    """A network of the zoo.

    Attributes:
        package: Package it comes from.
        make: Makes it, from that package, with random weights.
        shape: Shape of one input: the smallest that suits it.
        output: Key of its output, where it returns a dictionary.
        outputs: Indices of the outputs to trace, where all would be too many.
    """

    package: str
    make: Callable[[Any], nn.Module]
    shape: tuple[int, ...] = (3, 32, 32)
    output: str | None = None
    outputs: tuple[int, ...] | None = None


def _vision(name: str, shape: tuple[int, ...] = (3, 32, 32), **options: Any) -> Entry:
    return Entry("torchvision", lambda package: package.models.get_model(name, weights=None, **options), shape)


def _segmentation(name: str) -> Entry:
    """Four pixels of the first two classes of 21, in an image of 32 by 32."""
    pixels = tuple(1024 * label + 32 * row + column for label in (0, 1) for row in (5, 20) for column in (7, 28))
    return Entry(
        "torchvision",
        lambda package: package.models.get_model(name, weights=None, weights_backbone=None),
        output="out",
        outputs=pixels,
    )


def _timm(name: str) -> Entry:
    return Entry("timm", lambda package: package.create_model(name, pretrained=False))


def _transformers_resnet(package: Any) -> nn.Module:
    config = package.ResNetConfig(depths=[2, 2, 2, 2], hidden_sizes=[64, 128, 256, 512], layer_type="basic")
    return package.ResNetForImageClassification(config)


_PLAIN = """vgg11 vgg13 vgg16 vgg19 vgg11_bn vgg13_bn vgg16_bn vgg19_bn resnet18 resnet34 resnet50 resnet101 resnet152
resnext50_32x4d wide_resnet50_2 densenet121 densenet161 densenet169 densenet201 squeezenet1_0 squeezenet1_1
shufflenet_v2_x0_5 shufflenet_v2_x1_0 shufflenet_v2_x1_5 shufflenet_v2_x2_0 mobilenet_v2 mnasnet0_5 mnasnet0_75
mnasnet1_0 mnasnet1_3 regnet_x_400mf regnet_x_800mf regnet_x_1_6gf regnet_x_3_2gf regnet_x_8gf regnet_x_16gf
regnet_x_32gf""".split()

TRACED: dict[str, Entry] = {
    "alexnet": _vision("alexnet", (3, 63, 63)),
    **{name: _vision(name) for name in _PLAIN},
    "googlenet": _vision("googlenet", init_weights=False),
    "inception_v3": _vision("inception_v3", (3, 75, 75), init_weights=False),
    "fcn_resnet50": _segmentation("fcn_resnet50"),
    "deeplabv3_resnet50": _segmentation("deeplabv3_resnet50"),
    "r3d_18": _vision("r3d_18", (3, 4, 16, 16)),
    "timm resnet18": _timm("resnet18"),
    "timm repvgg_a0": _timm("repvgg_a0"),
    "transformers ResNet": Entry("transformers", _transformers_resnet, output="logits"),
}

REFUSED: dict[str, Entry] = {
    "efficientnet_b0": _vision("efficientnet_b0"),
    "convnext_tiny": _vision("convnext_tiny"),
    "vit_b_16": _vision("vit_b_16", image_size=32),
    "swin_t": _vision("swin_t"),
    "mobilenet_v3_small": _vision("mobilenet_v3_small"),
    "regnet_y_400mf": _vision("regnet_y_400mf"),
}

ZOO = TRACED | REFUSED


def main() -> None:
    """Run the networks, each in its own process; exit with 1 if one of them failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", nargs="*", choices=ZOO, default=list(ZOO), metavar="NAME")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--only-missing", action="store_true", help="leave rows that are there alone (the default)")
    which.add_argument("--again", action="store_true", help="make rows anew")
    which.add_argument("--verify", action="store_true", help="verify every region again, for rows that are there")
    parser.add_argument("--table", action="store_true", help="print the rows as Markdown and do nothing else")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(verified_again(options.one) if options.verify else row_of(options.one)))
    elif options.table:
        print(table())
    else:
        there = read_rows(NAME)
        traced = [name for name in options.names if name in there and name in TRACED]
        missing = [name for name in options.names if options.again or name not in there]
        sys.exit(run(traced if options.verify else missing, options.verify))


def run(names: Iterable[str], only_verify: bool = False) -> int:
    """Make and write one row after the other, or verify those that are there again; 1 if one of them failed, else 0."""
    failed = 0
    for name in names:
        if not installed(ZOO[name].package):
            print(f"{name}: left out, {ZOO[name].package} is not installed", flush=True)
            continue
        command = [sys.executable, __file__, "--one", name, *(["--verify"] if only_verify else [])]
        made = subprocess.run(command, check=False, capture_output=True, text=True)
        if made.returncode:
            failed = 1
            print(f"{name}: FAILED\n{made.stderr.strip()[-2000:]}", flush=True)
            continue
        row = json.loads(made.stdout.splitlines()[-1])
        write_row(NAME, row)
        print(json.dumps(row), flush=True)
    return failed


def row_of(
    name: str, crossings: int = CROSSINGS, points: int = POINTS, model: nn.Module | None = None
) -> dict[str, Any]:
    """Trace a network on a segment with about so many crossings and compare, or list what it is refused for."""
    entry, model = ZOO[name], build(name) if model is None else model
    described = {"case": name, "package": entry.package, "input": "x".join(map(str, entry.shape))}
    began = time.process_time()
    try:
        network = captured(name, model)
    except UnsupportedModel as error:
        if name in TRACED:
            raise
        return described | {"refused": problems(error), "capture_s": time.process_time() - began}
    if name in REFUSED:
        raise AssertionError(f"{name} should have been refused")
    seconds = {"capture_s": time.process_time() - began}
    part, path = segment(network, entry, crossings)
    began = time.process_time()
    trace = transect.trace(network, path, outputs=entry.outputs)
    seconds["trace_s"] = time.process_time() - began
    return described | {
        "bending_operations": len(network.operations),
        "units": sum(network.units),
        "part": part,
        "length": float(path.length),
        "crossings": int(trace.crossings),
        "flips": int(trace.flips),
        "unresolved": len(trace.unresolved),
        "outputs": len(trace.outputs),
        "points": points,
        **differences(entry, model, trace, points),
        **verified(network, entry, path),
        **seconds,
    }


def verified(network: transect.Network, entry: Entry, path: transect.Path) -> dict[str, Any]:
    """The first part of a path traced, and traced again with every region compared: what was found, and both times."""
    stretch: dict[str, Any] = {"outputs": entry.outputs, "between": (0, VERIFIED), "keep": "measures"}
    began = time.process_time()
    transect.trace(network, path, **stretch)
    plain = time.process_time() - began
    began = time.process_time()
    proved = transect.trace(network, path, verify="all", **stretch).verification
    return {
        "regions_verified": proved.regions,
        "pieces_verified": proved.pieces,
        "within_rounding": proved.within_rounding,
        "module_dtype": proved.module_dtype,
        "module_difference": proved.module_error / proved.scale,
        "stretch_s": plain,
        "verified_stretch_s": time.process_time() - began,
    }


def verified_again(name: str) -> dict[str, Any]:
    """The row of a network as it is, with what :func:`verified` finds now."""
    row, entry = read_rows(NAME)[name], ZOO[name]
    network = captured(name, build(name))
    return row | verified(network, entry, _piece(entry.shape, row["part"]))


def installed(package: str) -> bool:
    """Whether the package can be imported."""
    return importlib.util.find_spec(package) is not None


def build(name: str) -> nn.Module:
    """A network in evaluation mode, random from a fixed seed, with non-trivial batch norm statistics."""
    torch.manual_seed(0)
    entry = ZOO[name]
    model = entry.make(importlib.import_module(entry.package)).eval()
    set_statistics(model, entry.shape)
    return model


def set_statistics(model: nn.Module, shape: tuple[int, ...]) -> None:
    """Batch norm statistics of noise, disturbed: without them deep networks forget their input, and nothing bends."""
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    momenta = [module.momentum for module in norms]
    for module in norms:
        module.train().momentum = 1.0
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        if norms:
            model(torch.randn(16, *shape, generator=generator))
        for module, momentum in zip(norms, momenta, strict=True):
            module.eval().momentum = momentum
            scatter = torch.randn(2, module.num_features, generator=generator)
            module.running_mean.add_(0.1 * module.running_var.sqrt() * scatter[0])
            module.running_var.mul_((0.1 * scatter[1]).exp())


def captured(name: str, model: nn.Module) -> transect.Network:
    """The network in float64."""
    entry = ZOO[name]
    chosen = {} if entry.output is None else {"output": entry.output}
    return transect.capture(model, noise(entry.shape)[0], **chosen)


def noise(shape: tuple[int, ...]) -> Tensor:
    """Two noise images."""
    return torch.randn(2, *shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def segment(network: transect.Network, entry: Entry, crossings: int) -> tuple[float, transect.Path]:
    """A piece of the way from one noise image to the other with about so many crossings, and what part of it."""
    part = PROBE
    while True:
        trace = transect.trace(network, _piece(entry.shape, part), outputs=entry.outputs, keep="measures", verify=False)
        found = int(trace.crossings)
        if found >= crossings / 3 or part == 1:
            return part, _piece(entry.shape, part)
        part = min(1.0, float(f"{part * min(10.0, crossings / max(found, 1)):.1e}"))


def _piece(shape: tuple[int, ...], part: float) -> transect.Path:
    first, second = noise(shape)
    return transect.Path(torch.stack([first, torch.lerp(first, second, part)]))


def differences(entry: Entry, model: nn.Module, trace: transect.Trace, points: int) -> dict[str, float]:
    """Of the trace and a float64 copy of the module, at random points: the largest, in two units."""
    exact, kept = copy.deepcopy(model).double(), trace.segments[0]
    t = torch.rand(points, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    start, end = trace.path.anchors
    worst = 0.0
    for some in t.split(BATCH):
        weight = some.reshape(-1, *(1,) * start.dim())
        with torch.no_grad():
            made = exact(torch.lerp(start, end, weight))
        made = (made if entry.output is None else made[entry.output]).flatten(1)[:, list(trace.outputs)]
        worst = max(worst, float((made - interpolated(kept, some)).abs().max()))
    change = float((kept.outputs - kept.outputs[0]).abs().max())
    return {"difference": worst / float(kept.outputs.abs().max()), "to_change": worst / change}


def interpolated(kept: Any, t: Tensor) -> Tensor:
    """Outputs at the positions ``t``: affine between the knots."""
    right = torch.searchsorted(kept.t, t).clamp(1, len(kept.t) - 1)
    left = right - 1
    weight = ((t - kept.t[left]) / (kept.t[right] - kept.t[left])).unsqueeze(1)
    return torch.lerp(kept.outputs[left], kept.outputs[right], weight)


def problems(error: UnsupportedModel) -> list[dict[str, str]]:
    """Operation, module and reason of everything the error lists."""
    return [{"operation": p.operation, "module": p.module, "reason": p.reason} for p in error.problems]


def table() -> str:
    """Two tables in Markdown: what was traced, and what was refused."""
    rows = read_rows(NAME)
    traced = [_traced_line(rows[name]) for name in TRACED if name in rows]
    refused = [_refused_line(rows[name]) for name in REFUSED if name in rows]
    head = "| network | input | bending operations | units | crossings | part of the way | difference | to the change "
    head += '| pieces verified | within rounding | time | time with `verify="all"` |'
    lines = [head, "|---|---|---|---|---|---|---|---|---|---|---|---|", *traced]
    places = dict.fromkeys(described(row) for row in rows.values())
    return "\n".join([*lines, "", "| refused | input | for |", "|---|---|---|", *refused, "", *places])


def _traced_line(row: dict[str, Any]) -> str:
    counts = f"{row['bending_operations']} | {row['units']:,} | {row['crossings']:,}"
    sizes = f"{row['part']:.1e} | {row['difference']:.0e} | {row['to_change']:.0e}"
    if "stretch_s" not in row:  # a row made before every region was verified
        return f"| {row['case']} | {row['input']} | {counts} | {sizes} | | | | |"
    proved = f"{row['pieces_verified']:,} | {row['within_rounding']:,}"
    times = f"{row['stretch_s']:.1f} s | {row['verified_stretch_s']:.1f} s"
    return f"| {row['case']} | {row['input']} | {counts} | {sizes} | {proved} | {times} |"


def _refused_line(row: dict[str, Any]) -> str:
    counts = Counter(found["operation"] for found in row["refused"])
    return f"| {row['case']} | {row['input']} | {', '.join(f'{count} {name}' for name, count in counts.items())} |"


if __name__ == "__main__":
    main()
