"""A plane: a convex polygon in a two-dimensional plane through a network's input space."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

import torch
from torch import Tensor

from transect.errors import InvalidInput
from transect.paths import polygons
from transect.paths.path import Path, floats, norms
from transect.support.types import TensorLike

Pair: TypeAlias = Sequence[TensorLike] | TensorLike
"""Two of one shape: a sequence of them, or both in one tensor or array."""

_LEAST_SINE = 1e-8  # of the angle between two directions: rounding in float64 turns their plane by 1e-8 at most
_LENGTHS = (1e-150, 1e150)  # of directions, so that their squares are numbers of float64
_TOGETHER = 64  # lines that are drawn at a time


class Plane:
    """A convex polygon, the domain, in the plane of all inputs ``origin + a*u + b*v``.

    ``u`` and ``v`` are any two independent directions: neither of length one nor orthogonal. All is kept in float64 on
    the CPU.

    Args:
        origin: The input at the plane coordinates (0, 0), ``(*input_shape)``: anything ``torch.as_tensor`` takes, of
            floating dtype (lists of Python numbers are float64), with at least two numbers.
        u: Direction of the first coordinate, ``(*input_shape)``.
        v: Direction of the second coordinate, ``(*input_shape)``.
        corners: Corners of the domain in plane coordinates, ``(K, 2)`` with K >= 3, in their order around it in either
            direction. One that lies on the straight edge between others (exactly, or inside of it by no more than its
            coordinates may be rounded) is left out.
        anchors: Plane coordinates of the inputs that span the plane, for drawing, ``(M, 2)``; may lie anywhere.

    Raises:
        InvalidInput: The shapes differ, values are not finite floating-point numbers, ``u`` or ``v`` is zero (or beyond
            1e-150 to 1e150 long), they are parallel (the sine of the angle between them is below 1e-8, or below twice
            the rounding unit of the dtype they are given in, 2.4e-7 for float32), or the corners are no convex polygon:
            fewer than three, repeated, on one line, crossing, or not convex.

    Example:
        >>> plane = Plane([0.0, 0.0, 1.0], [2.0, 0.0, 0.0], [0.0, 3.0, 0.0], [[0, 0], [1, 0], [1, 1], [0, 1]])
        >>> plane
        Plane(inputs of shape 3, 4 corners, area 6)
        >>> plane.at([0.5, 1.0]).tolist(), plane.perimeter
        ([1.0, 3.0, 1.0], 10.0)
        >>> plane.window([0.5, 0.5], [2.0, 2.0]).corners.tolist()
        [[0.5, 0.5], [1.0, 0.5], [1.0, 1.0], [0.5, 1.0]]
    """

    def __init__(
        self, origin: TensorLike, u: TensorLike, v: TensorLike, corners: TensorLike, anchors: TensorLike | None = None
    ) -> None:
        self._origin = _input("origin", origin).values
        first, second = (_input(name, given, self.input_shape) for name, given in (("u", u), ("v", v)))
        self._u, self._v = first.values, second.values
        self._frame = _independent(("u", first), ("v", second))
        self._corners = polygons.convex_corners(_coordinates("corners", corners))
        self._anchors = _coordinates("anchors", [] if anchors is None else anchors)
        self._area = self._frame.area(polygons.area(self._corners))

    @classmethod
    def through(cls, x0: TensorLike, x1: TensorLike, x2: TensorLike, margin: float = 0.0) -> Plane:
        """The triangle of three inputs, or a rectangle around it.

        The coordinates are orthonormal, so that they measure distances between inputs: ``u`` points from ``x0`` to
        ``x1``, ``v`` is orthogonal to it and points to the side of ``x2`` (Gram-Schmidt, in float64). The origin is the
        mean of the three; they are the anchors.

        Args:
            x0: One input, ``(*input_shape)``.
            x1: Another.
            x2: A third one.
            margin: Where it is 0, the domain is the triangle. Else it is the smallest rectangle along ``u`` and ``v``
                around the triangle, grown on every side by ``margin`` times the larger of its two sides.

        Raises:
            InvalidInput: Two inputs are equal, or one lies on the line through the others: its distance from it is
                below 1e-8 of that between them, or no more than rounding to the dtype of the inputs makes of it. Or the
                shapes differ, the inputs are not finite floating-point numbers, or the margin is negative.

        Example:
            >>> plane = Plane.through([0.0, 0.0, 5.0], [3.0, 0.0, 5.0], [0.0, 3.0, 5.0])
            >>> plane, plane.origin.tolist()
            (Plane(inputs of shape 3, 3 corners, area 4.5), [1.0, 1.0, 5.0])
            >>> plane.corners.tolist()
            [[-1.0, -1.0], [2.0, -1.0], [-1.0, 2.0]]
            >>> Plane.through([0.0, 0.0, 5.0], [3.0, 0.0, 5.0], [0.0, 3.0, 5.0], margin=1.0).area
            81.0
        """
        if not 0 <= margin < math.inf:
            raise InvalidInput(f"margin: expected a number that is at least 0 and finite, got {margin}.")
        first = _input("x0", x0)
        others = [_input(name, given, first.shape) for name, given in (("x1", x1), ("x2", x2))]
        frame, (second, third) = _spanned(("x0", first), ("x1", others[0]), ("x2", others[1]))
        origin = first.values + sum(other.values - first.values for other in others) / 3
        corners = torch.tensor([(0.0, 0.0), second, third], dtype=torch.float64, device="cpu")
        anchors = corners - corners.mean(0)
        return cls(origin, *frame.directions(first.shape), _around(anchors, margin) if margin else anchors, anchors)

    @classmethod
    def around(
        cls,
        x: TensorLike,
        radius: float,
        *,
        directions: Pair | None = None,
        principal: TensorLike | None = None,
        to: Pair | None = None,
        seed: int = 0,
    ) -> Plane:
        """A square around an input, in orthonormal coordinates, along ``u`` and ``v``.

        The plane is spanned by what is given of ``directions``, ``principal`` and ``to``, and by two random directions
        (all are equally likely) where none is. The input is the origin and the first anchor.

        Args:
            x: The input in the middle, ``(*input_shape)``.
            radius: Half the side of the square, in units of the input.
            directions: Two directions, ``(*input_shape)`` each: ``u`` is along the first, ``v`` is what the second one
                has orthogonal to it.
            principal: A batch of at least three inputs, ``(N, *input_shape)``: the two orthogonal directions in which
                they vary most, around their mean and not around ``x`` (singular value decomposition in float64). The
                number of largest absolute value in a direction is positive; where two variances are equal, the
                directions are no more determined than they.
            to: Two other inputs, ``(*input_shape)`` each: ``u`` points to the first, ``v`` to the side of the second;
                they are anchors too, whether or not the square reaches as far.
            seed: Seed of random directions.

        Raises:
            InvalidInput: More than one of the three is given, the directions are zero or parallel, the batch varies
                in one direction only, ``x`` and ``to`` lie on one line (as for :meth:`through`), shapes differ, values
                are not finite floating-point numbers, or the radius is not positive.

        Example:
            >>> plane = Plane.around([1.0, 1.0, 1.0], 0.5, directions=([0.0, 2.0, 0.0], [0.0, 2.0, 3.0]))
            >>> plane.u.tolist(), plane.v.tolist(), plane.area
            ([0.0, 1.0, 0.0], [0.0, 0.0, 1.0], 1.0)
            >>> Plane.around([1.0, 1.0, 1.0], 0.5, to=([1.0, 1.0, 3.0], [1.0, 4.0, 2.0])).anchors.tolist()
            [[0.0, 0.0], [2.0, 0.0], [1.0, 3.0]]
        """
        if not 0 < radius < math.inf:
            raise InvalidInput(f"radius: expected a positive, finite number, in units of the input, got {radius}.")
        given = {"directions": directions, "principal": principal, "to": to}
        named = [name for name, value in given.items() if value is not None]
        if len(named) > 1:
            raise InvalidInput(
                f"around: expected at most one of directions, principal and to, got {' and '.join(named)}; leave out "
                "all but one."
            )
        middle, anchors = _input("x", x), [(0.0, 0.0)]
        if to is not None:
            first, second = ((name, _input(name, one, middle.shape)) for name, one in _two("to", to, "inputs"))
            frame, reached = _spanned(("x", middle), first, second)
            anchors += reached
        elif directions is not None:
            pair = _two("directions", directions, "directions")
            one, other = ((name, _input(name, direction, middle.shape)) for name, direction in pair)
            frame = _independent(one, other)
        elif principal is not None:
            frame = _Frame.of(*_principal(principal, middle.shape))
        else:
            generator = torch.Generator("cpu").manual_seed(_whole("seed", seed, 0))
            size = (2, middle.values.numel())
            drawn = torch.randn(size, dtype=torch.float64, generator=generator, device="cpu")
            frame = _Frame.of(drawn[0], drawn[1])
        square = [(-radius, -radius), (radius, -radius), (radius, radius), (-radius, radius)]
        return cls(middle.values, *frame.directions(middle.shape), square, anchors)

    @property
    def origin(self) -> Tensor:
        """The input at the plane coordinates (0, 0), ``(*input_shape)`` float64."""
        return self._origin

    @property
    def u(self) -> Tensor:
        """Direction of the first coordinate, ``(*input_shape)`` float64."""
        return self._u

    @property
    def v(self) -> Tensor:
        """Direction of the second coordinate, ``(*input_shape)`` float64."""
        return self._v

    @property
    def corners(self) -> Tensor:
        """Corners of the domain in plane coordinates, counter-clockwise, ``(K, 2)`` float64."""
        return self._corners

    @property
    def anchors(self) -> Tensor:
        """Plane coordinates of the inputs that span the plane, ``(M, 2)`` float64; M may be 0."""
        return self._anchors

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        return tuple(self._origin.shape)

    @property
    def metric(self) -> Tensor:
        """Inner products of ``u`` and ``v``, ``(2, 2)`` float64: a step s has the length ``sqrt(s @ metric @ s)``."""
        u, v = self._u.flatten(), self._v.flatten()
        return torch.stack([u @ u, u @ v, u @ v, v @ v]).reshape(2, 2)

    @property
    def area(self) -> float:
        """Area of the domain, in squared units of the input."""
        return self._area

    @property
    def perimeter(self) -> float:
        """Length of the domain's border, in units of the input."""
        corners = self._frame.orthonormal(self._corners)
        return float((corners.roll(-1, 0) - corners).norm(dim=1).sum())

    def at(self, points: TensorLike) -> Tensor:
        """The inputs at plane coordinates, inside the domain or not.

        Args:
            points: ``(N, 2)``, or ``(2,)`` for one.

        Returns:
            ``(N, *input_shape)``, or one input ``(*input_shape)``, float64.

        Raises:
            InvalidInput: They are not finite numbers of that shape.
        """
        places = _coordinates("points", points, one=True)
        a, b = places.reshape(-1, 2).unsqueeze(-1).unbind(1)
        rows = self._origin.flatten() + a * self._u.flatten() + b * self._v.flatten()
        return rows.reshape(self.input_shape if places.dim() == 1 else (len(rows), *self.input_shape))

    def project(self, x: TensorLike) -> tuple[Tensor, Tensor]:
        """The nearest points of the whole plane, inside the domain or not.

        Args:
            x: Inputs, ``(N, *input_shape)``, or one ``(*input_shape)``.

        Returns:
            Their plane coordinates, ``(N, 2)`` or ``(2,)``, and the Euclidean distances of the inputs from there,
            ``(N,)`` or ``()``, in units of the input; both float64.

        Raises:
            InvalidInput: They are not finite floating-point numbers of that shape.
        """
        inputs = floats("x", x, f"(N, {_listed(self.input_shape)})").cpu().double()
        shape, single = self.input_shape, inputs.dim() == len(self.input_shape)
        if tuple(inputs.shape if single else inputs.shape[1:]) != shape:
            raise InvalidInput(
                f"x: expected one input of shape {shape}, or a batch of them, got {tuple(inputs.shape)}."
            )
        if not bool(torch.isfinite(inputs).all()):
            raise InvalidInput("x: expected finite values, got NaN or infinity.")
        coordinates, distances = self._frame.nearest(inputs.reshape(-1, self._origin.numel()) - self._origin.flatten())
        return (coordinates[0], distances[0]) if single else (coordinates, distances)

    def window(self, low: TensorLike, high: TensorLike) -> Plane:
        """The same plane, its domain cut down to a rectangle of plane coordinates.

        What is left is worked out exactly, and its corners are rounded to float64 once.

        Args:
            low: Least coordinates of the rectangle, ``(2,)``.
            high: Largest ones, ``(2,)``.

        Raises:
            InvalidInput: Not ``low < high``, or the rectangle has no area in common with the domain.
        """
        bounds = [_coordinates(name, given, one=True) for name, given in (("low", low), ("high", high))]
        least, most = (tuple(bound.flatten().tolist()) for bound in bounds)
        if not len(least) == len(most) == 2 or not (least[0] < most[0] and least[1] < most[1]):
            raise InvalidInput(
                f"low, high: expected two plane coordinates each, those of low below those of high, got {least} and "
                f"{most}."
            )
        corners = polygons.in_rectangle(self._corners, least, most)
        if corners is None:
            here = [tuple(bound.tolist()) for bound in (self._corners.amin(0), self._corners.amax(0))]
            raise InvalidInput(
                f"low, high: the rectangle from {least} to {most} has no area in common with the domain, which lies "
                f"between {here[0]} and {here[1]}; choose one that meets it."
            )
        return Plane(self._origin, self._u, self._v, corners, self._anchors)

    def random_chords(self, count: int, seed: int) -> list[Path]:
        """Chords of the domain along random lines: all lines of the plane that meet it are equally likely.

        Their density is the one that no motion of the plane changes: uniform in the angle and in the offset of a line,
        both measured in input space whatever ``u`` and ``v`` are. So the mean length is pi times the area over the
        perimeter, and a curve of length L in the domain is crossed 2 L over the perimeter times on average (formulas of
        Cauchy and Crofton: Santaló, Integral Geometry and Geometric Probability, 1976, chapter 3). The direction along
        a line is random too.

        Args:
            count: How many, at least 1.
            seed: Seed of the lines. More lines of one seed begin with the fewer.

        Returns:
            Paths of one segment each, float64, from border to border of the domain.

        Raises:
            InvalidInput: The count is not positive, or the domain is so small that its inputs are equal in float64.
        """
        generator = torch.Generator("cpu").manual_seed(_whole("seed", seed, 0))
        wanted, found = _whole("count", count, 1), list[Path]()
        corners = self._frame.orthonormal(self._corners)
        corners = corners - (corners.amin(0) + corners.amax(0)) / 2
        reach = float(corners.norm(dim=1).max())
        for _ in range(10 + wanted // 4):  # two in five lines that meet the disc around a domain meet it, or more
            drawn = torch.rand(_TOGETHER, 2, dtype=torch.float64, generator=generator, device="cpu")
            for ends in _chords(corners, self._corners, 2 * math.pi * drawn[:, 0], reach * (2 * drawn[:, 1] - 1)):
                anchors = self.at(ends)
                if not torch.equal(anchors[0], anchors[1]):  # it only touches a corner, as far as rounding can tell
                    found.append(Path(anchors))
                if len(found) == wanted:
                    return found
        raise InvalidInput(
            f"random_chords: the domain is too small for chords: {reach:.3g} around inputs of size up to "
            f"{float(self._origin.abs().max()):.3g}, which float64 cannot tell apart; choose a larger one."
        )

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.input_shape))
        return f"Plane(inputs of shape {shape}, {len(self._corners)} corners, area {self.area:.4g})"


