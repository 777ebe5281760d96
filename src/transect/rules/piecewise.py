"""Functions of one number written as selections: tabulated interval by interval, as a sum of ReLUs.

``where(h > 1, a, where(h < 0, b, c))``, ``sign(h) * relu(|h| - c)``, ``h * ((h > -1) & (h < 1)) + (h >= 1)``: whatever
is computed unit by unit from one value by sums, products with constants, comparisons and selections is affine between
the positions at which one of its comparisons turns. If its pieces meet at all of them it is, with h at such positions
t_k and s_k its slopes, ``f(h) = s_0 h + c_0 + sum (s_k - s_(k-1)) relu(h - t_k)``; else it jumps.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from torch import Tensor

from transect.graph import Node, Value

_MOST_PIECES = 64
_DEEP = 40  # operations followed backwards
_MEET = 1e-9  # pieces that differ by less at a position, relative to what they are made of, meet there


@dataclass(frozen=True)
class Tabulated:
    """A continuous function of one value.

    Attributes:
        base: The value.
        slope: Slope of its first piece.
        intercept: Value of that piece at zero.
        bends: Position of each bend and by how much the slope grows there.
    """

    base: Value
    slope: float
    intercept: float
    bends: tuple[tuple[float, float], ...]


class _Turns(Exception):
    """A comparison turns at a position inside the interval looked at."""

    def __init__(self, position: float) -> None:
        super().__init__(position)
        self.position = position


class _Unknown(Exception):
    """It is no function of one number made of the operations followed here."""


Piece = tuple[float, float]  # slope and intercept


def tabulated(node: Node, producers: Mapping[str, Node]) -> Tabulated | None:
    """What a node computes as a function of one value, or None: it is no such function, or it jumps."""
    for base in _ancestors(node, producers):
        with suppress(_Unknown):
            return _joined(base, *_Expression(producers, node, base).pieces())
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


def _joined(base: Value, positions: list[float], pieces: list[Piece]) -> Tabulated | None:
    bends = []
    for t, ((left, low), (right, high)) in zip(positions, pairwise(pieces), strict=True):
        size = max(abs(left * t), abs(right * t), abs(low), abs(high))
        if abs((right - left) * t + high - low) > _MEET * size:
            return None
        bends.append((t, right - left))
    return Tabulated(base, *pieces[0], tuple(bend for bend in bends if bend[1] != 0))


class _Expression:
    """A node followed backwards to a value, from which and from constants alone it must be computed."""

    def __init__(self, producers: Mapping[str, Node], node: Node, base: Value) -> None:
        self._producers, self._node, self._base = producers, node, base
        self._interval = (-math.inf, math.inf)
        self._check(node, 0)

    def pieces(self) -> tuple[list[float], list[Piece]]:
        """The positions at which something turns, and the function on the intervals between them."""
        positions: list[float] = []
        while len(positions) <= _MOST_PIECES:
            try:
                return positions, [self._on(interval) for interval in pairwise([-math.inf, *positions, math.inf])]
            except _Turns as turn:
                positions = sorted([*positions, turn.position])
        raise _Unknown

    def _check(self, node: Node, deep: int) -> None:
        for part in node.inputs():
            made = self._producers.get(part.name)
            if part.name == self._base.name:
                continue
            if made is None or _family(made) not in _FOLLOWED or deep > _DEEP or part.shape != self._base.shape:
                raise _Unknown
            self._check(made, deep + 1)

    def _on(self, interval: tuple[float, float]) -> Piece:
        self._interval = interval
        found = self._of(self._node)
        return (0.0, float(found)) if isinstance(found, bool) else found

    def _argument(self, part: Any) -> Piece | bool:
        if isinstance(part, Value):
            if part.name == self._base.name:
                return (1.0, 0.0)
            return self._of(self._producers[part.name])
        if isinstance(part, Tensor):
            if part.numel() != 1:
                raise _Unknown
            part = part.item()
        return part if isinstance(part, bool) else (0.0, float(part))

    def _number(self, part: Any) -> Piece:
        found = self._argument(part)
        return (0.0, float(found)) if isinstance(found, bool) else found

    def _is_positive(self, piece: Piece) -> bool:
        """Whether a piece is above zero on the interval; raises where it turns inside."""
        slope, intercept = piece
        low, high = self._interval
        if slope != 0:
            root = -intercept / slope
            if low < root < high:
                raise _Turns(root)
            return (root <= low) == (slope > 0)
        return intercept > 0

    def _of(self, node: Node) -> Piece | bool:
        family = _family(node)
        if family not in _FOLLOWED:
            raise _Unknown
        return _FOLLOWED[family](self, node)

    def _sum(self, node: Node) -> Piece:
        (a, b), (c, d) = self._number(node.args[0]), self._number(node.args[1])
        alpha = node.kwargs.get("alpha", 1) * (-1 if _family(node) == "sub" else 1)
        return a + alpha * c, b + alpha * d

    def _times(self, node: Node) -> Piece:
        one, other = self._number(node.args[0]), self._number(node.args[1])
        if one[0] != 0 and other[0] != 0:
            raise _Unknown
        (slope, intercept), factor = (one, other[1]) if other[0] == 0 else (other, one[1])
        return slope * factor, intercept * factor

    def _over(self, node: Node) -> Piece:
        (slope, intercept), (zero, divisor) = self._number(node.args[0]), self._number(node.args[1])
        if zero != 0 or divisor == 0 or node.kwargs.get("rounding_mode") is not None:
            raise _Unknown
        return slope / divisor, intercept / divisor

    def _less(self, node: Node) -> Piece:
        (a, b), (c, d) = self._number(node.args[1]), self._number(node.args[0])
        return a - c, b - d

    def _negative(self, node: Node) -> Piece:
        slope, intercept = self._number(node.args[0])
        return -slope, -intercept

    def _same(self, node: Node) -> Piece | bool:
        return self._argument(node.args[0])

    def _compared(self, node: Node) -> bool:
        (a, b), (c, d) = self._number(node.args[0]), self._number(node.args[1])
        family = _family(node)
        if family in ("eq", "ne"):  # at single positions another one than between them
            return ((a, b) == (c, d)) == (family == "eq")
        difference = (a - c, b - d) if family in ("gt", "ge") else (c - a, d - b)
        if difference[0] == 0 == difference[1]:
            return family in ("ge", "le")
        return self._is_positive(difference)

    def _logical(self, node: Node) -> bool:
        found = [self._argument(part) for part in node.args[:2]]
        if not all(isinstance(part, bool) for part in found):
            raise _Unknown
        family = _family(node)
        return any(found) if family.endswith("or") else not found[0] if family.endswith("not") else all(found)

    def _where(self, node: Node) -> Piece:
        condition, one, other = (
            (node.args[1], node.args[2], node.args[0]) if _family(node) == "masked_fill" else node.args[:3]
        )
        chosen = self._argument(condition)
        if not isinstance(chosen, bool):
            raise _Unknown
        return self._number(one if chosen else other)

    def _sign(self, node: Node) -> Piece:
        piece = self._number(node.args[0])
        return (0.0, 0.0) if piece == (0.0, 0.0) else (0.0, 1.0 if self._is_positive(piece) else -1.0)

    def _bent(self, node: Node) -> Piece:
        slope, intercept = piece = self._number(node.args[0])
        if self._is_positive(piece):
            return piece
        below = {"relu": 0.0, "abs": -1.0}.get(_family(node))
        if below is None:
            below = float(node.args[1] if len(node.args) > 1 else node.kwargs.get("negative_slope", 0.01))
        return slope * below, intercept * below

    def _clamped(self, node: Node) -> Piece:
        family, piece = _family(node), self._number(node.args[0])
        low, high = (*node.args[1:], None, None)[:2] if family != "clamp_max" else (None, node.args[1])
        low, high = node.kwargs.get("min", low), node.kwargs.get("max", high)
        for limit, sign in ((low, 1), (high, -1)):
            if limit is not None:
                (a, b), (c, d) = piece, self._number(limit)
                piece = piece if self._is_positive((sign * (a - c), sign * (b - d))) else (c, d)
        return piece


def _family(node: Node) -> str:
    return node.operation.split(".")[1] if node.operation.startswith("aten.") else ""


_TURNING = frozenset(("gt", "ge", "lt", "le", "eq", "ne", "isnan", "sign"))
_FOLLOWED: Mapping[str, Any] = {
    **dict.fromkeys(("add", "sub"), _Expression._sum),
    **dict.fromkeys(("gt", "ge", "lt", "le", "eq", "ne"), _Expression._compared),
    "isnan": lambda self, node: False,
    **dict.fromkeys(("logical_and", "logical_or", "logical_not", "bitwise_and", "bitwise_or", "bitwise_not"),
                    _Expression._logical),
    **dict.fromkeys(("where", "masked_fill"), _Expression._where),
    **dict.fromkeys(("relu", "abs", "leaky_relu"), _Expression._bent),
    **dict.fromkeys(("clamp", "clamp_min", "clamp_max"), _Expression._clamped),
    **dict.fromkeys(("clone", "_to_copy", "alias", "detach"), _Expression._same),
    "mul": _Expression._times,
    "div": _Expression._over,
    "rsub": _Expression._less,
    "neg": _Expression._negative,
    "sign": _Expression._sign,
}  # fmt: skip
