"""Values as element-wise linear combinations of others: what it takes to see that two expressions are proportional."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from transect.graph import Node, Value

_SMALL = 4096  # constants up to this size are compared by their numbers
_DEEP = 24  # operations followed backwards: more than anyone writes in one expression


@dataclass(frozen=True)
class Linear:
    """``sum of coefficient * value + constant``, element by element; coefficients are numbers or constant tensors."""

    coefficients: Mapping[str, Any]
    constant: Any

    def __add__(self, other: Linear) -> Linear:
        keys = {*self.coefficients, *other.coefficients}
        both = {key: self.coefficients.get(key, 0.0) + other.coefficients.get(key, 0.0) for key in keys}
        return Linear(both, self.constant + other.constant)

    def __sub__(self, other: Linear) -> Linear:
        return self + other.times(-1.0)

    def times(self, factor: Any) -> Linear:
        """All of it multiplied by a number or a constant tensor."""
        return Linear({key: part * factor for key, part in self.coefficients.items()}, self.constant * factor)

    def terms(self) -> dict[str, Any]:
        """Coefficients and, under an empty name, the constant, without those that are zero."""
        return {key: part for key, part in {**self.coefficients, "": self.constant}.items() if not _is_zero(part)}


@dataclass(frozen=True)
class Combination:
    """Follows element-wise operations backwards.

    Attributes:
        producers: The node that makes each value.
    """

    producers: Mapping[str, Node]

    def of(self, argument: Any, deep: int = 0) -> Linear:
        """An argument of a node as a combination of values that are not themselves combinations."""
        if not isinstance(argument, Value):
            return Linear({}, argument)
        node = self.producers.get(argument.name)
        followed = None if node is None or deep > _DEEP else self._follow(node, deep + 1)
        return (
            Linear({self._first_of_its_kind.get(argument.name, argument.name): 1.0}, 0.0)
            if followed is None
            else followed
        )

    @cached_property
    def _first_of_its_kind(self) -> dict[str, str]:
        """Every value's name to that of the first that computes the same: users write an expression twice."""
        first: dict[str, str] = {}
        known: dict[Any, str] = {}
        for name, node in self.producers.items():
            key = node.operation, node.part, _comparable(node.args, first), _comparable(dict(node.kwargs), first)
            first[name] = known.setdefault(key, name)
        return first

    def _follow(self, node: Node, deep: int) -> Linear | None:
        family = node.operation.split(".")[1] if node.operation.startswith("aten.") else ""
        a, b = (*node.args, None, None)[:2]
        if family in ("add", "sub"):
            alpha = node.kwargs.get("alpha", 1) * (1.0 if family == "add" else -1.0)
            return self.of(a, deep) + self.of(b, deep).times(alpha)
        if family == "neg":
            return self.of(a, deep).times(-1.0)
        if family in ("clone", "_to_copy", "alias", "detach") and node.value is not None and node.value.floating:
            return self.of(a, deep) if isinstance(a, Value) and a.floating else None
        if family == "full_like":
            return Linear({}, b)
        if family == "mul" and not (isinstance(a, Value) and isinstance(b, Value)):
            return self.of(a, deep).times(b) if isinstance(a, Value) else self.of(b, deep).times(a)
        if family == "div" and not isinstance(b, Value) and node.kwargs.get("rounding_mode") is None:
            return self.of(a, deep).times(1.0 / b)
        return None


def _comparable(argument: Any, first: Mapping[str, str]) -> Any:
    """An argument as something that is equal for equal arguments."""
    if isinstance(argument, Value):
        return first.get(argument.name, argument.name)
    if isinstance(argument, tuple | list):
        return tuple(_comparable(part, first) for part in argument)
    if isinstance(argument, dict):
        return tuple((key, _comparable(argument[key], first)) for key in sorted(argument))
    if isinstance(argument, Tensor):
        small = argument.numel() <= _SMALL
        return (argument.dtype, tuple(argument.shape), repr(argument.tolist())) if small else id(argument)
    return repr(argument)


def multiple(one: Linear, other: Linear) -> Any:
    """The constant k with ``one = k * other``, a number or a tensor, or None if there is none."""
    mine, theirs = one.terms(), other.terms()
    if not theirs:
        return None
    if not mine:
        return 0.0
    if mine.keys() != theirs.keys() or any(_has_zero(part) for part in theirs.values()):
        return None
    ratios = [mine[key] / theirs[key] for key in mine]
    first = ratios[0]
    return first if all(_alike(first, ratio) for ratio in ratios[1:]) else None


def _is_zero(part: Any) -> bool:
    return not bool(_numbers(part).any())


def _has_zero(part: Any) -> bool:
    return not bool(_numbers(part).all())


def _alike(a: Any, b: Any) -> bool:
    return bool(torch.isclose(_numbers(a), _numbers(b), rtol=1e-12, atol=0).all())


def _numbers(part: Any) -> Tensor:
    return torch.as_tensor(part, dtype=torch.float64)  # as the default dtype has them small ones would vanish