@dataclass(frozen=True, eq=False)
class _Frame:
    """An orthonormal basis of a plane, and what two directions are in it.

    Attributes:
        basis: ``(2, D)``: along the first direction, and orthogonal to it on the side of the second.
        factor: Upper triangular, ``(2, 2)``: column k is direction k in that basis.
        sine: Sine of the angle between the directions; where it is 0 the rest means nothing.
    """

    basis: Tensor
    factor: Tensor
    sine: float

    @classmethod
    def of(cls, first: Tensor, second: Tensor) -> _Frame:
        """Gram-Schmidt, twice, for two directions ``(D,)`` that are not zero; squares neither overflow nor vanish."""
        sizes = first.abs().max(), second.abs().max()
        first, second = first / sizes[0], second / sizes[1]
        lengths = first.norm(), second.norm()
        along = first / lengths[0]
        share = along @ second
        rest = second - share * along
        rest = rest - (along @ rest) * along
        height = rest.norm()
        zero = torch.zeros_like(share)
        factor = torch.stack([lengths[0] * sizes[0], share * sizes[1], zero, height * sizes[1]]).reshape(2, 2)
        return cls(torch.stack([along, rest / height]), factor, float(height / lengths[1]))

    def directions(self, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """The basis as two inputs."""
        return self.basis[0].reshape(shape), self.basis[1].reshape(shape)

    def orthonormal(self, coordinates: Tensor) -> Tensor:
        """From coordinates along the directions to those along the basis, ``(N, 2)``, in which lengths are lengths."""
        return coordinates @ self.factor.T

    def nearest(self, differences: Tensor) -> tuple[Tensor, Tensor]:
        """The nearest points to vectors ``(N, D)``, by coordinates along the directions, and their distances."""
        places = differences @ self.basis.T
        distances = norms(differences - places @ self.basis)
        second = places[:, 1] / self.factor[1, 1]
        return torch.stack([(places[:, 0] - self.factor[0, 1] * second) / self.factor[0, 0], second], 1), distances

    def area(self, of_coordinates: Fraction) -> float:
        """An area in units of the input.

        Raises:
            InvalidInput: It is not a number of float64.
        """
        exact = of_coordinates * Fraction(float(self.factor[0, 0])) * Fraction(float(self.factor[1, 1]))
        try:
            area = float(exact)
        except OverflowError:
            area = math.inf
        if not 0 < area < math.inf:
            raise InvalidInput(
                f"corners: expected a domain whose area is a number of float64, got one of {area} with the lengths of "
                "u and v; choose corners of moderate size."
            )
        return area


@dataclass(frozen=True, eq=False)
class _Input:
    """One input in float64, and the rounding unit of the dtype in which it was given."""

    values: Tensor
    unit: float

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.values.shape)


