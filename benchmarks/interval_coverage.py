"""How often the stated intervals hold the truth: simulated studies whose truth is known, 3, 5 and 10 seeds.

    python benchmarks/interval_coverage.py [--rounds 2000] [--table]

Every interval is made by the function that makes it in the package. Beside the means stand two ways of resampling the
seeds, which few seeds do not carry. ``docs/confidence.md`` has the table.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import scipy.stats
from numpy.random import Generator
from numpy.typing import NDArray

from environment import markdown, write_row
from transect.analysis.comparison import rank_correlation
from transect.analysis.confidence import Interval, mean_of
from transect.analysis.peaks import peak_of, peaks_apart
from transect.measuring.measurements import compare_pairs

SEED = 15
SEEDS, PATHS = (3, 5, 10), (5, 30, 300)
NAME = "interval_coverage"
Values = NDArray[np.float64]
Drawn = tuple[Interval | None, float]  # an interval, and the truth it should hold


def normal(random: Generator, count: int) -> tuple[Values, float]:
    """Spread over seeds of a twentieth, as of errors and deviations."""
    return random.normal(1.0, 0.05, count), 1.0


def skewed(random: Generator, count: int) -> tuple[Values, float]:
    """As of deviations of single paths: a standard deviation of half the mean, a long tail to the right."""
    return random.lognormal(0.0, 0.47, count), float(np.exp(0.47**2 / 2))


def two_kinds(random: Generator, count: int) -> tuple[Values, float]:
    """One seed in five is another kind of network, as of the smallest widths."""
    return random.normal(1.0, 0.05, count) + 0.3 * (random.random(count) < 0.2), 1.06


def student(values: Values) -> Interval | None:
    """What the package does."""
    return mean_of(values).interval


def percentile(values: Values) -> Interval:
    """Quantiles of resampled means."""
    return _resampled(values, "percentile")


def corrected(values: Values) -> Interval:
    """The same, bias-corrected and accelerated (BCa)."""
    return _resampled(values, "BCa")


def _resampled(values: Values, method: str) -> Interval:
    found = scipy.stats.bootstrap((values,), np.mean, method=method, n_resamples=999, vectorized=True, rng=SEED)
    return found.confidence_interval.low, found.confidence_interval.high


def of_mean(
    draw: Callable[..., tuple[Values, float]], way: Callable[[Values], Interval | None]
) -> Callable[..., Drawn]:
    """A mean over seeds."""

    def drawn(random: Generator, seeds: int) -> Drawn:
        values, truth = draw(random, seeds)
        return way(values), truth

    return drawn


def of_ratio(random: Generator, seeds: int) -> Drawn:
    """Of two studies, the second 1.2 times the first, paired by seeds."""
    one, other = random.lognormal(0.0, 0.1, (2, seeds))
    return mean_of(np.log(1.2 * other / one)).exp().interval, 1.2


def of_paths(random: Generator, paths: int) -> Drawn:
    """Two models on the same paths, ``table.compare``: the difference of their means."""
    shared = random.lognormal(0.0, 0.47, paths)
    pairs = np.stack([1.3 * shared * random.lognormal(0.0, 0.2, paths), shared], 1)
    truth = float(np.exp(0.47**2 / 2) * (1.3 * np.exp(0.2**2 / 2) - 1))
    return compare_pairs("a", "b", "x", pairs, 0.95).difference_interval, truth


def nested(unit: str) -> Callable[..., Drawn]:
    """64 paths in each seed's network, the same for all: the mean over seeds, on these paths or on all there are."""

    def drawn(random: Generator, seeds: int) -> Drawn:
        path = random.lognormal(0.0, 0.47, 64)
        values = path * random.normal(1.0, 0.15, (seeds, 1)) * random.lognormal(0.0, 0.1, (seeds, 64))
        truth = np.exp(0.1**2 / 2) * (np.exp(0.47**2 / 2) if unit == "other paths" else path.mean())
        return student(values.ravel() if unit == "values" else values.mean(1)), float(truth)

    return drawn


