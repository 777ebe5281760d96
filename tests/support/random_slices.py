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

import os
import sys
import traceback
import warnings
from collections import Counter
from dataclasses import dataclass
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
from support.batches import Batches, BatchTally
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
class Tally(BatchTally):
    """What came out of some pairs."""

    plain: int = 0
    polygons: int = 0
    edges: int = 0
    crossings: int = 0
    unresolved: int = 0
    undecided: int = 0
    beyond: int = 0

    def __str__(self) -> str:
        return (f"{self.pairs} slices, {self.plain} of them compared in everything; {self.polygons} polygons, "
                f"{self.edges} edges, {self.crossings} crossings of lines; {self.unresolved} slices with unresolved "
                f"places, {self.undecided} with units that floats cannot decide; {self.beyond} vertices further off "
                f"than stated; {self.ending()}")  # fmt: skip


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


if __name__ == "__main__":
    sys.exit(Batches(run_batch, Tally, BATCH).main(__doc__, pairs=2_000, workers=2))