def _input(argument: str, given: TensorLike, shape: tuple[int, ...] | None = None) -> _Input:
    tensor = floats(argument, given, "(*input_shape)" if shape is None else str(shape))
    if shape is not None and tuple(tensor.shape) != shape:
        raise InvalidInput(
            f"{argument}: expected the shape of the first input, {shape}, got {tuple(tensor.shape)}; reshape it."
        )
    if tensor.numel() < 2:
        raise InvalidInput(
            f"{argument}: expected an input of at least two numbers, got shape {tuple(tensor.shape)}; there is no "
            "plane in a space of one dimension: use transect.paths.line."
        )
    values = tensor.cpu().to(torch.float64, copy=True, memory_format=torch.contiguous_format)
    if not bool(torch.isfinite(values).all()):
        raise InvalidInput(f"{argument}: expected finite values, got NaN or infinity.")
    return _Input(values, torch.finfo(tensor.dtype).eps)


def _length(vector: Tensor) -> float:
    return float(norms(vector.reshape(1, -1)))


def _listed(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))


def _two(argument: str, given: Sequence[TensorLike] | TensorLike, what: str) -> list[tuple[str, TensorLike]]:
    """The two that are given, each with its name."""
    try:
        pair: list[TensorLike] = [] if isinstance(given, str) else list(given)  # type: ignore[arg-type]
    except TypeError:  # a number
        pair = []
    if len(pair) != 2:
        many = f"{len(pair)} of them" if pair else f"{type(given).__name__}"
        raise InvalidInput(f"{argument}: expected two {what}, ({argument}[0], {argument}[1]), got {many}.")
    return [(f"{argument}[{place}]", one) for place, one in enumerate(pair)]


