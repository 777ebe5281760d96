"""Intervals of estimates of functions that jump: how often the truth lies in them, by simulation.

    python benchmarks/jumps.py [--trials 400] [--rtol 0.01] [--seed 0] [--max-samples 16385] [--table]

A function on [0, 1] is a continuous one (constant, smooth, or piecewise affine with nine kinks) plus one that is
constant between jumps: of random heights at random places; at places within 1e-9 of a sample; of equal heights at equal
distances, a staircase; or the class (one-hot) and the quantised values of smooth functions. The truth is a sum over the
pieces between jumps, each sampled at 2,001 points with its own limits at both ends; the estimate knows nothing of them.
Coverage is the share of the stated intervals that hold the truth, of those segments that say they converged: rtol is
asked of the deviation, and where that is not reached the estimate says so.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

import transect
from environment import markdown
from processes import keep
from timing import timed

NAME = "jumps"
MEASURES = ("absolute_deviation", "centred_deviation", "deviation_norm", "total_variation", "arc_length")
POINTS = 2001  # of each piece
SURE = 1e-7  # of the largest value: error of the truth


@dataclass(frozen=True)
class Jumping:
    """``smooth(t) + levels[number of jumps below t]``, ``(N,)`` to ``(N, C)``."""

    smooth: Callable[[Tensor], Tensor]
    jumps: Tensor
    levels: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Its values, ``(N, C)``."""
        t = x.reshape(-1).contiguous()
        return self.smooth(t) + self.levels[torch.searchsorted(self.jumps, t)]

    def truth(self) -> dict[str, Tensor]:
        """Every measure along [0, 1]."""
        edges = torch.cat([self.jumps.new_zeros(1), self.jumps, self.jumps.new_ones(1)])
        t = torch.lerp(edges[:-1, None], edges[1:, None], torch.linspace(0, 1, POINTS, dtype=torch.float64))
        f = self.smooth(t.flatten()).reshape(*t.shape, -1) + self.levels.unsqueeze(1)
        bent = f - torch.lerp(f[0, 0], f[-1, -1], t.unsqueeze(2))
        level = bent - bent.mean(2, keepdim=True)
        curve = f.flatten(0, 1).diff(dim=0)
        return {
            "absolute_deviation": torch.trapezoid(bent.abs(), t.unsqueeze(2), dim=1).sum(0),
            "centred_deviation": torch.trapezoid(level.abs(), t.unsqueeze(2), dim=1).sum(0),
            "deviation_norm": torch.trapezoid(bent.norm(dim=2), t, dim=1).sum(0),
            "total_variation": curve.abs().sum(0),
            "arc_length": curve.norm(dim=1).sum(0),
        }


def _uniform(random: torch.Generator, *shape: int) -> Tensor:
    return torch.rand(shape, generator=random, dtype=torch.float64)


