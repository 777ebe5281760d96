"""The colours of a slice: which region has which, and why."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import matplotlib
import numpy as np
from matplotlib.colors import Colormap, LinearSegmentedColormap, LogNorm, Normalize, to_hex, to_rgb
from numpy.typing import NDArray

from transect.plots.raster import Cells, Floats, Ints
from transect.plots.style import CYCLE

if TYPE_CHECKING:
    from transect.slicing.result import Slice

Words: TypeAlias = NDArray[np.uint64]
Colour = Literal["region", "slope", "output", "class", "operation", "area"]

# Light, so that lines and text on them are read, and told apart by colour-blind readers as well: the scheme "light" of
# Paul Tol, "Colour schemes" (2021), made for cells with labels in them; then three more, for ten digits and the like.
LIGHT = "#77AADD #EE8866 #EEDD88 #44BB99 #FFAABB #BBCC33 #99DDFF #C7A98B #BBAADD #DDDDDD #AAAA00 #88CCCC".split()
REGIONS = [*LIGHT[:7], LIGHT[8]]  # as many as a power of two

_CENTRED, _SLOPES, _AREAS, _VALUES = "PuOr_r", "YlGnBu", "YlOrBr_r", "YlGnBu"
_DECADES = 100.0  # between the limits, from which on a scale is logarithmic
_TAIL = 0.005  # part of the area whose values may lie beyond each limit: slivers can have any slope
_ROUNDS = 64  # of telling neighbours apart
_SPLIT = np.array([0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB], np.uint64)


def operation_colours(count: int) -> list[str]:
    """A colour for each bending operation: those of the other figures where they suffice, else from dark to light."""
    if count <= len(CYCLE):
        return list(CYCLE[:count])
    scale = matplotlib.colormaps["viridis"]
    return [to_hex(scale(0.92 * place / (count - 1))) for place in range(count)]


def lighter(colour: Any, share: float) -> str:
    """A colour mixed with white."""
    red, green, blue = (1 - share * (1 - part) for part in to_rgb(colour))
    return to_hex((red, green, blue))


def darker(colour: Any) -> str:
    """A colour of the same hue, dark enough for a mark on the light one."""
    hue, lightness, saturation = colorsys.rgb_to_hls(*to_rgb(colour))
    return to_hex(colorsys.hls_to_rgb(hue, 0.52 * lightness, min(1.0, 0.9 * saturation)))


def class_colour(number: int) -> str:
    """The colour of a class, whatever the other classes are."""
    return LIGHT[number % len(LIGHT)]


def region_colours(slice: Slice) -> Ints:
    """Places in :data:`REGIONS` for all regions, ``(F,)``: neighbours differ, and nothing depends on the machine.

    A region begins with the colour that a hash of the set of units bending along its borders says. This set is no
    number that could be rounded: another budget, dtype or machine has the same, and so has the next checkpoint for as
    long as the same units are around a region. Where two neighbours have the same colour, the one with the larger
    hash takes the first that no neighbour has, of those that follow in an order of its own, until all differ. Between
    equal hashes the place of the centres decides.
    """
    polygons, edges, count = slice.polygons, slice.edges, len(REGIONS)
    code = _codes(slice)
    centres = polygons.centres.numpy()
    rank = np.empty(len(polygons), np.int64)
    rank[np.lexsort((centres @ (0.8253, 0.5647), code))] = np.arange(len(polygons))
    colour = (code % np.uint64(count)).astype(np.int64)
    stride = 1 + 2 * ((code >> np.uint64(32)) % np.uint64(count // 2)).astype(np.int64)  # odd: it reaches all of them
    left, right = edges.left.numpy(), edges.right.numpy()
    inner = right >= 0
    left, right = left[inner], right[inner]
    moving = np.zeros(len(polygons), bool)
    for _ in range(_ROUNDS):
        equal = np.flatnonzero((colour[left] == colour[right]) & (left != right))
        if len(equal) == 0:
            break
        one, other = left[equal], right[equal]
        movers = np.unique(np.where(rank[one] > rank[other], one, other))
        moving[movers] = True
        taken = np.zeros(len(polygons), np.int64)
        for here, there in ((left, right), (right, left)):
            some = moving[here]
            np.bitwise_or.at(taken, here[some], 1 << colour[there[some]])
        moving[movers] = False
        options = (colour[movers, None] + stride[movers, None] * np.arange(1, count + 1)) % count
        free = (taken[movers, None] >> options) & 1 == 0
        # Who has neighbours of all colours takes the next one: they may move as well.
        colour[movers] = options[np.arange(len(movers)), free.argmax(1)]
    return colour


def _codes(slice: Slice) -> Words:
    """A hash of the set of units that bend along the borders of each region, ``(F,)``."""
    edges = slice.edges
    of_bend = np.repeat(np.arange(len(edges)), np.diff(edges.first.numpy()))
    operation, unit = edges.operation.numpy(), edges.unit.numpy()
    most = int(unit.max(initial=0)) + 1
    units, kind = np.unique(operation * most + unit, return_inverse=True)
    owners = np.concatenate([side.numpy()[of_bend] for side in (edges.left, edges.right)])
    kinds = np.concatenate([kind, kind])[owners >= 0]
    pairs = np.sort(owners[owners >= 0] * max(1, len(units)) + kinds)
    pairs = pairs[np.diff(pairs, prepend=-1) > 0]  # np.unique, which hashes integers, takes ten times as long
    owner, kind = np.divmod(pairs, max(1, len(units)))
    words = _mixed(_mixed((units // most).astype(np.uint64)) + (units % most).astype(np.uint64))
    code = np.zeros(len(slice.polygons), np.uint64)
    if len(owner):
        first = np.flatnonzero(np.diff(owner, prepend=-1))
        code[owner[first]] = np.add.reduceat(words[kind], first)  # modulo 2**64
    return _mixed(code)


def _mixed(words: Words) -> Words:
    """SplitMix64 (Steele, Lea and Flood, 2014): every bit of a word changes about half of the result's."""
    words = words + _SPLIT[0]
    words = (words ^ (words >> np.uint64(30))) * _SPLIT[1]
    words = (words ^ (words >> np.uint64(27))) * _SPLIT[2]
    return np.asarray(words ^ (words >> np.uint64(31)), np.uint64)


