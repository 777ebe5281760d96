"""Exact two-dimensional slices: against regioncam, against a plain forward pass, and from ten thousand regions on.

    pip install regioncam
    python benchmarks/slices.py [--cases NAME ...] [--pairs N] [--only-missing] [--table]

``mlp`` cases: three MLPs as PyTorch initialises them. Ours in float64 beside regioncam, in float32, timed in
turn, and the regions of both. Other cases: a slice in float64 with ``keep="measures"`` beside one plain forward pass of
the module at its vertices (every n-th where that would take minutes, the time multiplied), in the batch size that is
fastest for some of them; a stride-2 ConvNet, and ResNet18 of width 4 with batch norm, between noise images. ``growing``
cases: an MLP on ever larger domains, up to a million regions; the time of a region relative to the first, and what the
slice adds to the memory of the process. One thread each; every case runs in a process of its own.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

import networks
import noise
import transect
from environment import markdown
from options import parser, wanted
from processes import run_alone
from timing import Peak, in_turn, median_ratio, ratios, timed
from trace_against_forward import BATCHES, best_batch, forward

NAME = "slices"


@dataclass(frozen=True)
class Case:
    """A network and a plane.

    Attributes:
        model: Makes the network, in float32.
        plane: Makes the plane.
        beside: What is timed beside it: ``"regioncam"``, ``"forward"`` or nothing.
        every: The forward pass takes every so many-th vertex.
        pairs: How often.
    """

    model: Callable[[], nn.Module]
    plane: Callable[[], transect.Plane]
    beside: str = ""
    every: int = 1
    pairs: int = 5


def _mlp(sizes: tuple[int, ...], side: float, beside: str = "regioncam", pairs: int = 5) -> Case:
    """An MLP on a square through noise inputs."""
    return Case(lambda: networks.mlp(*sizes), lambda: _square(sizes[0], side), beside, pairs=pairs)


def _square(inputs: int, side: float) -> transect.Plane:
    half = side / 2
    corners = [(-half, -half), (half, -half), (half, half), (-half, half)]
    if inputs == 2:
        return transect.Plane(torch.zeros(2), [1.0, 0.0], [0.0, 1.0], corners)
    through = transect.Plane.through(*noise.noise(3, seed=1, shape=(inputs,)))
    return transect.Plane(through.origin, through.u, through.v, corners)


def _window(part: float) -> transect.Plane:
    """That part of the extent of a triangle between noise images, around its middle."""
    plane = transect.Plane.through(*noise.noise(3, seed=1), margin=0.0)
    reach = part * (plane.corners.amax(0) - plane.corners.amin(0)) / 2
    return plane.window((-reach).tolist(), reach.tolist())


WIDE, LARGE = (784, 256, 256, 256, 10), (784, 640, 640, 640, 10)
CASES = {
    "mlp 2-64-64-64-3": _mlp((2, 64, 64, 64, 3), 3.0, pairs=15),
    "mlp 64-128-128-128-10": _mlp((64, 128, 128, 128, 10), 30.0, pairs=7),
    "mlp 784-256-256-256-10": _mlp(WIDE, 40.0, pairs=3),
    "convnet 12-24-48, stride 2": Case(lambda: _strided(), lambda: _window(0.06), "forward"),
    "resnet18-w4-bn, 40,000 regions": Case(lambda: _resnet(), lambda: _window(0.0072), "forward", every=4, pairs=3),
    "resnet18-w4-bn, 230,000 regions": Case(lambda: _resnet(), lambda: _window(0.0178), "forward", every=16, pairs=1),
    "growing, side 4": _mlp(LARGE, 4.0, "", pairs=5),
    "growing, side 14": _mlp(LARGE, 14.0, "", pairs=3),
    "growing, side 70": _mlp(LARGE, 70.0, "", pairs=1),
}


def _strided() -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 12, 3, 2, 1), nn.ReLU(), nn.Conv2d(12, 24, 3, 2, 1), nn.ReLU(), nn.Conv2d(24, 48, 3, 2, 1)]
    return nn.Sequential(*layers, nn.ReLU(), nn.Flatten(), nn.Linear(768, 10))


def _resnet() -> nn.Module:
    return networks.resnet18(4)


def main() -> None:
    """Run the cases, each in its own process, and write each row as it comes."""
    torch.set_num_threads(1)  # so that the environment written says so, too
    arguments = parser(__doc__, CASES, one=True)
    arguments.add_argument("--pairs", type=int, help="instead of the case's own number")
    options = arguments.parse_args()
    if options.table:
        print(table())
    elif options.one:
        print(json.dumps(row_of(options.one, CASES[options.one], options.pairs)))
    else:
        more = [] if options.pairs is None else ["--pairs", str(options.pairs)]
        sys.exit(run_alone(NAME, __file__, wanted(NAME, options), *more))


def row_of(name: str, case: Case, pairs: int | None) -> dict[str, Any]:
    """Slice a case, beside what it is compared with."""
    plane, module = case.plane(), case.model()
    network, pairs = transect.capture(module, plane.origin), pairs or case.pairs
    small = plane.window(*(corner / 50 for corner in (plane.corners.amin(0), plane.corners.amax(0))))
    transect.slice(network, small, keep="measures")  # warms up
    found: dict[str, transect.Slice] = {}
    with Peak() as peak:
        found["slice"] = transect.slice(network, plane, keep="measures")
    regions, verified = found["slice"].regions, found["slice"].verification
    assert verified is not None
    row = {"case": name, "regions": regions, "peak_mib": peak.mib, "relative_error": verified.relative_error}

    def ours() -> None:
        transect.slice(network, plane, keep="measures", verify=False)

    if not case.beside:
        seconds = [timed(ours) for _ in range(pairs)]
        each = statistics.median(seconds)
        return row | {"slice_s": each, "seconds": seconds, "microseconds_a_region": 1e6 * each / regions}
    if case.beside == "regioncam":
        counts: list[int] = []
        works = {"slice": ours, "regioncam": lambda: counts.append(_regioncam(module, plane))}
        both = in_turn(works, pairs)
        faster = median_ratio(both["regioncam"], both["slice"])
        row |= {"regions_regioncam": counts[-1], "regioncam_s": statistics.median(both["regioncam"])}
        return row | {"slice_s": statistics.median(both["slice"]), "times_faster": faster}
    return row | _beside_forward(case, module.double(), network, plane, pairs, ours)


def _beside_forward(
    case: Case,
    module: nn.Module,
    network: transect.Network,
    plane: transect.Plane,
    pairs: int,
    ours: Callable[[], None],
) -> dict[str, Any]:
    rows = plane.at(_vertices(network, plane)[:: case.every])
    batch = best_batch(module, rows, BATCHES["cpu"])
    seconds = in_turn({"slice": ours, "forward": lambda: forward(module, rows, batch)}, pairs)
    over_all = [one * case.every for one in seconds["forward"]]
    each = ratios(seconds["slice"], over_all)
    return {
        "slice_s": statistics.median(seconds["slice"]),
        "forward_s": statistics.median(over_all),
        "forward_batch": batch,
        "every": case.every,
        "vertices": len(rows) * case.every,
        "ratio": statistics.median(each),
        "ratios": each,
    }


def _vertices(network: transect.Network, plane: transect.Plane) -> Tensor:
    """All vertices once, as good as: those of two patches are found twice."""
    return torch.cat([patch.xy for patch in transect.stream_slice(network, plane)]).unique(dim=0)


def _regioncam(module: nn.Module, plane: transect.Plane) -> int:
    """Regions it finds: the square as one polygon of its plane, layer after layer."""
    import regioncam  # type: ignore[import-untyped]

    side = float((plane.corners.amax(0) - plane.corners.amin(0))[0])
    cam = regioncam.Regioncam(size=side / 2)  # of its squares half the side
    assert isinstance(module, nn.Sequential)
    into = torch.stack([plane.u, plane.v]).flatten(1).float(), plane.origin.flatten().float()
    cam.linear(into[0].numpy().copy(), into[1].numpy().copy())
    for layer in module:
        if isinstance(layer, nn.Linear):
            cam.linear(layer.weight.detach().numpy().T.copy(), layer.bias.detach().numpy())
        else:
            cam.relu()
    return int(cam.num_faces)


def table() -> str:
    """The rows in Markdown, and where they were made."""
    columns = ("case", "regions", "regioncam", "slice", "beside", "ratio", "a region", "peak", "error")
    return markdown(NAME, columns, _cells, CASES)


def _cells(row: dict[str, Any]) -> list[str]:
    theirs = f"{row['regions_regioncam']:,}" if "regions_regioncam" in row else ""
    beside, ratio = "", ""
    if "regioncam_s" in row:
        beside, ratio = f"regioncam {row['regioncam_s']:.2f} s", f"{row['times_faster']:.1f} times faster"
    elif "forward_s" in row:
        share = f", one in {row['every']}" if row["every"] > 1 else ""
        beside, ratio = f"forward {row['forward_s']:.1f} s ({row['forward_batch']}{share})", f"{row['ratio']:.2f}"
    each = f"{1e6 * row['slice_s'] / row['regions']:.0f} µs"
    return [
        row["case"], f"{row['regions']:,}", theirs, f"{row['slice_s']:.2f} s", beside, ratio, each,
        f"{row['peak_mib']:.0f} MiB", f"{row['relative_error']:.0e}",
    ]  # fmt: skip


if __name__ == "__main__":
    main()
