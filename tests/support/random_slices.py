"""Many random networks of all supported steps, sliced by the engine and by exact rational arithmetic.

    python tests/support/random_slices.py --pairs 2000 --seed 0 --out slices.jsonl
    python tests/support/random_slices.py --dtype float32 --pairs 2000 --seed 0 --out slices.jsonl

A pair is a network and a polygon in a plane. Pairs come in batches of one architecture, since exporting is what takes
time. Every batch adds one line to the results file; a run that is started again goes on where it was. A failure names
its batch, and ``--batch N`` runs that one alone and shows everything.

Every slice is compared with the exact tiling (:mod:`support.slices_against_exact`), and with traces of random lines
across it: a line has its knots where it crosses the slice's edges, and there the units flip that bend at the edge.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch

import transect
from oracle.choices import Rolled
from oracle.networks import coarse, decimal, drawn, generic, renewed, repeating, spread, uneven
from support.against import exported_once, flips_by_knot
from support.random_planes import FAMILIES, RandomPlane, copied, over_network, snapped
from support.slices_against_exact import compare, undecidable
from transect.engine.plane import engine
from transect.errors import UnresolvedWarning, UnsupportedModel

KINDS = [generic, snapped, coarse, repeating, uneven, copied, decimal, spread]
GROUPS = [(64, None), (4, 1), (4, 400), (64, 1)]  # fewest rows of a group, and budget: how it is cut must not matter
BATCH = 24  # pairs of one architecture
LINES = 3  # across every slice
MOST = 150  # cells: a polygon with more of them is made smaller


@dataclass
class Tally:
    """What came out of some pairs."""

    pairs: int = 0
    plain: int = 0
    polygons: int = 0
    edges: int = 0
    crossings: int = 0
    unresolved: int = 0
    undecided: int = 0
    beyond: int = 0
    steps: Counter[str] = field(default_factory=Counter)
    failures: list[dict[str, object]] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    def __str__(self) -> str:
        kinds = ", ".join(f"{name} {count}" for name, count in self.steps.most_common())
        return (f"{self.pairs} slices, {self.plain} of them compared in everything; {self.polygons} polygons, "
                f"{self.edges} edges, {self.crossings} crossings of lines; {self.unresolved} slices with unresolved "
                f"places, {self.undecided} with units that floats cannot decide; {self.beyond} vertices further off "
                f"than stated; {len(self.failures)} failures\narchitectures x steps: {kinds}")  # fmt: skip


def run_batch(seed: int, batch: int, most: int = BATCH, dtype: torch.dtype = torch.float64) -> Tally:
    """Slice the pairs of a batch, and compare."""
    torch.set_num_threads(1)
    random = np.random.default_rng([seed, batch])
    first = drawn(Rolled(random), FAMILIES, generic)
    tally = Tally(steps=Counter({type(step).__name__ for step in first.steps}))
    with exported_once():
        for index in range(most):
            kind, number = KINDS[index % len(KINDS)], int(random.integers(2**32))
            drawing = np.random.default_rng([seed, batch, index])
            if first.start.size < 2 or (plane := over_network(drawing, renewed(first, kind(number)), MOST)) is None:
                continue
            tally.pairs += 1
            fewest, budget = GROUPS[(batch + index // len(KINDS)) % len(GROUPS)]
            where = {"seed": seed, "batch": batch, "index": index, "numbers": kind.__name__, "budget": budget}
            try:
                with mock.patch.object(engine, "FEWEST_ROWS", fewest):
                    one(plane, budget, dtype, index, tally)
            except UnsupportedModel as error:  # then no pair of this architecture can be sliced
                tally.failures.append({**where, "case": repr(plane.case), "error": f"{type(error).__name__}: {error}"})
                break
            except Exception as error:
                text = "".join(traceback.format_exception(error, limit=-3))
                tally.failures.append({**where, "case": repr(plane.case), "error": text})
    return tally


def one(plane: RandomPlane, budget: int | None, dtype: torch.dtype, seed: int, tally: Tally) -> None:
    """Slice one network, and compare with the exact tiling, and with lines.

    Raises:
        AssertionError: They differ.
    """
    network = transect.capture(plane.module(dtype), plane.case.origin[np.newaxis], dtype=dtype)
    domain = transect.Plane(*plane.plane())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnresolvedWarning)
        found = transect.slice(network, domain, budget=budget)
    compared = compare(found, plane.tiling)
    undecided = frozenset[tuple[int, int]]()
    if compared.faults:
        undecided = undecidable(plane, dtype)
        compared = compare(found, plane.tiling, undecided)
    assert not compared.faults, "\n".join(compared.faults[:5])
    tally.plain += compared.plain
    tally.polygons += compared.polygons
    tally.edges += compared.edges
    tally.beyond += compared.beyond
    tally.unresolved += bool(found.unresolved)
    tally.undecided += bool(undecided)
    if compared.plain and found.vertices < 3000:
        for chord in domain.random_chords(LINES, seed):
            tally.crossings += cross(found, network, chord)


def cross(found: transect.Slice, network: transect.Network, chord: transect.Path) -> int:
    """Trace a line, and hold that its knots are where it crosses the edges of the slice; how many there are.

    Crossings near a vertex, or at a small angle, are left out on both sides.

    Raises:
        AssertionError: One is missing, or has other units.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnresolvedWarning)
        (segment,) = transect.trace(network, chord).segments
    close = 1e-6 if found.dtype == torch.float64 else 2e-3
    ends, _ = found.plane.project(chord.anchors)
    start, step = ends[0].numpy(), (ends[1] - ends[0]).numpy()
    xy, edges = found.polygons.xy.numpy(), found.edges
    inner = np.flatnonzero(edges.right.numpy() >= 0)
    p, q = (xy[at.numpy()[inner]] - start for at in (edges.start, edges.end))
    along = q - p
    turn = step[0] * along[:, 1] - step[1] * along[:, 0]
    sine = turn / np.maximum(np.hypot(*along.T) * np.hypot(*step), 1e-300)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = (p[:, 0] * along[:, 1] - p[:, 1] * along[:, 0]) / turn  # along the chord
        s = (p[:, 0] * step[1] - p[:, 1] * step[0]) / turn  # along the edge
    apart = close * (1 + float(np.abs(xy).max()) / np.hypot(*step))
    met = (s >= 0) & (s <= 1) & (t > 0) & (t < 1)
    near = np.minimum(np.abs(s), np.abs(1 - s)) * np.hypot(*along.T) < apart * np.hypot(*step)
    blurred = (s > -1) & (s < 2) & (near | (np.abs(sine) < 1e-3)) & (t > -apart) & (t < 1 + apart)
    unsure = t[blurred & np.isfinite(t)]
    knots, flips = segment.t.numpy(), flips_by_knot(segment)
    compared = 0
    for index in np.flatnonzero(met & ~blurred):
        if t[index] < apart or t[index] > 1 - apart:
            continue
        others = np.abs(t[met | blurred] - t[index]) < 2 * apart
        if others.sum() > 1:
            continue
        at = int(np.abs(knots - t[index]).argmin())
        bound = apart / abs(sine[index]) * 1e-2 + float(segment.t_error[at])
        assert abs(knots[at] - t[index]) <= bound, f"no knot at {t[index]!r}: {knots.tolist()}"
        said = sorted(edges.bending(int(inner[index])))
        true = sorted((operation, unit) for operation, unit, *_ in flips.get(at, ()))
        assert said == true, f"at {t[index]!r} {said} bend, traced {true}"
        compared += 1
    for k in range(1, len(knots) - 1):
        known = np.concatenate([t[met], unsure, [0.0, 1.0]])
        assert np.abs(known - knots[k]).min() <= 4 * apart + float(segment.t_error[k]), f"knot {knots[k]!r} is no edge"
    return compared


