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

import argparse
import json
import os
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from multiprocessing import get_context
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
from transect.errors import UnresolvedWarning, UnsupportedModel

KINDS = [generic, coarse, repeating, uneven, decimal, spread]
BLURRED = [decimal, spread]  # crossings that rounding cannot tell apart abound
BUDGETS = [1, 300, 2_000_000]  # numbers a run may keep alive: how the rows are cut must not matter
FAMILIES = [*mixed.FAMILIES, *mixed.FAMILIES, *networks.FAMILIES]
BATCH = 24  # pairs of one architecture
LIFETIME = 40  # batches a worker runs before it is replaced: the oracle remembers the parameters of every case
APART = Fraction(1, 10**9)  # exact crossings closer than this may rightly be one knot in floating point


@dataclass
class Tally:
    """What came out of some pairs."""

    pairs: int = 0
    flips: int = 0
    strict: int = 0
    unresolved: int = 0
    undecided: int = 0
    wide: int = 0
    steps: Counter[str] = field(default_factory=Counter)
    failures: list[dict[str, object]] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        self.pairs += other.pairs
        self.flips += other.flips
        self.strict += other.strict
        self.unresolved += other.unresolved
        self.undecided += other.undecided
        self.wide += other.wide
        self.steps.update(other.steps)
        self.failures += other.failures

    def __str__(self) -> str:
        kinds = ", ".join(f"{name} {count}" for name, count in self.steps.most_common())
        return (f"{self.pairs} pairs, {self.flips} flips compared; {self.strict} pairs knot by knot, the others within "
                f"rounding; {self.unresolved} pairs with unresolved places, {self.undecided} with units that floats "
                f"cannot decide, {self.wide} with knots known to 1 % at best; {len(self.failures)} failures\n"
                f"architectures x steps: {kinds}")  # fmt: skip


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


def run(seed: int, pairs: int, workers: int, out: Path | None, dtype: str) -> Tally:
    """All batches that are not in the results file yet, and a tally of all that are needed."""
    batches = range(-(-pairs // BATCH))
    total, known = Tally(), dict(_results(out, seed, dtype))
    for batch in batches:
        if batch in known:
            total.add(known[batch])
    waiting = [batch for batch in batches if batch not in known]
    began = time.monotonic()
    for batch, tally in _finished(seed, waiting, workers, getattr(torch, dtype)):
        total.add(tally)
        if out is not None:
            with out.open("a") as file:
                file.write(json.dumps({"seed": seed, "dtype": dtype, "batch": batch, **vars(tally)}) + "\n")
        for failure in tally.failures:
            last = str(failure["error"]).strip().splitlines()[-1]
            print(
                f"\nbatch {failure['batch']}, pair {failure['index']}, {failure['numbers']}: {last[:300]}", flush=True
            )
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


def _finished(seed: int, batches: Sequence[int], workers: int, dtype: torch.dtype) -> Iterator[tuple[int, Tally]]:
    if workers == 1:
        yield from ((batch, run_batch(seed, batch, dtype=dtype)) for batch in batches)
        return
    # Not max_tasks_per_child: with it the executor of Python 3.11 can wait for ever for a worker it does not replace.
    for first in range(0, len(batches), workers * LIFETIME):
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            waiting = {
                pool.submit(run_batch, seed, batch, BATCH, dtype): batch
                for batch in batches[first : first + workers * LIFETIME]
            }
            for done in as_completed(waiting):
                yield waiting[done], done.result()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=20_000, help=f"rounded up to batches of {BATCH}")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dtype", choices=["float64", "float32"], default="float64")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, help="results, one line a batch; batches in it are not run again")
    parser.add_argument("--batch", type=int, help="run this one alone, and show what fails")
    arguments = parser.parse_args()
    if arguments.batch is None:
        total = run(arguments.seed, arguments.pairs, arguments.workers, arguments.out, arguments.dtype)
    else:
        total = run_batch(arguments.seed, arguments.batch, dtype=getattr(torch, arguments.dtype))
        for failure in total.failures:
            print(*(f"{name}: {value}" for name, value in failure.items()), sep="\n")
    print(f"\n{total}")
    return 1 if total.failures else 0


if __name__ == "__main__":
    sys.exit(main())
