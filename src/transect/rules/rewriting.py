"""Bending operations written another way, as those that have a rule: minima, maxima of two, selections by comparison.

``where(p > q, a, b)`` is continuous iff a and b meet where p and q do: iff ``a - b = k (p - q)`` for a constant k. Then
it is ``b + k relu(p - q)``. ReLU written as ``x * (x > 0)``, ``where(x > 0, x, 0)`` or ``x.masked_fill(x < 0, 0)`` is
such a selection, and so is a leaky ReLU.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from transect.graph import Graph, Node, Value
from transect.graph.canonical import operation_name, reachable
from transect.graph.node import ROWS
from transect.rules.elementwise import Combination, multiple
from transect.rules.hinges import piecewise
from transect.rules.piecewise import may_jump, tabulated

_aten = torch.ops.aten
COMPARISONS = {
    **{str(op): 1 for op in (_aten.gt.Scalar, _aten.gt.Tensor, _aten.ge.Scalar, _aten.ge.Tensor)},
    **{str(op): -1 for op in (_aten.lt.Scalar, _aten.lt.Tensor, _aten.le.Scalar, _aten.le.Tensor)},
}
PASSED_ON = {
    str(_aten._to_copy.default): 1,
    str(_aten.clone.default): 1,
    str(_aten.logical_not.default): -1,
    str(_aten.bitwise_not.default): -1,
}
"""Operations between a comparison and its use, and whether they turn it round."""


def rewrite(graph: Graph) -> Graph:
    """The same function with such operations replaced, where they can be; the others are left to be refused by name."""
    made: list[Node] = []
    producers: dict[str, Node] = {}
    exported = {node.name: node for node in graph.nodes}
    jumping: set[str] = set()
    for node in graph.nodes:
        parts = list(_rewritten(node, producers))
        if may_jump(node, jumping):
            parts = parts or list(_tabulated(node, exported, jumping, graph.dtype))
            jumping |= set() if parts else {node.name}
        parts = parts or [node]
        made.extend(parts)
        producers.update((part.name, part) for part in parts)
    return replace(graph, nodes=reachable(made, graph.output))


def _rewritten(node: Node, producers: Mapping[str, Node]) -> Iterator[Node]:
    """Nodes that stand for ``node``, the last of its name; none where it stays as it is."""
    family = node.operation.split(".")[1] if node.operation.startswith("aten.") else ""
    values = node.inputs()
    if node.value is None or node.value.row_dim is None or not node.from_input:
        return
    build = _Builder(node)
    if family in ("maximum", "minimum", "fmax", "fmin") and len(values) == 2:
        yield from _largest_of_two(build, values, family in ("minimum", "fmin"))
    elif family in ("fmax", "fmin"):
        build.last(_aten.maximum.default if family == "fmax" else _aten.minimum.default, node.args)
        yield from build.nodes
    elif node.operation == "aten.clamp.Tensor" and len(values) > 1:
        yield from _clamped(build)
    elif family == "scatter_reduce":
        yield from _scatter_reduced(build, node.args[2])
    elif family == "index_reduce":
        yield from _scatter_reduced(build, _spread(node))
    elif family == "_cdist_forward" and node.args[2] in (1, math.inf) and None not in {x.row_dim for x in values}:
        yield from _distances(build)
    elif family == "amin" or (node.operation == "aten.min.dim" and node.part == 0):
        x = build.step(_aten.neg.default, (values[0],), values[0])
        operation = _aten.amax.default if family == "amin" else _aten.max.dim
        y = build.step(operation, (x, *node.args[1:]), node.value, part=node.part, written=node.operation)
        build.last(_aten.neg.default, (y,))
        yield from build.nodes
    elif node.operation in ("aten.where.self", "aten.where.ScalarSelf", "aten.mul.Tensor", "aten.masked_fill.Scalar"):
        yield from _selected(build, producers)


def _tabulated(node: Node, producers: Mapping[str, Node], jumping: set[str], dtype: torch.dtype) -> Iterator[Node]:
    """A continuous function of one value as one operation with several pieces."""
    if node.value is None or node.value.row_dim is None or not node.value.floating or not node.from_input:
        return
    found = tabulated(node, producers, jumping, dtype)
    if found is not None and (found.positions or any(bool(slope.any()) for slope in found.slopes)):
        build = _Builder(node)
        build.last(piecewise, (found.base, found.positions, found.slopes, found.intercepts), written=node.operation)
        yield from build.nodes


class _Builder:
    """Nodes in the place of another one."""

    def __init__(self, node: Node) -> None:
        assert node.value is not None
        self.node, self.value, self.nodes = node, node.value, list[Node]()

    def step(self, target: Any, args: Any, like: Value, part: int | None = None, written: str = "") -> Value:
        """One more operation; its result has the shape of ``like``."""
        value = replace(like, name=f"{self.node.name}.{len(self.nodes)}")
        self._append(target, args, value, part, written)
        return value

    def last(self, target: Any, args: Any, written: str = "") -> None:
        """The operation whose result is the node's own."""
        self._append(target, args, self.value, None, written)

    def _append(self, target: Any, args: Any, value: Value, part: int | None, written: str) -> None:
        node = self.node
        self.nodes.append(
            Node(
                value.name,
                operation_name(target),
                target,
                tuple(args),
                {},
                value,
                node.module,
                node.source,
                True,
                part,
                written,
            )
        )


