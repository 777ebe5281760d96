"""Many random networks of all supported steps, traced by the engine and by exact rational arithmetic.

    python tests/support/random_networks.py --pairs 20000 --seed 0 --workers 2 --out pairs.jsonl
    python tests/support/random_networks.py --dtype float32 --pairs 20000 --seed 0 --workers 2 --out pairs.jsonl

A pair is a network and a segment. Pairs come in batches of one architecture, since exporting is what takes time, with
numbers of all kinds. Every batch adds one line to the results file; a run that is started again goes on where it was.
A failure names its batch, and ``--batch N`` runs that one alone and shows everything. What the engine itself calls
unresolved is counted; apart from these places it must be right there, too.

In float32 the oracle has its weights *and* thresholds rounded first, so that it restricts the very function that
float32 has; patterns are compared on every interval, as far as the stated errors of its ends leave something of it.
"""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch

import transect
from oracle import mixed, networks
from oracle.choices import Rolled
from oracle.networks import Numbers, coarse, decimal, drawn, generic, in_float32, renewed, repeating, spread, uneven
from oracle.rational import Restriction, restrict
from oracle.steps import Bending, Case
from oracle.undecided import assert_same_on_intervals, undecidable
from support.against import assert_same, exported_once, module_of, path_of
from support.batches import Batches, BatchTally
from transect.errors import UnresolvedWarning, UnsupportedModel

KINDS = [generic, coarse, repeating, uneven, decimal, spread]
BLURRED = [decimal, spread]  # crossings that rounding cannot tell apart abound
BUDGETS = [1, 300, 2_000_000]  # numbers a run may keep alive: how the rows are cut must not matter
FAMILIES = [*mixed.FAMILIES, *mixed.FAMILIES, *networks.FAMILIES]
BATCH = 24  # pairs of one architecture
APART = Fraction(1, 10**9)  # exact crossings closer than this may rightly be one knot in floating point


@dataclass
class Tally(BatchTally):
    """What came out of some pairs."""

    flips: int = 0
    strict: int = 0
    unresolved: int = 0
    undecided: int = 0
    wide: int = 0

    def __str__(self) -> str:
        return (f"{self.pairs} pairs, {self.flips} flips compared; {self.strict} pairs knot by knot, the others within "
                f"rounding; {self.unresolved} pairs with unresolved places, {self.undecided} with units that floats "
                f"cannot decide, {self.wide} with knots known to 1 % at best; {self.ending()}")  # fmt: skip


@dataclass(frozen=True)
class Pair:
    """A network and a segment, and how to trace it."""

    case: Case
    numbers: Callable[[int], Numbers]
    budget: int


def pairs_of(seed: int, batch: int) -> list[Pair]:
    """The pairs of one batch: an architecture, and numbers of all kinds for it."""
    random = np.random.default_rng([seed, batch])
    first = drawn(Rolled(random), FAMILIES, generic)
    kinds = [KINDS[k % len(KINDS)] for k in range(BATCH)]
    seeds = random.integers(2**32, size=BATCH).tolist()
    budgets = random.choice(BUDGETS, BATCH).tolist()
    return [Pair(renewed(first, numbers(number)), numbers, budget)
            for numbers, number, budget in zip(kinds, seeds, budgets, strict=True)]  # fmt: skip


def run_batch(seed: int, batch: int, most: int = BATCH, dtype: torch.dtype = torch.float64) -> Tally:
    """Trace the pairs of a batch, and compare."""
    torch.set_num_threads(1)
    pairs = pairs_of(seed, batch)[:most]
    tally = Tally(steps=Counter({type(step).__name__ for step in pairs[0].case.steps}))
    with exported_once():
        for index, pair in enumerate(pairs):
            tally.pairs += 1
            try:
                compare(pair, tally, dtype)
            except UnsupportedModel as error:  # then no pair of this architecture can be traced
                tally.failures.append(_failure(seed, batch, index, pair, f"{type(error).__name__}: {error}"))
                break
            except Exception as error:
                text = "".join(traceback.format_exception(error, limit=-3))
                tally.failures.append(_failure(seed, batch, index, pair, text))
    return tally


def _failure(seed: int, batch: int, index: int, pair: Pair, error: str) -> dict[str, object]:
    """Enough to find it again: the batch, and the pair in it."""
    where = {"seed": seed, "batch": batch, "index": index}
    return {**where, "numbers": pair.numbers.__name__, "budget": pair.budget, "case": repr(pair.case), "error": error}


def compare(pair: Pair, tally: Tally, dtype: torch.dtype = torch.float64) -> None:
    """Trace one pair and restrict it exactly.

    Raises:
        AssertionError: They differ.
    """
    case = pair.case if dtype == torch.float64 else in_float32(pair.case)
    exact = restrict(case)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnresolvedWarning)
        trace = transect.trace(captured(pair.case, dtype), path_of(pair.case), budget=pair.budget)
    (segment,) = trace.segments
    operations = sum(isinstance(step, Bending) for step in case.steps)
    assert len(trace.operations) == operations, f"{trace.operations}: expected {operations} bending operations"
    tally.unresolved += bool(trace.unresolved)
    tally.wide += float(segment.t_error.sum()) > 0.005
    if dtype != torch.float64 or pair.numbers in BLURRED or trace.unresolved or not _apart(exact):
        named = {(trace.operations.index(entry.operation), entry.unit) for entry in trace.unresolved}
        undecided = undecidable(case, exact, dtype)
        tally.undecided += bool(undecided)
        assert_same_on_intervals(segment, exact, undecided | named)
    else:
        assert_same(segment, exact)
        tally.strict += 1
    tally.flips += sum(len(changed) for _, changed in exact.flips)


def captured(case: Case, dtype: torch.dtype = torch.float64) -> transect.Network:
    """The network, captured by a batch of one: an input of one channel could be taken for a batch of inputs."""
    return transect.capture(module_of(case).to(dtype), case.start[np.newaxis], dtype=dtype)


def _apart(exact: Restriction) -> bool:
    return all(right - left > APART for left, right in pairwise(exact.knots))


if __name__ == "__main__":
    sys.exit(Batches(run_batch, Tally, BATCH).main(__doc__, pairs=20_000, workers=2))