def run(seed: int, pairs: int, out: Path | None, dtype: str) -> Tally:
    """All batches that are not in the results file yet, and a tally of all that are needed."""
    total, known, began = Tally(), dict(_results(out, seed, dtype)), time.monotonic()
    for batch in range(-(-pairs // BATCH)):
        tally = known.get(batch)
        if tally is None:
            tally = run_batch(seed, batch, dtype=getattr(torch, dtype))
            if out is not None:
                with out.open("a") as file:
                    file.write(json.dumps({"seed": seed, "dtype": dtype, "batch": batch, **vars(tally)}) + "\n")
            for failure in tally.failures:
                last = str(failure["error"]).strip().splitlines()[-1]
                print(f"batch {batch}, pair {failure['index']}, {failure['numbers']}: {last[:300]}", flush=True)
        total.add(tally)
        print(f"\r{total.pairs} pairs, {time.monotonic() - began:.0f} s", end="", file=sys.stderr, flush=True)
    return total


def _results(out: Path | None, seed: int, dtype: str) -> Iterator[tuple[int, Tally]]:
    """Batches of this seed and dtype in the results file; a last line that was cut off is no result."""
    for line in out.read_text().splitlines() if out is not None and out.exists() else ():
        try:
            result = json.loads(line)
        except json.JSONDecodeError:
            continue
        if (result.pop("seed"), result.pop("dtype")) == (seed, dtype):
            yield result.pop("batch"), Tally(**{**result, "steps": Counter(result["steps"])})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=2_000, help=f"rounded up to batches of {BATCH}")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dtype", choices=["float64", "float32"], default="float64")
    parser.add_argument("--out", type=Path, help="results, one line a batch; batches in it are not run again")
    parser.add_argument("--batch", type=int, help="run this one alone, and show what fails")
    arguments = parser.parse_args()
    if arguments.batch is None:
        total = run(arguments.seed, arguments.pairs, arguments.out, arguments.dtype)
    else:
        total = run_batch(arguments.seed, arguments.batch, dtype=getattr(torch, arguments.dtype))
        for failure in total.failures:
            print(*(f"{name}: {value}" for name, value in failure.items()), sep="\n")
    print(f"\n{total}")
    return 1 if total.failures else 0


if __name__ == "__main__":
    sys.exit(main())