def _largest_of_two(build: _Builder, values: tuple[Value, ...], smallest: bool) -> Iterator[Node]:
    """max(a, b) as the largest along a new last dimension of length two; min(a, b) as -max(-a, -b)."""
    made = build.value
    column = replace(made, shape=(*made.shape, 1))
    columns = []
    for x in values:
        if smallest:
            x = build.step(_aten.neg.default, (x,), x)
        if x.shape != made.shape:
            x = build.step(_aten.expand.default, (x, list(made.shape)), made)
        columns.append(build.step(_aten.unsqueeze.default, (x, -1), column))
    both = build.step(_aten.cat.default, (columns, -1), replace(made, shape=(*made.shape, 2)))
    if smallest:
        y = build.step(_aten.amax.default, (both, [-1]), made, written=build.node.operation)
        build.last(_aten.neg.default, (y,))
    else:
        build.last(_aten.amax.default, (both, [-1]))
        build.nodes[-1] = replace(build.nodes[-1], written=build.node.operation)
    yield from build.nodes


def _clamped(build: _Builder) -> Iterator[Node]:
    """clamp(x, low, high) with limits of which some are activations: min(max(x, low), high)."""
    x, low, high = (*build.node.args, *(build.node.kwargs.get(name) for name in ("min", "max")))[:3]
    if len(build.node.args) < 3:
        low, high = (build.node.kwargs.get(name, part) for name, part in (("min", low), ("max", None)))
    limits = [(_aten.maximum.default, low)] * (low is not None) + [(_aten.minimum.default, high)] * (high is not None)
    for place, (target, limit) in enumerate(limits):
        if place == len(limits) - 1:
            build.last(target, (x, limit))
        else:
            x = build.step(target, (x, limit), build.value)
    for node in build.nodes:
        yield from list(_rewritten(node, {})) or [node]


def _distances(build: _Builder) -> Iterator[Node]:
    """``cdist(a, b, p)``: sums of absolute differences for p = 1, the largest of them for p = infinity."""
    made, apart = build.value, list[Any]()
    for x, dim in zip(build.node.args[:2], (-2, -3), strict=True):
        if isinstance(x, Value):
            assert x.row_dim is not None
            place = len(x.shape) + 1 + dim
            wide = Value("", (*x.shape[:place], 1, *x.shape[place:]), x.row_dim + (x.row_dim >= place))
            apart.append(build.step(_aten.unsqueeze.default, (x, dim), wide))
        else:
            apart.append(x.unsqueeze(dim))
    each = replace(made, shape=(*made.shape, apart[0].shape[-1]))
    difference = build.step(_aten.sub.Tensor, apart, each)
    size = build.step(_aten.abs.default, (difference,), each, written=build.node.operation)
    build.last(_aten.sum.dim_IntList if build.node.args[2] == 1 else _aten.amax.default, (size, [-1]))
    yield from build.nodes


