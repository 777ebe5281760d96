"""Random small networks of all supported steps, each with a polygon in a plane, for exact slices.

``random_plane(seed)`` goes through all ``KINDS`` in turn; ``random_plane(seed, "copies")`` keeps to one. The same seed
gives the same case. All weights, thresholds, planes and corners are float32 numbers, so that in float32 and in float64
the network is the same function, which the oracle restricts exactly (but for batch norm, whose root everyone rounds).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor, nn

from oracle import mixed, networks
from oracle.bends import hinge_of
from oracle.choices import Rolled
from oracle.mixed import Mixing, convolutional
from oracle.modules import Described
from oracle.networks import Family, Numbers, coarse, decimal, drawn, generic, in_float32, repeating, spread, uneven
from oracle.planes import PlaneCase, Tiling, TooManyCells, restrict_to_plane
from oracle.steps import (
    Absolute,
    BatchNorm,
    Case,
    Clamp,
    Convolution,
    HardSigmoid,
    Linear,
    Maximum,
    MaxPool,
    Minimum,
    Pad,
    SoftShrink,
    Step,
    TransposedConvolution,
    UnitWise,
)

MOST = 300  # cells: a polygon with more of them is made smaller
FAMILIES = [*mixed.FAMILIES, *mixed.FAMILIES, *networks.FAMILIES]
VECTORS = [mixed.FAMILIES[0], mixed.FAMILIES[0], networks.FAMILIES[0]]
_SHAPES = [
    [(0, 0), (2, 0), (0, 2)],
    [(-1, -1), (1, -1), (1, 1), (-1, 1)],
    [(-2, 0), (-1, -2), (1, -2), (2, 0), (0, 2)],
]

Random = np.random.Generator
Function = tuple[float, float, float]
"""Constant, slope in a and slope in b."""


@dataclass(frozen=True, eq=False)
class RandomPlane:
    """A network and a polygon in a plane.

    Attributes:
        kind: One of ``KINDS``.
        case: The description, for the oracle.
        centre: The point (a, b) of the polygon where its kind shows: the corner on a border, where borders meet, the
            origin of the inputs; of the others any.
        tiling: What the oracle makes of it.
    """

    kind: str
    case: PlaneCase
    centre: tuple[float, float]
    tiling: Tiling

    def module(self, dtype: torch.dtype = torch.float64) -> nn.Module:
        """The network, which takes batches."""
        return Described(self.case.steps, self.case.origin.ndim).to(dtype)

    def plane(self, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Origin, u, v (each of the shape of one input) and corners ``(K, 2)``, counterclockwise."""
        parts = (self.case.origin, self.case.u, self.case.v, self.case.corners)
        origin, u, v, corners = (torch.from_numpy(part).to(dtype) for part in parts)
        return origin, u, v, corners


@dataclass(frozen=True, eq=False)
class Draft:
    """A case, and the point (a, b) to which its polygon can shrink without losing what is special about it."""

    case: PlaneCase
    centre: np.ndarray


def random_plane(seed: int, kind: str | None = None, most: int = MOST) -> RandomPlane:
    """A random case, and its exact restriction.

    Args:
        seed: Any number.
        kind: One of ``KINDS``; by default they take turns.
        most: How many cells it may have.
    """
    kind = kind or list(KINDS)[seed % len(KINDS)]
    random = np.random.default_rng([seed, *kind.encode()])
    wanted = int(random.choice([1, 2, 4, 8, 16]))  # with fewer cells there is little to see
    while True:
        draft = KINDS[kind](random)
        if draft is None or not _is_plane(draft.case) or not _in_float32(draft.case):
            continue
        found = _small_enough(draft, most)
        if found is not None and len(found[1].cells) >= wanted:
            case, tiling = found
            a, b = draft.centre.tolist()
            return RandomPlane(kind, replace(case, name=f"{kind}, seed {seed}: {case.name}"), (a, b), tiling)


