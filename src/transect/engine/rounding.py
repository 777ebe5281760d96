"""How far rounding moves the values a bending operation compares.

A worst-case bound grows by the square root of the fan-in at every layer and is useless after five. Rounding errors are
independent to a good approximation (Higham & Mary, SIAM J. Sci. Comput. 2019), so their *variances* are carried through
the network instead: every affine operation passes on the variance of its operands with squared coefficients and adds
its own, ``z^2 + sum w^2 x^2`` up to a constant. The result is one standard deviation a unit, and follows any rescaling
of the units: squares are taken of scaled numbers, in float64, so that they neither overflow nor vanish before the
values do. Where the values themselves vanish, a rounding error is not relative but absolute, and units of which
nothing else is left are *faint*: a zero there means nothing, and they are named.

It is worked out once for a pack, with the largest values seen at a few points of it, and again at single knots, with
the values there, wherever the first says that rounding may decide something (:class:`RoundingNearby`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import Tensor

from transect.engine.movement import Movement
from transect.engine.program import Instruction, Program
from transect.engine.rows import Domain
from transect.rules import Affine, Bend, Hinge

_LOCAL = 2.0  # each operation's own standard deviation, in units of eps and of what it sums
# Roots smaller than this, or infinite, are taken again of numbers this many times larger, or smaller.
_LEAST, _STEP = 1e-140, 1e150
_TOGETHER = 1 << 20  # values whose surroundings are looked at together


@dataclass(frozen=True)
class Tolerance:
    """How far a unit's value must be from its threshold to be told from it.

    Attributes:
        merge: Values closer to their threshold than this, at a knot, are set to it, ``(units,)`` float64. It holds
            all along the segments, for the largest values there.
        stated: What positions are stated with, as a multiple of ``merge``.
        nearby: The same distance for single units at single points, from the values there: places ``(n, 2)`` and units
            ``(n,)`` to ``(n,)`` float64.
        suspects: Units that may be at their threshold by rounding only: :meth:`Movement.suspects`.
        moves: Whether single units, or differences of two, truly move at single points: :meth:`Movement.moves`.
    """

    merge: Tensor
    stated: float
    nearby: Callable[[Tensor, Tensor], Tensor]
    suspects: Callable[[], Tensor]
    moves: Callable[..., Tensor]

    @cached_property
    def most(self) -> float:
        """The largest ``merge`` of all units."""
        return float(self.merge.max())


CERTAIN = 16.0  # standard deviations beyond which a difference is none of rounding's
_STATED = 32.0  # standard deviations: the bound with which positions are stated
# float32 crossings are dense compared with their rounding, so merging at a safe distance would lose regions: the fast
# mode merges only what is equal to a few units in the last place, and states its positions' errors as carefully.
MERGED = {torch.float64: CERTAIN, torch.float32: 1 / 256}
# On a plane borders of neighbouring polygons have to fit together, and signs that are noise fit nowhere: there are no
# more regions in float32 than in float64 only if what is noise is merged.
MERGED_ON_PLANES = {torch.float64: CERTAIN, torch.float32: 4.0}


@dataclass(frozen=True)
class Spread:
    """Standard deviations of the rounding errors along a pack of segments.

    Attributes:
        bends: For every bending operation those of its units, ``(units,)`` float64.
        outputs: Those of the outputs, ``(outputs,)`` float64.
        faint: For every bending operation whether all that its numbers are made of is in the subnormal range, though
            not zero, ``(units,)`` bool.
    """

    bends: tuple[Tensor, ...]
    outputs: Tensor
    faint: tuple[Tensor, ...]


def spread_along(program: Program, points: Tensor) -> Spread:
    """Standard deviations from a plain evaluation at a few points of the path, with the largest values over them.

    Dead units hide their errors: those that are dead at all points, and would be even if their values moved as far
    again as they do between them. If all passed on their errors, these would seem to grow with every layer.

    Args:
        program: The compiled network.
        points: Points of the path, ``(N, *input_shape)``; the more of the path they show the better, a few dozen do.
    """
    eps, tiny = torch.finfo(points.dtype).eps, torch.finfo(points.dtype).tiny
    peaks = {program.input: _peak(points)}
    deviation = dict(peaks)
    bends, faint = [], []
    for instruction, operands, result in program.walk(points):
        before = [deviation[slot] for slot in instruction.reads]
        operation, slot = instruction.operation, instruction.writes
        peaks[slot] = _peak(result)
        if isinstance(operation, Affine):
            operand_peaks = [peaks[read] for read in instruction.reads]
            deviation[slot] = _after_affine(operation, before, operand_peaks, peaks[slot], tiny)
        else:
            bends.append((eps * operation.flat(before[0])).reshape(-1))
            faint.append(_faint(operation, before[0], points.dtype))
            dead = _dead_at_all(operation, operands[0], result[:1], _margin(before[0], points.dtype))
            deviation[slot] = _after_bend(operation, before[0], peaks[slot], dead)
        for unread in instruction.frees:
            del peaks[unread], deviation[unread]
    return Spread(tuple(bends), (eps * deviation[program.output]).reshape(-1), tuple(faint))


def _dead(bend: Bend, z: Tensor, result: Tensor, margin: Tensor) -> Tensor:
    """Whether units stay on one flat piece, whose value is the result, as far as ``margin`` around ``z``."""
    return (bend.apply(z - margin) == result) & (bend.apply(z + margin) == result)


def _dead_at_all(bend: Bend, z: Tensor, result: Tensor, margin: Tensor) -> Tensor:
    """Whether units are dead at all points, and around them as far again as they move between them; one row."""
    reach = margin + (z.amax(0) - z.amin(0))
    together = max(1, _TOGETHER // z[0].numel())
    dead = [_dead(bend, part, result, reach).all(0, keepdim=True) for part in z.split(together)]
    return torch.cat(dead).all(0, keepdim=True)


def _margin(deviation: Tensor, dtype: torch.dtype) -> Tensor:
    """How far rounding can move values, in their own dtype; standard deviations are in units of eps."""
    return (CERTAIN * torch.finfo(dtype).eps * deviation).to(dtype)


def tolerances(spread: Spread, nearby: RoundingNearby, places: Tensor) -> tuple[Tolerance, ...]:
    """One tolerance for every bending operation; ``places`` are a few of the domain, ``(n, 2)``."""
    stated = _STATED / nearby.merged
    merge = tuple(nearby.merged * deviation for deviation in spread.bends)
    movement = Movement(nearby.program, nearby.domain, nearby.rows, merge, places)
    return tuple(
        Tolerance(
            merge[bend],
            stated,
            partial(nearby.merge, bend),
            partial(movement.suspects, bend),
            partial(movement.moves, bend),
        )
        for bend in range(len(merge))
    )


@dataclass(frozen=True)
class RoundingNearby:
    """Rounding of single units at single points of the domain, from the values at these points.

    Where a unit spans many orders of magnitude on one segment, what is rounding beside its largest value can be a true
    value where it is small.

    Attributes:
        program: The compiled network.
        domain: Where the network is restricted.
        rows: How many points are looked at together.
        merged: Standard deviations within which values merge with their threshold.
    """

    program: Program
    domain: Domain
    rows: int
    merged: float

    def merge(self, bend: int, places: Tensor, unit: Tensor) -> Tensor:
        """How close to their threshold units of a bending operation merge with it, ``(n,)``."""
        places, index = places.unique(dim=0, return_inverse=True)
        found = torch.empty(len(index), dtype=torch.float64, device=places.device)
        for first in range(0, len(places), self.rows):
            here = (index >= first) & (index < first + self.rows)
            deviation = self._deviations(bend, places[first : first + self.rows])
            found[here] = deviation[index[here] - first, unit[here]]
        return self.merged * found

    def _deviations(self, bend: int, places: Tensor) -> Tensor:
        """Standard deviations of all units of a bending operation at some points, ``(n, units)``."""
        points = self.domain.between(places)
        rows, name = len(places), self.program.input
        values, deviation = {name: points}, {name: _of_both_ends(points)}
        for instruction in self.program.instructions:
            before = [deviation[slot] for slot in instruction.reads]
            if instruction.bend == bend:
                assert not isinstance(instruction.operation, Affine)
                return torch.finfo(points.dtype).eps * instruction.operation.flat(before[0])
            operands = [values[slot] if instruction.in_prefix else values[slot][:rows] for slot in instruction.reads]
            self._step(instruction, operands, before, values, deviation)
        raise AssertionError(f"there is no bending operation {bend}")

    def _step(
        self,
        instruction: Instruction,
        operands: list[Tensor],
        before: list[Tensor],
        values: dict[str, Tensor],
        deviation: dict[str, Tensor],
    ) -> None:
        operation, slot = instruction.operation, instruction.writes
        if isinstance(operation, Affine):
            values[slot] = operation.value(*operands)
            sizes = _of_both_ends if instruction.in_prefix else _size
            tiny = torch.finfo(values[slot].dtype).tiny
            deviation[slot] = _after_affine(operation, before, [*map(sizes, operands)], sizes(values[slot]), tiny)
        else:
            z = operands[0]
            values[slot] = operation.apply(z.clone())
            dead = _dead(operation, z, values[slot], _margin(before[0], z.dtype))
            deviation[slot] = _after_bend(operation, before[0], _size(values[slot]), dead)
        for name in instruction.frees:
            values.pop(name, None)
            deviation.pop(name, None)


def _after_affine(
    operation: Affine, before: Sequence[Tensor], operands: Sequence[Tensor], result: Tensor, tiny: float
) -> Tensor:
    """Standard deviations of the results, from those of the operands and from the sizes of both; in units of eps."""
    summed = [torch.hypot(deviation, _LOCAL * size) for deviation, size in zip(before, operands, strict=True)]
    passed = _root_of_squares(operation.squares, summed, result, tiny)  # what underflows loses up to eps * tiny
    return torch.hypot(passed, _LOCAL * result)


def _after_bend(operation: Bend, before: Tensor, result: Tensor, dead: Tensor) -> Tensor:
    """Standard deviations of the results, from those of the operand and the size of the results; in units of eps.

    What an operation itself rounds may be all that keeps a unit the same around a point: dead units have that, too.
    """
    passed = operation.deviation(before).masked_fill(dead, 0)
    if isinstance(operation, Hinge) and operation.computed is not None:
        passed = torch.hypot(passed, _LOCAL * (result + operation.computed))
    return passed


def _root_of_squares(squares: Callable[..., Tensor], numbers: Sequence[Tensor], result: Tensor, least: float) -> Tensor:
    """Root of what ``squares`` makes of the squares of ``numbers``, which neither overflow nor vanish on the way.

    However small it is, it is more than ``least`` where it is not zero.
    """
    scale = torch.stack([x.max() for x in numbers if x.numel()] or [result.new_zeros(())]).max()
    scale = torch.where((scale > 0) & scale.isfinite(), scale, 1.0)
    relative = [x / scale for x in numbers]
    root = squares(*(x.square() for x in relative)).double().sqrt()
    lost = ((root < _LEAST) & (result <= _LEAST * scale), ~root.isfinite())
    for where, step in zip(lost, (_STEP, 1 / _STEP), strict=True):
        if bool(where.any()):
            root = torch.where(where, squares(*((step * x).square() for x in relative)).double().sqrt() / step, root)
    return scale * root + torch.full_like(root, least).masked_fill(root == 0, 0)


def _faint(bend: Bend, numbers: Tensor, dtype: torch.dtype) -> Tensor:
    """Units that compare numbers in the subnormal range with zero, or with one another."""
    tiny, eps = torch.finfo(dtype).tiny, torch.finfo(dtype).eps
    if isinstance(bend, Hinge):
        numbers = bend.flat(numbers)
        thresholds = [torch.as_tensor(t, dtype=torch.float64, device=numbers.device) for t in bend.thresholds]
        compared = [threshold.abs().reshape(-1) < tiny / eps for threshold in thresholds]
        near = torch.stack([part.expand(numbers.shape[1]) for part in compared]).any(0)
    else:
        numbers, near = bend.apply(numbers).reshape(1, -1), torch.ones((), dtype=torch.bool, device=numbers.device)
    return ((numbers >= tiny) & (numbers < tiny / eps) & near).reshape(-1)  # what is exactly zero has none


def _peak(x: Tensor) -> Tensor:
    """Largest magnitude over the rows, as one row."""
    return torch.maximum(_size(x.amax(0, keepdim=True)), _size(x.amin(0, keepdim=True)))


def _of_both_ends(x: Tensor) -> Tensor:
    """Largest magnitude at a point and the ends of its segment: values on a line are interpolated between the ends."""
    return _size(x).unflatten(0, (3, -1)).amax(0)


def _size(x: Tensor) -> Tensor:
    return x.double().abs()