def _spread(node: Node) -> Any:
    """The places of ``index_reduce``, of which there is one for each slice, as ``scatter_reduce`` has them."""
    dim, index, source = node.args[1:4]
    if isinstance(index, Value) or not isinstance(source, Value):
        return index
    sizes = [1 if size < 0 else size for size in source.shape]
    return index.reshape([-1 if at == dim % len(sizes) else 1 for at in range(len(sizes))]).expand(sizes)


def _scatter_reduced(build: _Builder, index: Any) -> Iterator[Node]:
    """Sums, means and extremes of what is scattered to constant places, and of what was there if it counts as well."""
    node, made = build.node, build.value
    base, dim, _, source, how = node.args[:5]
    include = node.kwargs.get("include_self", True)
    if isinstance(index, Value) or made.row_dim != 0 or dim % len(made.shape) == 0 or how not in _REDUCED:
        return
    index, shape = index[:1], (1, *made.unit_shape)
    hits = torch.zeros(shape, dtype=torch.float64, device=index.device)
    hits = hits.scatter_add(dim, index, torch.ones(index.shape, dtype=torch.float64, device=index.device))
    if how in ("sum", "mean"):
        if not include:
            base = _product(build, base, (hits == 0).double(), made)
        total = build.step(_aten.scatter_add.default, (base, dim, index, source), made)
        build.last(_aten.div.Tensor, (total, 1.0 if how == "sum" else (hits + include).clamp_min(1)))
    else:
        yield from _extremes(build, base, dim, index, source, how == "amin", include)
    yield from build.nodes


_REDUCED = ("sum", "mean", "amax", "amin")


def _product(build: _Builder, x: Any, factor: Tensor, made: Value) -> Any:
    if isinstance(x, Value):
        return build.step(_aten.mul.Tensor, (x, factor), made)
    return x * factor


def _extremes(
    build: _Builder, base: Any, dim: int, index: Tensor, source: Any, smallest: bool, include: bool
) -> Iterator[Node]:
    """The largest of each place's numbers, gathered side by side; a place repeats its first where it has fewer."""
    made = build.value
    units, given = math.prod(made.unit_shape), math.prod(index.shape[1:])
    slots = torch.arange(units, device=index.device).reshape(1, *made.unit_shape)
    target = slots.expand(1, *made.unit_shape).gather(dim, index).flatten().tolist()
    members = [[place] if include else [] for place in range(units)]
    for number, place in enumerate(target):
        members[place].append(units + number)
    members = [found or [place] for place, found in enumerate(members)]
    width = max(map(len, members))
    places = torch.tensor([found + found[:1] * (width - len(found)) for found in members], device=index.device)
    if isinstance(source, Value) and source.unit_shape != tuple(index.shape[1:]):
        return
    flat = [_flattened(build, part, size, made) for part, size in ((base, units), (source, given))]
    row = replace(made, shape=(ROWS, units + given), row_dim=0)
    together = build.step(_aten.cat.default, (flat, 1), row)
    wide = replace(made, shape=(ROWS, units * width), row_dim=0)
    side = build.step(_aten.index_select.default, (together, 1, places.flatten()), wide)
    if smallest:
        side = build.step(_aten.neg.default, (side,), wide)
    square = replace(made, shape=(ROWS, units, width), row_dim=0)
    side = build.step(_aten.view.default, (side, [-1, units, width]), square)
    found = build.step(
        _aten.amax.default, (side, [-1]), replace(square, shape=(ROWS, units)), written=build.node.operation
    )
    if smallest:
        found = build.step(_aten.neg.default, (found,), replace(square, shape=(ROWS, units)))
    build.last(_aten.view.default, (found, [-1, *made.unit_shape]))
    yield from ()


def _flattened(build: _Builder, part: Any, size: int, made: Value) -> Any:
    if isinstance(part, Value):
        row = replace(made, shape=(ROWS, size), row_dim=0)
        return build.step(_aten.view.default, (part, [-1, size]), row)
    return part.reshape(-1, size)[:1] if part.dim() > 1 else part.reshape(1, size)