def bounding_operations(slice: Slice) -> Ints:
    """The operation that bends along the longest part of every region's borders, -1 where none does, ``(F,)``.

    Where several bend at an edge it counts for the first.
    """
    edges, count = slice.edges, len(slice.operations)
    depth = edges.depth.numpy()
    across = slice.polygons.xy.numpy()[edges.end.numpy()] - slice.polygons.xy.numpy()[edges.start.numpy()]
    length = np.sqrt(np.einsum("ei,ij,ej->e", across, slice.plane.metric.numpy(), across))
    total = np.zeros(len(slice.polygons) * (count + 1))
    for side in (edges.left.numpy(), edges.right.numpy()):
        some = (side >= 0) & (depth >= 0)
        total += np.bincount(side[some] * (count + 1) + depth[some] + 1, length[some], minlength=len(total))
    return np.asarray(total.reshape(-1, count + 1).argmax(1) - 1, np.int64)


@dataclass(frozen=True)
class Scale:
    """Numbers as colours.

    Attributes:
        norm: From numbers to [0, 1].
        colours: From there to colours.
        beyond: Which ends of the scale hold more than they say, as colour bars name it.
    """

    norm: Normalize
    colours: Colormap
    beyond: Literal["neither", "both", "min", "max"]


def scale_of(kind: str, values: Floats, weights: Floats, limits: tuple[float, float] | None, centred: bool) -> Scale:
    """The scale of numbers.

    Args:
        kind: ``"slope"``, ``"area"`` or ``"output"``.
        values: What is shown, ``(n,)``.
        weights: How much of the picture each is, ``(n,)``.
        limits: Of the scale; found where None.
        centred: The colours of the two sides of zero differ.
    """
    low, high = limits_of(kind, values, weights) if limits is None else limits
    least, most = float(values.min(initial=np.inf)), float(values.max(initial=-np.inf))
    under, over = least < low * (1 - 1e-9 * np.sign(low)), most > high * (1 + 1e-9 * np.sign(high))
    beyond: Any = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}
    norm = LogNorm(low, high) if kind != "output" and high >= _DECADES * low > 0 else Normalize(low, high)
    return Scale(norm, _colours(kind, low, high, centred), beyond[bool(under), bool(over)])


def limits_of(kind: str, values: Floats, weights: Floats) -> tuple[float, float]:
    """Limits that make a scale of numbers useful: all outputs, and of slopes and areas nearly all."""
    if kind == "output":
        low, high = float(values.min(initial=np.inf)), float(values.max(initial=-np.inf))
    else:
        some = (weights > 0) & (values > 0)  # a logarithm is wanted of them
        order = np.argsort(values[some], kind="stable")
        sums = np.cumsum(weights[some][order])
        if len(sums) == 0:
            return 0.0, 1.0
        ends = np.searchsorted(sums, [_TAIL * sums[-1], (1 - _TAIL) * sums[-1]])
        low, high = values[some][order][np.minimum(ends, len(order) - 1)].tolist()
    if not low < high:
        spread = 0.5 * (abs(low) or 1.0)
        return low - spread, high + spread
    return low, high