def over_network(random: Random, network: Case, most: int = MOST) -> RandomPlane | None:
    """A random polygon in the inputs of a given network as float32 has it, and the exact restriction to it.

    None where it has more than ``most`` cells however small, or is no polygon.
    """
    draft = _anywhere(random, in_float32(network))
    found = _small_enough(draft, most) if _is_plane(draft.case) and _in_float32(draft.case) else None
    return None if found is None else RandomPlane("mixed", found[0], tuple(draft.centre.tolist()), found[1])


def _small_enough(draft: Draft, most: int) -> tuple[PlaneCase, Tiling] | None:
    """The case and its restriction, its polygon halved up to ten times."""
    for factor in 0.5 ** np.arange(11):
        case = replace(draft.case, corners=draft.centre + factor * (draft.case.corners - draft.centre))
        try:
            return case, restrict_to_plane(case, most)
        except TooManyCells:
            continue
    return None


def _is_plane(case: PlaneCase) -> bool:
    """Whether u and v are linearly independent."""
    return np.linalg.matrix_rank(np.stack([case.u.reshape(-1), case.v.reshape(-1)])) == 2


def _in_float32(case: PlaneCase) -> bool:
    """Whether all numbers are float32. Corners have few digits and remain so when the polygon is halved."""
    values = [getattr(step, field.name) for step in case.steps for field in fields(step)]
    numbers = [np.asarray(value) for value in values if isinstance(value, np.ndarray | float)]
    return all(np.array_equal(x.astype(np.float32), x) for x in (*numbers, case.origin, case.u, case.v, case.corners))


def snapped(seed: int) -> Numbers:
    """Normal numbers, rounded to multiples of 1/64."""
    normal = generic(seed)
    return lambda shape: np.round(64 * normal(shape)) / 64


def copied(seed: int) -> Numbers:
    """Multiples of 1/64 in which some units are the first one times 1, 2, 3, -1 or 0; biases go with the weights."""
    numbers = snapped(seed)

    def copies(shape: Sequence[int]) -> np.ndarray:
        values, choose = numbers(shape), np.random.default_rng([seed, shape[0]])
        factors, whether = choose.choice([1.0, 1.0, 2.0, 3.0, -1.0, 0.0], shape[0]), choose.random(shape[0]) < 0.6
        per_unit = (shape[0], *(1,) * (len(shape) - 1))
        return np.where(whether.reshape(per_unit), factors.reshape(per_unit) * values[:1], values)

    return copies


def _network(random: Random, families: Sequence[Family], *kinds: Callable[[int], Numbers]) -> Case:
    """A random network as float32 has it, with numbers of one of these kinds; its segment does not matter."""
    return in_float32(drawn(Rolled(random), families, _one_of(random, kinds)))


_ANY = (snapped, snapped, generic, coarse, repeating, uneven)


def _one_of(random: Random, options: Sequence) -> object:
    return options[random.integers(len(options))]


def _eighths(random: Random, *shape: int, most: float = 2) -> np.ndarray:
    return random.integers(-int(8 * most), int(8 * most) + 1, shape) / 8


def _normal(random: Random, *shape: int) -> np.ndarray:
    return np.round(64 * random.standard_normal(shape)) / 64


def _polygon(random: Random) -> np.ndarray:
    """A triangle, a square or a pentagon, most of them askew, counterclockwise, its corners in eighths."""
    corners = np.array(_one_of(random, _SHAPES), dtype=float)
    while random.random() < 0.7:
        matrix = _eighths(random, 2, 2, most=1.5)
        if np.linalg.det(matrix) > 0.2:
            return corners @ matrix.T
    return corners


def _within(random: Random, corners: np.ndarray) -> np.ndarray:
    """A point of a polygon, in thirty-seconds: mostly inside, but some are on the border, or a corner."""
    return random.multinomial(4, np.full(len(corners), 1 / len(corners))) / 4 @ corners


def _mixed(random: Random) -> Draft:
    """Any network, any plane."""
    return _anywhere(random, _network(random, FAMILIES, *_ANY))


def _rounded(random: Random) -> Draft:
    """Tenths, which tie on paper but not quite in floats; numbers over six orders of magnitude."""
    return _anywhere(random, _network(random, FAMILIES, decimal, spread))


