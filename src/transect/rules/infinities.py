"""Infinite constants that a maximum passes over: masks of minus infinity, padding of it.

The engine computes with differences, in which an infinity is lost. A number that is minus infinity whatever the input
never wins a window, so the window goes without it, and the constant becomes a zero that nothing reads.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from transect.errors import Problem, UnsupportedModel, listed
from transect.graph import Graph, Node, Value
from transect.graph.node import leaves, mapped
from transect.rules.base import Envelope

# Operations that hand numbers on, or put constants beside them.
_PASSING = frozenset(
    "view _unsafe_view reshape flatten squeeze unsqueeze permute transpose t expand slice select cat stack split "
    "split_with_sizes chunk unbind index index_select gather flip repeat clone alias detach _to_copy copy where "
    "masked_fill full_like pad constant_pad_nd slice_scatter select_scatter index_put scatter neg add sub "
    "contiguous unfold".split()
)
_SCALING = frozenset(("mul", "div"))  # by finite constants
_LARGEST = frozenset("amax max max_pool2d_with_indices max_pool3d_with_indices adaptive_max_pool2d "
                     "adaptive_max_pool3d".split())  # fmt: skip


def without_infinities(graph: Graph) -> Graph:
    """The same function, with no infinity among its numbers: maxima know which of theirs they pass over.

    Raises:
        UnsupportedModel: An infinite constant reaches something else than a maximum.
    """
    if not any(map(_has_infinity, graph.nodes)):
        return graph
    infinite, undefined = _infinite_units(graph)
    problems, nodes = [], []
    remedy = "let infinite numbers reach nothing but a maximum, in which others are larger"
    for node in graph.nodes:
        reached = any(name in infinite for name in (value.name for value in node.inputs()))
        family = node.operation.split(".")[1] if node.operation.startswith("aten.") else ""
        if reached and family in _LARGEST and node.name not in infinite:
            nodes.append(replace(node, absent=infinite[node.inputs()[0].name]))
        elif node.name in undefined:
            reason = "infinite constants cancel in it, or meet a zero, and what is left is no number (NaN)"
            problems.append(Problem(node.operation, node.module, node.source, reason, remedy))
        elif (reached or node.name in infinite) and not _passes(family, node):
            problems.append(
                Problem(node.operation, node.module, node.source, "an infinite constant reaches it", remedy)
            )
        else:
            nodes.append(_finite(node) if node.name in infinite else node)
    if graph.output.name in infinite and not problems:
        problems = [Problem("output", "", "", "it is infinite whatever the input", "leave such outputs out")]
    if problems:
        raise UnsupportedModel(
            f"The model is not one that can be traced exactly: {len(problems)} operation(s) cannot be treated.\n"
            + listed(problems),
            tuple(problems),
        )
    return replace(graph, nodes=tuple(nodes))


def excluding(bend: Envelope, absent: Tensor) -> Envelope:
    """The same maximum, which passes over some of the numbers.

    Args:
        bend: A maximum over windows.
        absent: Which numbers never win, one row of its operand, ``(1, *shape)`` bool.
    """
    never = bend.arrange(absent.double())[0] > 0
    channels, positions = never.shape
    windows, first = bend.windows.to(absent.device), positions * torch.arange(channels, device=absent.device)
    place = windows.unsqueeze(0) + first.reshape(-1, 1, 1)
    gone = (windows < 0).unsqueeze(0) | never.flatten()[place.clamp_min(0)]
    kept = place.masked_fill(gone, -1).flatten(0, 1).cpu()

    def masked(x: Tensor) -> Tensor:
        return x.masked_fill(absent, -math.inf)

    return Envelope(
        kept,
        lambda x: bend.arrange(x).reshape(len(x), 1, -1),
        lambda x: bend.apply(masked(x)),
        lambda x: (bend.winners(masked(x)) + first.unsqueeze(1)).reshape(len(x), 1, -1),
    )


def _passes(family: str, node: Node) -> bool:
    return family in _PASSING or (family in _SCALING and not _has_infinity(node))


def _has_infinity(node: Node) -> bool:
    return any(_is_infinite(part) for part in leaves((node.args, dict(node.kwargs))))


def _is_infinite(part: Any) -> bool:
    if isinstance(part, Tensor):
        return part.is_floating_point() and bool(part.isinf().any())
    return isinstance(part, float) and math.isinf(part)


def _finite(node: Node) -> Node:
    def finite(part: Any) -> Any:
        if not _is_infinite(part):
            return part
        return part.masked_fill(part.isinf(), 0) if isinstance(part, Tensor) else 0.0

    return replace(node, args=mapped(node.args, finite), kwargs=mapped(dict(node.kwargs), finite))


def _infinite_units(graph: Graph) -> tuple[dict[str, Tensor], set[str]]:
    """The values some of whose numbers are infinite at an ordinary input, and which, rows first, ``(1, *shape)``; and
    the first values in which infinities have made numbers that are none."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn((1, *graph.input.unit_shape), generator=generator, dtype=torch.float64)
    found: dict[str, Tensor] = {}
    undefined: set[str] = set()
    without: set[str] = set()  # values computed from these

    def look(node: Node, made: Any) -> None:
        value: Value | None = node.value
        if isinstance(made, Tensor) and value is not None and value.floating and value.row_dim is not None:
            rows = made.movedim(value.row_dim, 0)
            if bool(rows.isinf().any()):
                found[node.name] = rows.isinf()
            if bool(rows.isnan().any()):
                without.add(node.name)
                if not any(part.name in without for part in node.inputs()):
                    undefined.add(node.name)

    with torch.no_grad():
        graph.evaluate(x.to(device=graph.device, dtype=graph.dtype), look)
    return found, undefined
