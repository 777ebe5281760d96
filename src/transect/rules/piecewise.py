"""Functions of one number written as selections: tabulated interval by interval, as one unit with several pieces.

``where(h > 1, a, where(h < 0, b, c))``, ``sign(h) * relu(|h| - c)``, ``h * ((h > -1) & (h < 1)) + (h >= 1)``,
``h[h < 0] = 0``: whatever is computed unit by unit from one value by sums, products with constants, comparisons and
selections is affine between the positions at which one of its comparisons turns. If its pieces meet at all of them it
is a bending operation with these positions as thresholds; else it jumps. Constants may differ from unit to unit, and so
may the positions: a unit with fewer of them than others has infinite ones.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from transect.graph import Node, Value

_MOST_PIECES = 64
_DEEP = 40  # operations followed backwards
_ALIKE = 3  # operations by which two values written alike are known as the same
_MEET = 1e-9  # pieces that differ by less at a position, relative to what they are made of, meet there


@dataclass(frozen=True)
class Tabulated:
    """A continuous function of one value; its numbers broadcast against a row of it, and are float64.

    Attributes:
        base: The value.
        positions: Where it bends, ascending; infinite for units that bend less often than others.
        slopes: Slopes of its pieces, of which there is one more.
        intercepts: Values of the pieces at zero.
    """

    base: Value
    positions: tuple[Tensor, ...]
    slopes: tuple[Tensor, ...]
    intercepts: tuple[Tensor, ...]


class _Turns(Exception):
    """A comparison turns inside the interval looked at: at a position for some units, which is infinite for others."""

    def __init__(self, position: Tensor) -> None:
        super().__init__()
        self.position = position


class _Unknown(Exception):
    """It is no function of one number made of the operations followed here."""


Piece = tuple[Tensor, Tensor]  # slope and intercept
_INFINITY = torch.tensor(torch.inf, dtype=torch.float64)


def tabulated(
    node: Node, producers: Mapping[str, Node], jumping: Collection[str], dtype: torch.dtype
) -> Tabulated | None:
    """What a node computes as a function of one value, or None: it is no such function, or it jumps.

    Args:
        node: The node.
        producers: The nodes before it, by name.
        jumping: Names of the values that jump, of which it must not be a function.
        dtype: Positions that are one in it become one.
    """
    for base in _ancestors(node, producers):
        if base.name in jumping:
            continue
        with suppress(_Unknown):
            positions, pieces = _Expression(producers, node, base).pieces()
            return _joined(base, positions, pieces, dtype) if _meet(positions, pieces) else None
    return None


def may_jump(node: Node, jumping: Collection[str]) -> bool:
    """Whether a node compares, or computes from what does; ``jumping`` names the values of which that is known."""
    return _family(node) in _TURNING or (
        _family(node) in _FOLLOWED and any(part.name in jumping for part in node.inputs())
    )


def _ancestors(node: Node, producers: Mapping[str, Node]) -> list[Value]:
    """The values of its shape that a node is computed from unit by unit, the nearest first."""
    assert node.value is not None
    found: dict[str, Value] = {}
    waiting = [node]
    while waiting and len(found) < _DEEP:
        made = waiting.pop(0)
        for part in made.inputs() if _family(made) in _FOLLOWED else ():
            if part.name not in found and part.shape == node.value.shape:
                found[part.name] = part
                waiting += [producers[part.name]] if part.name in producers else []
    return [part for part in found.values() if part.floating]


def _meet(positions: list[Tensor], pieces: list[Piece]) -> bool:
    for t, ((left, low), (right, high)) in zip(positions, pairwise(pieces), strict=True):
        is_bend = t.isfinite()
        at = torch.where(is_bend, t, 0.0)
        size = torch.stack(torch.broadcast_tensors(left * at, right * at, low, high)).abs().amax(0)
        if bool((is_bend & (((right - left) * at + high - low).abs() > _MEET * size)).any()):
            return False
    return True


def _joined(base: Value, positions: list[Tensor], pieces: list[Piece], dtype: torch.dtype) -> Tabulated:
    """Without positions at which nothing bends, or that are those of a later one."""
    numbers = torch.broadcast_tensors(*positions, *(number for piece in pieces for number in piece))
    t, slopes, intercepts = numbers[: len(positions)], numbers[len(positions) :: 2], numbers[len(positions) + 1 :: 2]
    if not t:
        return Tabulated(base, (), slopes, intercepts)
    following = [*(later.to(dtype) for later in t[1:]), _INFINITY]
    bends = torch.stack(
        [
            at.isfinite() & (left != right) & (at.to(dtype) != later)
            for at, later, (left, right) in zip(t, following, pairwise(slopes), strict=True)
        ]
    )
    order = torch.argsort(~bends, dim=0, stable=True)
    kept = bends.gather(0, order)
    most = int(kept.sum(0).max())
    at, *after = (torch.stack(part).gather(0, order)[:most] for part in (t, slopes[1:], intercepts[1:]))
    at = torch.where(kept[:most], at, torch.inf)
    return Tabulated(base, tuple(at), (slopes[0], *after[0]), (intercepts[0], *after[1]))


class _Expression:
    """A node followed backwards to a value, from which and from constants alone it must be computed."""

    def __init__(self, producers: Mapping[str, Node], node: Node, base: Value) -> None:
        self._producers, self._node, self._base = producers, node, base
        self._interval = (-_INFINITY, _INFINITY)
        self._chosen: Tensor | None = None  # where a part of the value is true of which a flat list is being followed

    def pieces(self) -> tuple[list[Tensor], list[Piece]]:
        """The positions at which something turns, and the function on the intervals between them."""
        positions: list[Tensor] = []
        while len(positions) <= _MOST_PIECES:
            try:
                return positions, [self._on(interval) for interval in pairwise([-_INFINITY, *positions, _INFINITY])]
            except _Turns as turn:
                found = torch.stack(torch.broadcast_tensors(*positions, turn.position)).sort(0).values
                positions = [position for position in found if bool(position.isfinite().any())]
        raise _Unknown

    def _on(self, interval: tuple[Tensor, Tensor]) -> Piece:
        self._interval = interval
        return self._number(Value(self._node.name, self._base.shape, None))

    def _argument(self, part: Any) -> Piece | Tensor:
        """Slope and intercept, or truth values."""
        if isinstance(part, Value):
            if self._chosen is None and part.shape == self._base.shape and self._is_base(part):
                return torch.ones((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
            made = self._producers.get(part.name, self._node if part.name == self._node.name else None)
            if (
                made is None
                or _family(made) not in _FOLLOWED
                or (self._chosen is None and part.shape != self._base.shape)
            ):
                raise _Unknown
            followed: Piece | Tensor = _FOLLOWED[_family(made)](self, made)
            return followed
        constant = self._constant(part)
        return constant if constant.dtype == torch.bool else (torch.zeros_like(constant), constant)

    def _is_base(self, part: Value) -> bool:
        """Whether it is the value, or written a second time like it, such as a slice."""
        return part.name == self._base.name or self._written(part) == self._written(self._base)

    def _written(self, part: Any, deep: int = _ALIKE) -> Any:
        if isinstance(part, tuple | list):
            return tuple(self._written(one, deep) for one in part)
        made = self._producers.get(part.name) if isinstance(part, Value) and deep else None
        if made is None:
            return part.name if isinstance(part, Value) else repr(part)
        return made.operation, made.part, self._written(made.args, deep - 1), repr(made.kwargs)

    def _constant(self, part: Any) -> Tensor:
        """A constant that is the same for all rows, and none of a list of some of the units."""
        is_truth = isinstance(part, bool) or (isinstance(part, Tensor) and part.dtype == torch.bool)
        constant = torch.as_tensor(part, dtype=torch.bool if is_truth else torch.float64, device="cpu")
        if constant.numel() == 1:
            constant = constant.reshape(())
        rows = self._base.row_dim
        lacking = len(self._base.shape) - constant.dim()
        if constant.dim() and (self._chosen is not None or rows is None or lacking < 0):
            raise _Unknown
        if constant.dim() and rows is not None and rows >= lacking and constant.shape[rows - lacking] != 1:
            raise _Unknown
        if not bool(constant.isfinite().all()):
            raise _Unknown
        return constant

    def _number(self, part: Any) -> Piece:
        found = self._argument(part)
        return (torch.zeros_like(found, dtype=torch.float64), found.double()) if isinstance(found, Tensor) else found

    def _truth(self, part: Any) -> Tensor:
        found = self._argument(part)
        if isinstance(found, Tensor):
            return found
        slope, intercept = found
        if bool((slope != 0).any()) or not bool(((intercept == 0) | (intercept == 1)).all()):
            raise _Unknown
        return intercept == 1

    def _is_positive(self, piece: Piece) -> Tensor:
        """Where a piece is above zero on the interval; raises where it turns inside."""
        slope, intercept = piece
        low, high = self._interval
        root = -intercept / torch.where(slope != 0, slope, 1.0)
        inside = (slope != 0) & (low < root) & (root < high)
        if bool(inside.any()):
            raise _Turns(torch.where(inside, root, torch.inf))
        return torch.where(slope != 0, (root <= low) == (slope > 0), intercept > 0)

    def _sum(self, node: Node) -> Piece:
        (a, b), (c, d) = self._number(node.args[0]), self._number(node.args[1])
        alpha = node.kwargs.get("alpha", 1) * (-1 if _family(node) == "sub" else 1)
        return a + alpha * c, b + alpha * d

    def _times(self, node: Node) -> Piece:
        (a, b), (c, d) = self._number(node.args[0]), self._number(node.args[1])
        if bool(((a != 0) & (c != 0)).any()):
            raise _Unknown
        return a * d + c * b, b * d

    def _over(self, node: Node) -> Piece:
        (slope, intercept), (zero, divisor) = self._number(node.args[0]), self._number(node.args[1])
        if bool((zero != 0).any()) or bool((divisor == 0).any()) or node.kwargs.get("rounding_mode") is not None:
            raise _Unknown
        return slope / divisor, intercept / divisor

    def _less(self, node: Node) -> Piece:
        (a, b), (c, d) = self._number(node.args[1]), self._number(node.args[0])
        return a - c, b - d

    def _negative(self, node: Node) -> Piece:
        slope, intercept = self._number(node.args[0])
        return -slope, -intercept

    def _same(self, node: Node) -> Piece | Tensor:
        return self._argument(node.args[0])

    def _compared(self, node: Node) -> Tensor:
        (a, b), (c, d) = self._number(node.args[0]), self._number(node.args[1])
        family = _family(node)
        if family in ("eq", "ne"):  # at single positions another one than between them
            return ((a == c) & (b == d)) == (family == "eq")
        slope, intercept = (a - c, b - d) if family in ("gt", "ge") else (c - a, d - b)
        same = (slope == 0) & (intercept == 0)
        return torch.where(same, torch.tensor(family in ("ge", "le")), self._is_positive((slope, intercept)))

    def _logical(self, node: Node) -> Tensor:
        family, one = _family(node).partition("_")[2], self._truth(node.args[0])
        return ~one if family == "not" else _LOGICAL[family](one, self._truth(node.args[1]))

    def _where(self, node: Node) -> Piece:
        condition, one, other = (
            (node.args[1], node.args[2], node.args[0]) if _family(node) == "masked_fill" else node.args[:3]
        )
        return self._either(self._truth(condition), self._number(one), self._number(other))

    def _either(self, chosen: Tensor, one: Piece, other: Piece) -> Piece:
        return torch.where(chosen, one[0], other[0]), torch.where(chosen, one[1], other[1])

    def _put(self, node: Node) -> Piece:
        """``y[mask] = value`` with a mask of all of y."""
        base, indices, value, *accumulate = node.args
        if len(indices) != 1 or any(accumulate) or self._chosen is not None:
            raise _Unknown
        chosen, kept = self._truth(indices[0]), self._number(base)
        self._chosen = chosen
        try:
            return self._either(chosen, self._number(value), kept)
        finally:
            self._chosen = None

    def _picked(self, node: Node) -> Piece:
        """``y[mask]``, of which a flat list is put back by the same mask."""
        chosen, (base, indices) = self._chosen, node.args[:2]
        if chosen is None or len(indices) != 1:
            raise _Unknown
        self._chosen = None
        if base.shape != self._base.shape or not bool((self._truth(indices[0]) == chosen).all()):
            raise _Unknown
        picked = self._number(base)
        self._chosen = chosen
        return picked

    def _sign(self, node: Node) -> Piece:
        slope, intercept = piece = self._number(node.args[0])
        sign = torch.where(self._is_positive(piece), 1.0, -1.0).double()
        return torch.zeros_like(sign), torch.where((slope == 0) & (intercept == 0), 0.0, sign)

    def _with_sign(self, node: Node) -> Piece:
        """``copysign(a, b)``."""
        a, (slope, intercept) = self._number(node.args[0]), self._number(node.args[1])
        size = self._either(self._is_positive(a), a, (-a[0], -a[1]))
        positive = torch.where(slope == 0, ~torch.signbit(intercept), self._is_positive((slope, intercept)))
        return self._either(positive, size, (-size[0], -size[1]))

    def _bent(self, node: Node) -> Piece:
        slope, intercept = piece = self._number(node.args[0])
        below = {"relu": 0.0, "abs": -1.0}.get(_family(node))
        if below is None:
            below = float(node.args[1] if len(node.args) > 1 else node.kwargs.get("negative_slope", 0.01))
        return self._either(self._is_positive(piece), piece, (slope * below, intercept * below))

    def _clamped(self, node: Node) -> Piece:
        family, piece = _family(node), self._number(node.args[0])
        low, high = (*node.args[1:], None, None)[:2] if not _upper(family) else (None, node.args[1])
        low, high = node.kwargs.get("min", low), node.kwargs.get("max", high)
        for limit, sign in ((low, 1), (high, -1)):
            if limit is not None:
                (a, b), (c, d) = piece, self._number(limit)
                piece = self._either(self._is_positive((sign * (a - c), sign * (b - d))), piece, (c, d))
        return piece


def _upper(family: str) -> bool:
    return family in ("clamp_max", "minimum")


def _family(node: Node) -> str:
    return node.operation.split(".")[1] if node.operation.startswith("aten.") else ""


_TURNING = frozenset(("gt", "ge", "lt", "le", "eq", "ne", "isnan", "sign", "copysign"))
_LOGICAL = {"and": torch.logical_and, "or": torch.logical_or, "xor": torch.logical_xor}
_FOLLOWED: Mapping[str, Any] = {
    **dict.fromkeys(("add", "sub"), _Expression._sum),
    **dict.fromkeys(("gt", "ge", "lt", "le", "eq", "ne"), _Expression._compared),
    "isnan": lambda self, node: torch.tensor(False),
    **dict.fromkeys((f"{kind}_{name}" for kind in ("logical", "bitwise") for name in ("and", "or", "xor", "not")),
                    _Expression._logical),
    **dict.fromkeys(("where", "masked_fill"), _Expression._where),
    **dict.fromkeys(("relu", "abs", "leaky_relu"), _Expression._bent),
    **dict.fromkeys(("clamp", "clamp_min", "clamp_max", "maximum", "minimum"), _Expression._clamped),
    **dict.fromkeys(("clone", "_to_copy", "alias", "detach"), _Expression._same),
    "mul": _Expression._times,
    "div": _Expression._over,
    "rsub": _Expression._less,
    "neg": _Expression._negative,
    "sign": _Expression._sign,
    "copysign": _Expression._with_sign,
    "full_like": lambda self, node: self._argument(node.args[1]),
    "index_put": _Expression._put,
    "index": _Expression._picked,
}  # fmt: skip