def _normal(random: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(shape, generator=random, dtype=torch.float64)


def _constant(random: torch.Generator, outputs: int) -> Callable[[Tensor], Tensor]:
    return lambda t: t.new_zeros(len(t), outputs)


def _smooth(random: torch.Generator, outputs: int) -> Callable[[Tensor], Tensor]:
    phase, height = 6 * _uniform(random, outputs), _normal(random, outputs)
    return lambda t: height * torch.sin(7 * t.unsqueeze(1) + phase)


def _kinked(random: torch.Generator, outputs: int) -> Callable[[Tensor], Tensor]:
    kinks, slopes = _uniform(random, 9), _normal(random, 9, outputs)
    return lambda t: torch.relu(t.unsqueeze(1) - kinks) @ slopes


def _steps(random: torch.Generator, jumps: int, outputs: int, places: str) -> tuple[Tensor, Tensor]:
    if places == "staircase":
        at = (torch.arange(jumps, dtype=torch.float64) + _uniform(random, 1)) / jumps
        return at, torch.arange(jumps + 1, dtype=torch.float64).unsqueeze(1).expand(-1, outputs)
    at = _uniform(random, jumps)
    if places == "near samples":
        at = (64 * at).round().clamp(1, 63) / 64 + 1e-9 * _normal(random, jumps)
    heights = _normal(random, jumps, outputs)
    return at.sort().values, torch.cat([heights.new_zeros(1, outputs), heights.cumsum(0)])


def _states(state: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """Places at which a function with few values changes, by bisection, and its values between them."""
    t = torch.linspace(0, 1, 20_001, dtype=torch.float64)
    values = state(t)
    change = (values[1:] != values[:-1]).any(1).nonzero().flatten()
    low, high = t[change], t[change + 1]
    for _ in range(60):
        middle = (low + high) / 2
        before = (state(middle) == values[change]).all(1)
        low, high = torch.where(before, middle, low), torch.where(before, high, middle)
    return low, torch.cat([values[:1], values[change + 1]]).double()


def _argmax(random: torch.Generator) -> tuple[Tensor, Tensor]:
    logits = _smooth(random, 4)
    return _states(lambda t: torch.nn.functional.one_hot(logits(t).argmax(1), 4))


def _quantised(random: torch.Generator) -> tuple[Tensor, Tensor]:
    function = _smooth(random, 1)
    return _states(lambda t: torch.round(4 * function(t)))


def _case(
    base: Callable[..., Any], jumps: int, outputs: int = 1, places: str = "random"
) -> Callable[[torch.Generator], Jumping]:
    return lambda random: Jumping(base(random, outputs), *_steps(random, jumps, outputs, places))


CASES: dict[str, Callable[[torch.Generator], Jumping]] = {
    "1 jump": _case(_constant, 1),
    "1 jump, near a sample": _case(_constant, 1, places="near samples"),
    "1 jump, smooth": _case(_smooth, 1),
    "1 jump, piecewise affine, 3 outputs": _case(_kinked, 1, 3),
    "8 jumps": _case(_constant, 8),
    "8 jumps, near samples": _case(_constant, 8, places="near samples"),
    "8 jumps, smooth, 3 outputs": _case(_smooth, 8, 3),
    "8 jumps, piecewise affine": _case(_kinked, 8),
    "staircase of 8": _case(_constant, 8, places="staircase"),
    "class, one-hot of 4": lambda random: Jumping(_constant(random, 4), *_argmax(random)),
    "smooth, quantised": lambda random: Jumping(_constant(random, 1), *_quantised(random)),
}


def simulated(case: str, trials: int, rtol: float, seed: int, max_samples: int | None) -> dict[str, Any]:
    """Coverage of the intervals of all measures over so many functions of a case."""
    path = transect.Path(torch.tensor([[0.0], [1.0]], dtype=torch.float64))
    inside: dict[str, list[Tensor]] = {name: [] for name in MEASURES}
    samples, converged = [], 0
    for trial in range(trials):
        function = CASES[case](torch.Generator().manual_seed(seed * 1_000_003 + trial))
        found = transect.estimate(function, path, rtol=rtol, max_samples=max_samples)
        samples.append(int(found.samples))
        if not bool(found.converged.all()):
            continue
        converged += 1
        for name, truth in function.truth().items():
            low, high = found.interval(name).reshape(-1, 2).unbind(1)
            sure = SURE * float(truth.max())
            inside[name].append(((truth >= low - sure) & (truth <= high + sure)).double().reshape(-1))
    coverage = {name: float(torch.cat(found).mean()) if found else None for name, found in inside.items()}
    return {"trials": trials, "converged": converged, "samples": sum(samples) / trials, **coverage}


def main() -> None:
    """Simulate every case, and write its row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--rtol", type=float, default=1e-2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--max-samples", type=int, default=16385)
    parser.add_argument("--table", action="store_true", help="print the rows as Markdown and do nothing else")
    options = parser.parse_args()
    if options.table:
        print(table())
        return
    settings = {"rtol": options.rtol, "seed": options.seed, "max_samples": options.max_samples}
    for case in CASES:
        row: dict[str, Any] = {"case": case, **settings}
        row["seconds"] = timed(lambda: row.update(simulated(case, options.trials, **settings)))  # noqa: B023
        keep(NAME, row)


def table() -> str:
    """One line a case."""
    names = (name.replace("_", " ") for name in MEASURES)
    return markdown(NAME, ("function", "converged", "samples", *names), _cells)


def _cells(row: dict[str, Any]) -> list[str]:
    covered = ["" if row[name] is None else f"{row[name]:.1%}" for name in MEASURES]
    return [row["case"], f"{row['converged']} of {row['trials']}", f"{row['samples']:,.0f}", *covered]


if __name__ == "__main__":
    main()