def _selected(build: _Builder, producers: Mapping[str, Node]) -> Iterator[Node]:
    """A selection by a comparison, or a product with one, if its pieces meet."""
    node = build.node
    if node.operation.startswith("aten.mul"):
        factors = list(node.args[:2])
        chosen = [part for part in factors if _comparison(part, producers)[0] is not None]
        if len(chosen) != 1:
            return
        condition, a, b = chosen[0], factors[1 - factors.index(chosen[0])], 0.0
    elif node.operation.startswith("aten.masked_fill"):
        b, condition, a = node.args[:3]
    else:
        condition, a, b = node.args[:3]
    compared, sign = _comparison(condition, producers)
    if compared is None:
        return
    outside, inside = (a, b) if sign > 0 else (b, a)
    if (shrunk := _soft_shrink(compared, outside, inside, producers)) is not None:
        build.last(_aten.softshrink.default, shrunk)
        yield from build.nodes
        return
    combine = Combination(producers)
    p, q = compared.args[:2] if sign > 0 else compared.args[1::-1]
    k = multiple(combine.of(a) - combine.of(b), combine.of(p) - combine.of(q))
    if k is not None:
        yield from _bent(build, p, q, b, k)


def _comparison(argument: Any, producers: Mapping[str, Node]) -> tuple[Node | None, int]:
    """The comparison behind a truth value, also negated or as numbers, and whether p > q (1) or p < q (-1) is asked."""
    node, sign = producers.get(argument.name) if isinstance(argument, Value) else None, 1
    while node is not None and node.operation in PASSED_ON:
        sign *= PASSED_ON[node.operation]
        node = producers.get(node.args[0].name)
    if node is None or node.operation not in COMPARISONS:
        return None, 0
    return node, sign * COMPARISONS[node.operation]


def _soft_shrink(compared: Node, a: Any, b: Any, producers: Mapping[str, Node]) -> tuple[Value, float] | None:
    """x and lambda of ``where(|x| > lambda, x - lambda sign(x), 0 x)``, as which torch exports a soft shrinkage."""
    combine = Combination(producers)
    magnitude, reach = compared.args[:2]
    if isinstance(reach, Value) or (isinstance(reach, Tensor) and reach.numel() > 1):
        return None
    node = producers.get(magnitude.name) if isinstance(magnitude, Value) else None
    if node is None or node.operation != "aten.abs.default" or combine.of(b).terms():
        return None
    x = node.args[0]
    found = (combine.of(x) - combine.of(a)).terms()
    if reach == 0 and not found:
        return x, 0.0
    signs = [name for name in found if (made := producers.get(name)) is not None
             and made.operation == "aten.sign.default" and made.args[0].name == x.name]  # fmt: skip
    return (x, float(reach)) if len(found) == len(signs) == 1 and found[signs[0]] == reach else None


def _bent(build: _Builder, p: Any, q: Any, b: Any, k: float | Tensor) -> Iterator[Node]:
    """b + k relu(p - q)."""
    made = build.value
    if isinstance(q, int | float) and q == 0 and isinstance(p, Value):
        s = p
    else:
        target = _aten.sub.Tensor if isinstance(p, Value) else _aten.rsub.Scalar
        s = build.step(target, (p, q) if isinstance(p, Value) else (q, p), _shape_of(p, q, made))
    bent = build.step(_aten.relu.default, (s,), s, written=build.node.operation)
    scaled = build.step(_aten.mul.Tensor, (bent, k), made)
    build.last(_aten.add.Tensor, (scaled, b) if not isinstance(b, Value) else (b, scaled))
    yield from build.nodes


def _shape_of(p: Any, q: Any, made: Value) -> Value:
    """The shape of p - q: that of the value, or of the result where both are tensors."""
    if isinstance(p, Value) and not isinstance(q, Value | Tensor):
        return p
    if isinstance(q, Value) and not isinstance(p, Value | Tensor):
        return q
    shapes = [tuple(1 if size < 0 else size for size in part.shape) for part in (p, q)]
    shape = list(torch.broadcast_shapes(*shapes))
    shape[made.row_dim if made.row_dim is not None else 0] = made.shape[made.row_dim or 0]
    return replace(made, shape=tuple(shape))