def _coordinates(argument: str, given: TensorLike, one: bool = False) -> Tensor:
    """Plane coordinates, ``(N, 2)`` float64; ``(2,)`` too where ``one`` point is allowed, and nothing is ``(0, 2)``."""
    shape = "(2,) or (N, 2)" if one else "(N, 2)"
    try:
        tensor = torch.as_tensor(given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidInput(
            f"{argument}: expected plane coordinates of shape {shape}, got {type(given).__name__} ({error})."
        ) from error
    if tensor.is_floating_point() and not hasattr(given, "dtype"):  # numbers of Python are float64
        tensor = torch.as_tensor(given, dtype=torch.float64)
    if tensor.layout != torch.strided or tensor.is_complex():
        raise InvalidInput(f"{argument}: expected real, dense numbers, got {tensor.dtype} in {tensor.layout}.")
    tensor = tensor.detach().cpu().to(torch.float64, copy=True)
    if tensor.numel() == 0:
        return tensor.reshape(0, 2)
    if tensor.shape[-1:] != (2,) or tensor.dim() not in ((1, 2) if one else (2,)):
        raise InvalidInput(f"{argument}: expected plane coordinates of shape {shape}, got {tuple(tensor.shape)}.")
    if not bool(torch.isfinite(tensor).all()):
        raise InvalidInput(f"{argument}: expected finite plane coordinates, got NaN or infinity.")
    return tensor


def _whole(argument: str, given: int, least: int) -> int:
    if not isinstance(given, int) or isinstance(given, bool) or not least <= given < 2**63:
        raise InvalidInput(f"{argument}: expected a whole number that is at least {least}, got {given!r}.")
    return given


def _independent(first: tuple[str, _Input], second: tuple[str, _Input]) -> _Frame:
    """The frame of two directions, each with its name.

    Raises:
        InvalidInput: One is zero, too short or too long, or they are parallel.
    """
    for name, direction in (first, second):
        length = _length(direction.values)
        if length == 0:
            raise InvalidInput(f"{name}: expected a direction, got zero everywhere.")
        if not _LENGTHS[0] <= length <= _LENGTHS[1]:
            raise InvalidInput(
                f"{name}: expected a direction between {_LENGTHS[0]:g} and {_LENGTHS[1]:g} long, got one of length "
                f"{length:.3g}; scale it, and the coordinates inversely."
            )
    frame = _Frame.of(first[1].values.flatten(), second[1].values.flatten())
    least = max(_LEAST_SINE, 2 * first[1].unit, 2 * second[1].unit)
    if not frame.sine >= least:
        raise InvalidInput(
            f"{first[0]}, {second[0]}: expected two independent directions, got parallel ones: the sine of the angle "
            f"between them is {frame.sine:.3g}, and less than {least:.3g} may be rounding; choose another {second[0]}."
        )
    return frame


def _spanned(
    first: tuple[str, _Input], second: tuple[str, _Input], third: tuple[str, _Input]
) -> tuple[_Frame, list[tuple[float, float]]]:
    """The frame from the first of three inputs to the others, and the coordinates of these along its basis.

    Raises:
        InvalidInput: Two of the inputs, which come with their names, are equal, or all are on one line.
    """
    corners = (first, second, third)
    sides = []  # the length of each, the name of the corner opposite, and of those at its ends
    for opposite, (one, other) in ((third, (first, second)), (second, (first, third)), (first, (second, third))):
        length = _length(other[1].values - one[1].values)
        if length == 0:
            raise InvalidInput(
                f"{one[0]}, {other[0]}: expected three different inputs, got the same one twice; choose another "
                f"{other[0]}."
            )
        sides.append((length, opposite[0], one[0], other[0]))
    longest, middle, start, end = max(sides, key=lambda side: side[0])
    frame = _Frame.of(*((corner[1].values - first[1].values).flatten() for corner in (second, third)))
    base, shift, height = (float(frame.factor[place]) for place in ((0, 0), (0, 1), (1, 1)))
    distance = height * (base / longest)
    least = max(_LEAST_SINE * longest, *(2 * corner[1].unit * _length(corner[1].values) for corner in corners))
    if not distance > least:
        raise InvalidInput(
            f"{first[0]}, {second[0]}, {third[0]}: expected inputs that are not on one line, but {middle} is on the "
            f"line through {start} and {end}, which are {longest:.3g} apart: its distance from it is {distance:.3g}, "
            f"and up to {least:.3g} may be rounding; choose another {middle}."
        )
    return frame, [(base, 0.0), (shift, height)]


def _around(points: Tensor, margin: float) -> list[tuple[float, float]]:
    """Corners of the rectangle around points ``(N, 2)``, grown by ``margin`` times its larger side."""
    low, high = points.amin(0), points.amax(0)
    grown = margin * (high - low).max()
    (left, bottom), (right, top) = (low - grown).tolist(), (high + grown).tolist()
    return [(left, bottom), (right, bottom), (right, top), (left, top)]


def _principal(batch: TensorLike, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """The two directions in which inputs vary most, ``(D,)`` each.

    Raises:
        InvalidInput: They are not a batch of at least three inputs that vary in two directions.
    """
    inputs = floats("principal", batch, f"(N, {_listed(shape)})")
    if tuple(inputs.shape[1:]) != shape or len(inputs) < 3:
        raise InvalidInput(
            f"principal: expected at least three inputs, shape (N, {_listed(shape)}) with N >= 3, got "
            f"{tuple(inputs.shape)}."
        )
    rows = inputs.cpu().double().flatten(1)
    if not bool(torch.isfinite(rows).all()):
        raise InvalidInput("principal: expected finite values, got NaN or infinity.")
    _, values, directions = torch.linalg.svd(rows - rows.mean(0), full_matrices=False)
    rounding = torch.finfo(inputs.dtype).eps * float(rows.norm())
    if not float(values[1]) > max(_LEAST_SINE * float(values[0]), rounding):
        raise InvalidInput(
            f"principal: expected inputs that vary in at least two directions, but the {len(rows)} lie on one line, or "
            "are all the same, as far as rounding can tell; choose others."
        )
    first, second = (direction * direction[direction.abs().argmax()].sign() for direction in directions[:2])
    return first, second


def _chords(lengths: Tensor, corners: Tensor, angles: Tensor, offsets: Tensor) -> Tensor:
    """What a convex polygon has of lines: the two ends in plane coordinates of those that meet it, ``(N, 2, 2)``.

    Args:
        lengths: Its corners in coordinates in which lengths are lengths, counter-clockwise, ``(K, 2)``.
        corners: Its corners in plane coordinates, ``(K, 2)``.
        angles: Of the lines' normals, ``(L,)``.
        offsets: Of the lines from zero along their normals, ``(L,)``.
    """
    heights = lengths @ torch.stack([angles.cos(), angles.sin()]) - offsets
    following = heights.roll(-1, 0)
    down, up = (heights >= 0) & (following < 0), (heights < 0) & (following >= 0)
    lines = ((down.sum(0) == 1) & (up.sum(0) == 1)).nonzero().flatten()
    ends = []
    for edges in (down, up):
        k = edges[:, lines].int().argmax(0)
        share = heights[k, lines] / (heights[k, lines] - following[k, lines])
        ends.append(torch.lerp(corners[k], corners.roll(-1, 0)[k], share.unsqueeze(1)))
    return torch.stack(ends, 1)
