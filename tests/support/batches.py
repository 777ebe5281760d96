"""Many random cases in batches, from the command line: finished batches are written as they come, and not run again."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field, fields
from multiprocessing import get_context
from pathlib import Path
from typing import Generic, Self, TypeVar

import torch

LIFETIME = 40  # batches a worker runs before it is replaced: the oracle remembers the parameters of every case


@dataclass
class BatchTally:
    """What came out of some pairs; counts, which are added.

    Attributes:
        pairs: How many there were.
        steps: How many architectures had each step.
        failures: What was wrong: at least ``batch``, ``index``, ``numbers`` and ``error`` of each.
    """

    pairs: int = 0
    steps: Counter[str] = field(default_factory=Counter)
    failures: list[dict[str, object]] = field(default_factory=list)

    def add(self, other: Self) -> None:
        """Add what came out of others."""
        for one in fields(self):
            setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))

    def ending(self) -> str:
        """How many failed, and what the networks were made of."""
        kinds = ", ".join(f"{name} {count}" for name, count in self.steps.most_common())
        return f"{len(self.failures)} failures\narchitectures x steps: {kinds}"


Found = TypeVar("Found", bound=BatchTally)
RunBatch = Callable[[int, int, int, torch.dtype], Found]


@dataclass(frozen=True)
class Batches(Generic[Found]):
    """Batches of random pairs.

    Attributes:
        run_batch: Seed, number, size and dtype of a batch to what came out of it.
        tally: Makes an empty tally.
        size: Pairs of a batch.
    """

    run_batch: RunBatch[Found]
    tally: type[Found]
    size: int

    def main(self, about: str | None, pairs: int, workers: int) -> int:
        """Run what the command line asks for; 1 if anything failed, else 0."""
        parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument("--pairs", type=int, default=pairs, help=f"rounded up to batches of {self.size}")
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--dtype", choices=["float64", "float32"], default="float64")
        parser.add_argument("--workers", type=int, default=workers)
        parser.add_argument("--out", type=Path, help="results, one line a batch; batches in it are not run again")
        parser.add_argument("--first", type=int, default=0, help="batch to begin with, to share them among machines")
        parser.add_argument("--batch", type=int, help="run this one alone, and show what fails")
        chosen = parser.parse_args()
        if chosen.batch is None:
            total = self.run(chosen.seed, chosen.pairs, chosen.workers, chosen.out, chosen.dtype, chosen.first)
        else:
            total = self.run_batch(chosen.seed, chosen.batch, self.size, getattr(torch, chosen.dtype))
            for failure in total.failures:
                print(*(f"{name}: {value}" for name, value in failure.items()), sep="\n")
        print(f"\n{total}")
        return 1 if total.failures else 0

    def run(self, seed: int, pairs: int, workers: int, out: Path | None, dtype: str, first: int = 0) -> Found:
        """All batches from the first on that are not in the results file yet, and a tally of all that are needed."""
        batches = range(first, -(-pairs // self.size))
        total, known = self.tally(), dict(self._results(out, seed, dtype))
        for batch in batches:
            if batch in known:
                total.add(known[batch])
        waiting, began = [batch for batch in batches if batch not in known], time.monotonic()
        for batch, tally in self._finished(seed, waiting, workers, getattr(torch, dtype)):
            total.add(tally)
            if out is not None:
                with out.open("a") as file:
                    file.write(json.dumps({"seed": seed, "dtype": dtype, "batch": batch, **vars(tally)}) + "\n")
            for failure in tally.failures:
                last = str(failure["error"]).strip().splitlines()[-1]
                print(f"\nbatch {batch}, pair {failure['index']}, {failure['numbers']}: {last[:300]}", flush=True)
            print(f"\r{total.pairs} pairs, {time.monotonic() - began:.0f} s", end="", file=sys.stderr, flush=True)
        return total

    def _results(self, out: Path | None, seed: int, dtype: str) -> Iterator[tuple[int, Found]]:
        """Batches of this seed and dtype in the results file; a last line that was cut off is no result."""
        for line in out.read_text().splitlines() if out is not None and out.exists() else ():
            try:
                result = json.loads(line)
            except json.JSONDecodeError:
                continue
            if (result.pop("seed"), result.pop("dtype")) == (seed, dtype):
                yield result.pop("batch"), self.tally(**{**result, "steps": Counter(result["steps"])})

    def _finished(
        self, seed: int, batches: Sequence[int], workers: int, dtype: torch.dtype
    ) -> Iterator[tuple[int, Found]]:
        if workers == 1:
            yield from ((batch, self.run_batch(seed, batch, self.size, dtype)) for batch in batches)
            return
        # Not max_tasks_per_child: with it the executor of Python 3.11 can wait for ever for a worker not replaced.
        for first in range(0, len(batches), workers * LIFETIME):
            with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
                waiting = {
                    pool.submit(self.run_batch, seed, batch, self.size, dtype): batch
                    for batch in batches[first : first + workers * LIFETIME]
                }
                for done in as_completed(waiting):
                    yield waiting[done], done.result()