def _colours(kind: str, low: float, high: float, centred: bool) -> Colormap:
    if kind == "output" and centred and low < 0 < high:
        most = max(-low, high)
        ends = 0.5 + 0.42 * low / most, 0.5 + 0.42 * high / most  # without the darkest: lines are drawn over it
        name = _CENTRED
    else:
        name, ends = {
            "slope": (_SLOPES, (0.03, 0.88)),
            "area": (_AREAS, (0.3, 1.0)),
            "output": (_VALUES, (0.03, 0.88)),
        }[kind]
    samples = matplotlib.colormaps[name](np.linspace(*ends, 256))
    return LinearSegmentedColormap.from_list(f"{name} {ends[0]:.3f} {ends[1]:.3f}", samples)


class Outputs:
    """The outputs of a slice, affine in every polygon, at any points in it.

    Args:
        cells: The polygons.
        values: Outputs at the vertices, ``(V, C)``.
    """

    def __init__(self, cells: Cells, values: Floats) -> None:
        self._cells, self._values = cells, values

    def at(self, polygon: Ints, points: Floats) -> Floats:
        """Outputs at points inside of polygons, ``(n, C)``.

        The affine function is fitted to the corners by least squares, which of a sliver say little about the slope
        across it: nothing leaves the range of the values at the corners, as in truth it cannot.

        Args:
            polygon: The one that each point lies in, ``(n,)``.
            points: Plane coordinates, ``(n, 2)``.
        """
        numbers, which = np.unique(polygon, return_inverse=True)
        if len(numbers) == 0:
            return np.zeros((0, self._values.shape[1]))
        some = self._cells.only(numbers)
        first, owner = some.start[:-1], np.repeat(np.arange(len(numbers)), some.degree)
        places, values = some.xy[some.corner], self._values[some.corner]
        centre = np.add.reduceat(places, first) / some.degree[:, None]
        middle = np.add.reduceat(values, first) / some.degree[:, None]
        step = places - centre[owner]
        moments = np.add.reduceat(step[:, :, None] * step[:, None, :], first)
        a, b, d = moments[:, 0, 0], moments[:, 0, 1], moments[:, 1, 1]
        ridge = 1e-12 * (a + d) + np.finfo(float).tiny
        a, d = a + ridge, d + ridge
        inverse = np.stack([d, -b, -b, a], 1).reshape(-1, 2, 2) / (a * d - b * b)[:, None, None]
        moving = step[:, :, None] * (values - middle[owner])[:, None, :]
        slope = inverse @ np.add.reduceat(moving, first)
        away = points - centre[which]
        found = middle[which] + np.einsum("ni,nic->nc", away, slope[which])
        low, high = np.minimum.reduceat(values, first)[which], np.maximum.reduceat(values, first)[which]
        return np.asarray(np.clip(found, low, high))

    def classes(self) -> tuple[Ints, Ints]:
        """The class at the first corner of every polygon, ``(F,)``, and the polygons with others at other corners.

        All others belong to one class entirely: where an output is the largest at all corners, it is so between them.
        """
        first = self._cells.start[:-1]
        best = classes_of(self._values)[self._cells.corner]
        low, high = np.minimum.reduceat(best, first), np.maximum.reduceat(best, first)
        return best[first], np.flatnonzero(low != high)

    def cut(self, polygon: int) -> list[tuple[int, Floats]]:
        """A polygon cut along the decision boundary: the classes, with the corners of what each has, ``(K, 2)``."""
        part = slice(self._cells.start[polygon], self._cells.start[polygon + 1])
        places, values = self._cells.xy[self._cells.corner[part]], self._values[self._cells.corner[part]]
        if values.shape[1] == 1:
            values = np.concatenate([np.zeros_like(values), values], 1)
        whole = np.concatenate([places, values], 1)
        # Only what is somewhere above the largest of all minima can be the largest somewhere.
        candidates = np.flatnonzero(values.max(0) >= values.min(0).max())
        found = []
        for one in candidates.tolist():
            cell = whole
            for other in candidates.tolist():
                if other != one and len(cell):
                    cell = _clipped(cell, cell[:, 2 + one] - cell[:, 2 + other])
            if len(cell) > 2:
                found.append((one, cell[:, :2]))
        return found


def classes_of(values: Floats) -> Ints:
    """The largest of several outputs, or of one, 1 where it is positive and 0 elsewhere: ``(n, C)`` to ``(n,)``."""
    return np.asarray(values.argmax(1) if values.shape[1] > 1 else values[:, 0] > 0, dtype=np.int64)


def _clipped(corners: Floats, height: Floats) -> Floats:
    """What a polygon has above zero: a height at every corner, ``(K,)``, affine between them; so is all in a row."""
    found = []
    for here, row in enumerate(corners):
        there = (here + 1) % len(corners)
        if height[here] >= 0:
            found.append(row)
        if (height[here] > 0 > height[there]) or (height[here] < 0 < height[there]):
            found.append(row + height[here] / (height[here] - height[there]) * (corners[there] - row))
    return np.array(found).reshape(-1, corners.shape[1])