def curves(random: Generator, seeds: int, positions: int, noise: float) -> tuple[Values, Values, Values, Any]:
    """Two curves over widths ``(P, K)``: steep up to their peak and slow beyond; the positions; where the peaks are."""
    axis = np.linspace(np.log(8), np.log(512), positions)
    step = axis[1] - axis[0]
    peak = axis[positions // 2] + random.uniform(-0.5, 0.5) * step
    peaks = peak, peak + random.uniform(-0.5, 0.5) * step
    both = []
    for each, (left, right) in zip(peaks, ((0.7, 1.0), (0.6, 1.2)), strict=True):
        wide = np.where(axis < each, left, right)
        curve = np.exp(-(((axis - each) / wide) ** 2) / 2)[:, None]
        both.append(curve + random.normal(0.0, noise, (positions, seeds)))
    return both[0], both[1], np.exp(axis), peaks


def of_peak(noise: float, positions: int) -> Callable[..., Drawn]:
    """Where a curve peaks on the axis of the width."""

    def drawn(random: Generator, seeds: int) -> Drawn:
        one, _, widths, peaks = curves(random, seeds, positions, noise)
        return peak_of(one, widths.tolist(), "absolute_deviation").fitted.interval, float(np.exp(peaks[0]))

    return drawn


def of_peak_ratio(noise: float, positions: int) -> Callable[..., Drawn]:
    """The ratio of the widths at which two curves peak."""

    def drawn(random: Generator, seeds: int) -> Drawn:
        one, other, widths, peaks = curves(random, seeds, positions, noise)
        apart, _ = peaks_apart(one, other, ("absolute_deviation", "absolute_deviation"), widths.tolist())
        return apart.interval, float(np.exp(peaks[0] - peaks[1]))

    return drawn


def of_ranks(slope: float, positions: int) -> Callable[..., Drawn]:
    """Rank correlation of two curves that rise together (or, with slope 0, are unrelated), one side of a peak."""
    line = np.linspace(0.0, slope, positions)[:, None]

    def two(random: Generator, seeds: int) -> Values:
        return line + random.normal(0.0, 0.2, (2, positions, seeds))

    @cache
    def truth() -> float:
        one, other = two(np.random.default_rng(SEED), 20_000)
        found = [scipy.stats.spearmanr(a, b).statistic for a, b in zip(one.T, other.T, strict=True)]
        return 0.0 if slope == 0 else float(np.mean(found))

    def drawn(random: Generator, seeds: int) -> Drawn:
        return rank_correlation(*two(random, seeds)).interval, truth()

    return drawn


CASES: dict[str, tuple[Callable[..., Drawn], tuple[int, ...]]] = {
    "mean over seeds, normal": (of_mean(normal, student), SEEDS),
    "mean over seeds, skewed": (of_mean(skewed, student), SEEDS),
    "mean over seeds, one in five of another kind": (of_mean(two_kinds, student), SEEDS),
    "not used: normal, seeds resampled (percentile)": (of_mean(normal, percentile), SEEDS),
    "not used: normal, seeds resampled (BCa)": (of_mean(normal, corrected), SEEDS),
    "ratio of two studies, paired by seeds": (of_ratio, SEEDS),
    "rank correlation, 5 positions, unrelated": (of_ranks(0.0, 5), SEEDS),
    "rank correlation, 5 positions, rise 2.5 times the noise": (of_ranks(0.5, 5), SEEDS),
    "rank correlation, 5 positions, rise 10 times the noise": (of_ranks(2.0, 5), SEEDS),
    "rank correlation, 9 positions, rise 2.5 times the noise": (of_ranks(0.5, 9), SEEDS),
    "peak position, 9 widths, noise 10 % of the peak": (of_peak(0.1, 9), SEEDS),
    "peak position, 17 widths, noise 25 % of the peak": (of_peak(0.25, 17), SEEDS),
    "ratio of two peak positions, 9 widths, noise 10 %": (of_peak_ratio(0.1, 9), SEEDS),
    "ratio of two peak positions, 17 widths, noise 25 %": (of_peak_ratio(0.25, 17), SEEDS),
    "64 paths a seed, seeds the unit, on these paths": (nested("seeds"), SEEDS),
    "not used: 64 paths a seed, every value a unit, on these paths": (nested("values"), SEEDS),
    "not stated: 64 paths a seed, seeds the unit, on other paths": (nested("other paths"), SEEDS),
    "difference of two models over paths (`table.compare`)": (of_paths, PATHS),
}


def cover(case: str, rounds: int) -> dict[str, Any]:
    """Simulate a case."""
    draw, sizes = CASES[case]
    return {"case": case, "sizes": sizes, "rounds": rounds, "seed": SEED, "covered": [*_shares(draw, sizes, rounds)]}


def _shares(draw: Callable[..., Drawn], sizes: tuple[int, ...], rounds: int) -> Iterator[float]:
    for size in sizes:
        random = np.random.default_rng([SEED, size])
        found = [draw(random, size) for _ in range(rounds)]
        yield sum(ends is not None and bool(ends[0] <= truth <= ends[1]) for ends, truth in found) / rounds


def table() -> str:
    """Of the results, in Markdown."""
    return markdown(
        NAME, ["95 % interval of", *(f"{seeds} seeds" for seeds in SEEDS)], _cells, CASES, lambda rows: _said(rows[0])
    )


def _cells(row: dict[str, Any]) -> Iterator[str]:
    yield row["case"]
    for size, share in zip(row["sizes"], row["covered"], strict=True):
        yield f"{100 * share:.1f} %" + ("" if tuple(row["sizes"]) == SEEDS else f" ({size} paths)")


def _said(row: dict[str, Any]) -> str:
    return f"Part of {row['rounds']:,} simulated studies whose interval holds the truth."


def main() -> None:
    """Simulate every case, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2000)
    parser.add_argument("--table", action="store_true", help="print the kept results and simulate nothing")
    options = parser.parse_args()
    for case in () if options.table else CASES:
        row = cover(case, options.rounds)
        print(f"{case}: {row['covered']}")
        write_row(NAME, row)
    if options.table:
        print(table())


if __name__ == "__main__":
    main()