def _copies(random: Random) -> Draft:
    """Units that are others times 1, 2, 3, -1 or 0."""
    return _anywhere(random, _network(random, FAMILIES, copied))


def _anywhere(random: Random, network: Case) -> Draft:
    shape, numbers = network.start.shape, _one_of(random, [_normal, _normal, _eighths])
    origin, u, v = (numbers(random, *shape) for _ in range(3))
    if random.random() < 0.2:
        v = u + v / 16  # nearly parallel
    return _drafted(random, network, origin, u, v)


def _drafted(random: Random, network: Case, origin: np.ndarray, u: np.ndarray, v: np.ndarray) -> Draft:
    corners = _polygon(random)
    return Draft(PlaneCase(network.name, network.steps, origin, u, v, corners), _within(random, corners))


def _axes(random: Random) -> Draft | None:
    """Two inputs vary, one each with a and b."""
    network = _network(random, FAMILIES, *_ANY)
    shape, size = network.start.shape, network.start.size
    if size < 2:
        return None
    u, v = np.zeros(size), np.zeros(size)
    first, second = random.choice(size, 2, replace=False)
    u[first], v[second] = random.choice([1.0, -1.0, 2.0, 0.25], 2)
    return _drafted(random, network, _normal(random, *shape), u.reshape(shape), v.reshape(shape))


def _through_origin(random: Random) -> Draft:
    """Nothing but zero becomes of zero, which is in the plane: inside the polygon, on its border, or at a corner."""
    network = _network(random, FAMILIES, snapped, coarse, copied, generic)
    network = replace(network, steps=tuple(map(_homogeneous, network.steps)))
    corners = _polygon(random)
    middles = [(p + q) / 2 for p, q in zip(corners, np.roll(corners, -1, 0))]
    corners = corners - _one_of(random, [corners[0], middles[0], *[_within(random, corners)] * 4])
    u, v = (_normal(random, *network.start.shape) for _ in range(2))
    case = PlaneCase(network.name, network.steps, np.zeros_like(u), u, v, corners)
    return Draft(case, np.zeros(2))


def _homogeneous(step: Step) -> Step:
    """A step that commutes with scaling."""
    return Absolute(step.sources) if isinstance(step, Clamp | HardSigmoid | SoftShrink) else _without_bias(step)


def _without_bias(step: Step) -> Step:
    if isinstance(step, Linear | Convolution | TransposedConvolution):
        return replace(step, bias=None)
    if isinstance(step, BatchNorm):
        return replace(step, mean=np.zeros_like(step.mean), bias=np.zeros_like(step.bias))
    return replace(step, value=0.0) if isinstance(step, Pad) else step


def _border_at_corner(random: Random) -> Draft | None:
    """Borders of one or two units go exactly through a corner of the polygon."""
    corners = _polygon(random)
    corner = corners[0]
    return _crafted(random, corners, corner, [_through(random, corner) for _ in range(random.integers(1, 3))])


def _border_along_edge(random: Random) -> Draft | None:
    """Borders of one or two units have a side of the polygon on them."""
    corners = _polygon(random)
    (along_a, along_b), corner = corners[1] - corners[0], corners[0]
    scales = random.choice([1.0, -1.0, 0.5], random.integers(1, 3))
    return _crafted(random, corners, corner, [_zero_at(corner, s * along_b, -s * along_a) for s in scales])


def _nearly_parallel(random: Random) -> Draft | None:
    """Borders next to each other, parallel or turned a little, their units scaled."""
    corners = _polygon(random)
    place = _within(random, corners)
    constant, by_a, by_b = _through(random, place)
    functions = [(constant, by_a, by_b)]
    for _ in range(random.integers(1, 4)):
        apart, turn = 2.0 ** -random.choice([2, 6, 10, 14, 18, 20]), random.choice([0, 0, 0, 2.0**-8, 2.0**-14])
        scale = random.choice([1.0, -1.0, 2.0])
        functions.append((scale * (constant + apart), scale * (by_a + turn), scale * by_b))
    return _crafted(random, corners, place, functions)


