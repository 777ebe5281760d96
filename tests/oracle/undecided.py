"""What floats can say where crossings are closer than rounding can tell apart, and comparing no more than that."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from oracle.bends import hinge_of
from oracle.modules import Described
from oracle.operands import At, bends_at
from oracle.rational import Restriction
from oracle.steps import Bending, Case, OverWindows
from oracle.windows import windows

# Positions closer than this on [0, 1] are one (docs/method.md).
POSITION = Fraction(64 * 2.0**-52)
# A difference smaller than this many eps, relative to the largest number a step reads, is made of rounding errors only;
# so is one not larger than this many of the errors that plain evaluation makes there.
ROUNDING, ERRORS = 4.5, 32

Unit = tuple[int, int]
"""(operation, flat unit)"""


def assert_same_on_intervals(segment: Any, exact: Restriction, undecided: Set[Unit]) -> None:
    """Between its knots, each with its stated error, a traced segment has the exact pattern, but for some units."""
    knots, errors = [[Fraction(x) for x in column.tolist()] for column in (segment.t, segment.t_error)]
    for k, pattern in enumerate(patterns(segment)):
        low = max(knots[k] + errors[k], POSITION)
        high = min(knots[k + 1] - errors[k + 1], 1 - POSITION)
        for piece in exact.pieces:
            if max(low, piece.low) < min(high, piece.high):
                wrong = {(o, u): (a, b) for o, (found, true) in enumerate(zip(pattern, piece.pattern, strict=True))
                         for u, (a, b) in enumerate(zip(found, true, strict=True))
                         if a != b and (o, u) not in undecided}  # fmt: skip
                assert not wrong, f"{float(piece.low)!r} to {float(piece.high)!r}: (traced, exact) {wrong}"


def patterns(segment: Any) -> Iterator[list[list[int]]]:
    """The pattern of a traced segment on each of its intervals."""
    pattern = [pieces.tolist() for pieces in segment.start_pattern]
    flips = segment.flips
    columns = (flips.knot, flips.operation, flips.unit, flips.before, flips.after)
    rows = list(zip(*(column.tolist() for column in columns), strict=True))
    for k in range(len(segment.t) - 1):
        for _, operation, unit, before, after in (row for row in rows if row[0] == k):
            assert pattern[operation][unit] == before, f"unit {unit} of {operation} was not on piece {before}"
            pattern[operation][unit] = after
        yield [list(pieces) for pieces in pattern]


def undecidable(case: Case, exact: Restriction, dtype: torch.dtype = torch.float64) -> set[Unit]:
    """Units that are within rounding of another piece in the middle of some interval.

    Exactly at a threshold, or exactly tied, is decided where float64 says so too. In float32, which merges only what is
    equal to a few units in the last place, interpolation can part what is tied.
    """
    return undecidable_at(case, [(piece.low + piece.high) / 2 for piece in exact.pieces], dtype)


def undecidable_at(case: Case, places: Iterable[Fraction], dtype: torch.dtype = torch.float64) -> set[Unit]:
    """Units that are within rounding of another piece at some of these points of a segment."""
    found: set[Unit] = set()
    module, rounding = Described(case.steps, case.start.ndim).to(dtype), Fraction(ROUNDING * torch.finfo(dtype).eps)
    for place in places:
        read = _read(module, case, float(place), dtype)
        for operation, (at, floats) in enumerate(zip(bends_at(case, place), read, strict=True)):
            found |= {(operation, unit) for unit in _close(at, floats, rounding, ties=dtype == torch.float64)}
    return found


def _read(module: Described, case: Case, t: float, dtype: torch.dtype) -> list[list[float]]:
    """What every bending layer reads at one point, in floats, one operand after the other."""
    seen: list[list[float]] = []

    def note(_: torch.nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen.append([entry for value in inputs for entry in value.flatten().tolist()])

    bending = [layer for step, layer in zip(case.steps, module.layers, strict=True) if isinstance(step, Bending)]
    hooks = [layer.register_forward_pre_hook(note) for layer in bending]
    with torch.no_grad():
        module(torch.from_numpy(case.start + t * (case.end - case.start)).to(dtype).unsqueeze(0))
    for hook in hooks:
        hook.remove()
    return seen


def _close(at: At, floats: list[float], rounding: Fraction, *, ties: bool) -> list[int]:
    """Units of one step within rounding of another piece."""
    largest = max(abs(entry) for entry in at.entries)
    error = max(abs(Fraction(number) - entry) for number, entry in zip(floats, at.entries, strict=True))
    tiny = max(rounding * largest, ERRORS * error)

    def close(gap: Fraction, float_gap: float) -> bool:
        return abs(gap) <= tiny and not (ties and gap == float_gap == 0)

    if not isinstance(at.step, OverWindows):
        thresholds = hinge_of(at.step).thresholds
        return [unit for unit, (entry, number) in enumerate(zip(at.entries, floats, strict=True))
                if any(close(entry - h, number - float(h)) for h in thresholds)]  # fmt: skip
    units = []
    for unit, (members, piece) in enumerate(zip(windows(at.step, *at.shapes).members, at.pieces, strict=True)):
        best = members[piece]
        if any(
            close(at.entries[best] - at.entries[m], floats[best] - floats[m])
            for m in members
            if m is not None and m != best
        ):
            units.append(unit)
    return units