def _concurrent(random: Random) -> Draft | None:
    """Borders of three to five units meet in one point: inside the polygon, on its border, or at a corner."""
    corners = _polygon(random)
    place = _within(random, corners)
    return _crafted(random, corners, place, [_through(random, place) for _ in range(random.integers(3, 6))])


def _through(random: Random, place: np.ndarray) -> Function:
    """A function that is zero at a point."""
    return _zero_at(place, *_one_of(random, [(1, 0), (0, 1), (1, 1), (1, -1), *_eighths(random, 6, 2, most=1)]))


def _zero_at(place: np.ndarray, by_a: float, by_b: float) -> Function:
    return -float(by_a * place[0] + by_b * place[1]), float(by_a), float(by_b)


def _crafted(random: Random, corners: np.ndarray, centre: np.ndarray, functions: Sequence[Function]) -> Draft | None:
    """A network whose first units are, on the plane, these functions and a threshold of theirs."""
    network = _network(random, VECTORS, *_ANY)
    first, bending, *_ = network.steps
    out, into = first.weight.shape
    if into < 2 or out < len(functions) or not isinstance(bending, UnitWise):
        return None
    threshold = float(_one_of(random, hinge_of(bending).thresholds))
    place = random.permutation(into)
    origin, u, v = _eighths(random, into), _eighths(random, into, most=0.5), _eighths(random, into, most=0.5)
    u[place[:2]], v[place[:2]] = (1, 0), (0, 1)
    weight, bias = first.weight.copy(), np.zeros(out) if first.bias is None else first.bias.copy()
    for unit, (constant, by_a, by_b) in zip(random.permutation(out), functions):
        row = _eighths(random, into, most=1)
        row[place[:2]] = 0
        row[place[:2]] = by_a - row @ u, by_b - row @ v  # all of this is exact: a few binary digits each
        weight[unit], bias[unit] = row, constant + threshold - row @ origin
    steps = (replace(first, weight=weight, bias=bias), *network.steps[1:])
    return Draft(PlaneCase(network.name, steps, origin, u, v, corners), centre)


def _translations(random: Random) -> Draft:
    """Whole-numbered signals and images with many equal entries, moved by whole steps: windows of equal numbers."""
    choose, numbers = Rolled(random), _one_of(random, [coarse, coarse, snapped])(int(random.integers(2**32)))
    shape = _one_of(random, [(1, 8), (2, 6), (1, 4, 5), (1, 6, 6), (2, 4, 4)])
    network = Mixing(shape, numbers)
    if choose.one_of([True, True, False]):
        sizes = len(shape) - 1
        kernel, stride = choose.whole(2, 3), choose.whole(1, 2)
        network.over_windows(MaxPool((0,), *((n,) * sizes for n in (kernel, stride, kernel // 2, 1))))
    if choose.maybe():
        network.of_two(choose.one_of([Maximum, Minimum]), network.here)  # with itself
    convolutional(choose, network, choose.whole(1, 2))
    network.head(choose.whole(1, 3))
    steps = tuple(map(_without_bias, network.steps)) if choose.maybe() else tuple(network.steps)
    image = random.integers(0, 3, shape) * (random.random(shape) < 0.6).astype(float)
    u, v = np.roll(image, 1, -1) - image, np.roll(image, *((2, -1) if len(shape) == 2 else (1, -2))) - image
    case = in_float32(replace(network.case(f"translations, {numbers}"), steps=steps))
    corners = _one_of(random, [[(0, 0), (1, 0), (0, 1)], [(0, 0), (1, 0), (1, 1), (0, 1)], 2 * _polygon(random)])
    corners = np.array(corners, dtype=float)
    return Draft(PlaneCase("translations", case.steps, image, u, v, corners), corners[0])


KINDS: dict[str, Callable[[Random], Draft | None]] = {
    "mixed": _mixed,
    "through origin": _through_origin,
    "copies": _copies,
    "border at corner": _border_at_corner,
    "border along edge": _border_along_edge,
    "nearly parallel": _nearly_parallel,
    "concurrent": _concurrent,
    "translations": _translations,
    "axes": _axes,
    "rounded": _rounded,
}
"""For each kind, what draws a case of it; None where what was drawn does not suit."""
