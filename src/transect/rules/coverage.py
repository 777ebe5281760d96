"""Every operation has its treatment: the table of all rules, the proof that it covers a graph, and what it refuses."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from types import MappingProxyType

from transect.errors import Problem, Treated, UnsupportedModel, listed
from transect.graph import Graph, Node, Rows, is_random
from transect.graph.node import leaves
from transect.rules import (
    arithmetic,
    convolutions,
    hinges,
    indexing,
    linear,
    normalisation,
    resampling,
    shapes,
    windows,
)
from transect.rules.base import CONTINUOUS, ESTIMATE, MIXES_ROWS, Affine, Bend, Envelope, Refused, Rule, merged, row_dim
from transect.rules.indexing import refuse_truth_values
from transect.rules.infinities import excluding
from transect.rules.rewriting import COMPARISONS


def in_words(operation: Affine | Bend) -> str:
    """``affine``, ``bends: 2 pieces`` or ``bends: envelope of 9``."""
    if isinstance(operation, Affine):
        return "affine"
    if isinstance(operation, Envelope):
        return f"bends: envelope of {operation.windows.shape[1]}"
    return f"bends: {len(operation.thresholds) + 1} pieces"


def exported_name(name: str) -> str:
    """Name of the exported node that one of a rewritten graph is, or stands for a part of (``amin.1`` of ``amin``)."""
    return name.partition(".")[0]


def treated(steps: Iterable[Step]) -> tuple[Treated, ...]:
    """One entry for each operation of the graph as it was exported, in order of execution."""
    parts: dict[str, list[Step]] = {}
    for step in steps:
        parts.setdefault(exported_name(step.node.name), []).append(step)
    return tuple(map(_together, parts.values()))


def _together(parts: list[Step]) -> Treated:
    main = next((part for part in parts if not isinstance(part.operation, Affine)), parts[-1])
    bends = not isinstance(main.operation, Affine)
    units = math.prod(main.node.value.unit_shape) if bends and main.node.value is not None else 0
    return Treated(main.node.written or main.node.operation, in_words(main.operation), units)


_SMOOTH = ("it bends smoothly: the network is not piecewise affine", ESTIMATE)
_STATISTICS = ("it divides by a statistic of the activations", "use batch norm with running statistics, or none")
_JUMPS = ("it jumps: the network is not continuous", "use a continuous operation")
_QUADRATIC = ("it is quadratic between its bends", "use relu6 or hardtanh")
RANDOM = ("it is random", "call model.eval(), give functions training=False, or remove it")
_ORDER = ("it orders activations", "use max, min, or max-pooling")

_REASONS: tuple[tuple[str, tuple[str, str]], ...] = (
    ("sigmoid tanh gelu silu mish elu celu selu softplus exp log log1p sqrt rsqrt pow erf sin cos atan reciprocal "
     "logsumexp _softmax _log_softmax softmax log_softmax log_sigmoid logit sinh cosh", _SMOOTH),
    ("native_layer_norm layer_norm native_group_norm group_norm instance_norm var std "
     "_native_batch_norm_legit _native_batch_norm_legit_functional native_batch_norm", _STATISTICS),
    ("sign copysign floor ceil round trunc frac hardshrink fmod remainder", _JUMPS),
    ("hardswish", _QUADRATIC),
    ("_cdist_forward _euclidean_dist", ("distances of this order bend smoothly, or jump", "use cdist with p=1 or inf")),
    ("sort cummax cummin topk median kthvalue argsort mode", _ORDER),
    ("eq ne gt ge lt le isnan isinf logical_not logical_and logical_or logical_xor bitwise_not bitwise_and "
     "bitwise_or bitwise_xor argmax argmin heaviside where masked_fill nonzero",
     ("it compares activations and the result jumps where they are equal", CONTINUOUS)),
    ("scaled_dot_product_attention _scaled_dot_product_flash_attention_for_cpu",
     ("it multiplies activations by one another", ESTIMATE)),
)  # fmt: skip


def refusal(operation: str) -> Rule | None:
    """The rule that refuses ``operation`` (such as ``aten.gelu.default``) with its reason, or None if unknown."""
    family = operation.split(".")[1] if operation.startswith("aten.") else operation
    return next((_refuse(*why) for names, why in _REASONS if family in _words(names)), None)


def _words(names: str) -> Iterable[str]:
    return {name for word in names.split() for name in (word, f"{word}_")}


def _refuse(reason: str, remedy: str) -> Rule:
    def rule(node: Node) -> Affine:
        raise Refused(reason, remedy)

    return rule


RULES: Mapping[str, Rule] = MappingProxyType(
    merged(
        linear.RULES,
        convolutions.RULES,
        normalisation.RULES,
        normalisation.INSTANCE_RULES,
        arithmetic.RULES,
        shapes.RULES,
        indexing.RULES,
        resampling.RULES,
        windows.RULES,
        hinges.RULES,
    )
)


# Operations of activations some of whose arguments are sizes or the end of a range.
_OF_SIZES = frozenset(
    "view _unsafe_view reshape expand repeat slice slice_scatter select_scatter narrow split split_with_sizes "
    "unflatten as_strided new_zeros new_ones new_full new_empty full_like pad constant_pad_nd unfold".split()
)


@dataclass(frozen=True)
class Step:
    """A node and what its rule says of it."""

    node: Node
    operation: Affine | Bend


def prove_coverage(graph: Graph) -> tuple[Step, ...]:
    """One step for every node of the graph that depends on the input.

    Raises:
        UnsupportedModel: Lists *every* node without a rule, or that its rule refuses, with operation, module path,
            source line where there is one, reason and remedy.
    """
    drawn, filled = _random(graph.nodes), _filled(graph.nodes)
    read = {value.name for node in graph.nodes for value in node.inputs()}
    found = [
        _judge(node)
        for node in graph.nodes
        if node.value is not None
        and not _follows_from_another(node, drawn)
        and node.name not in filled
        and not _is_read_comparison(node, read)
    ]
    problems = tuple(entry for entry in found if isinstance(entry, Problem))
    steps = tuple(entry for entry in found if isinstance(entry, Step))
    if problems:
        raise UnsupportedModel(
            f"The model is not one that can be traced exactly: {len(problems)} operation(s) cannot be treated.\n"
            + listed(problems),
            problems,
            treated(steps),
        )
    return steps


def _random(nodes: Sequence[Node]) -> set[str]:
    """Names of the values that are made of random numbers alone, or are truth values of a comparison with some."""
    found: set[str] = set()
    constants = {node.name for node in nodes if not node.from_input}
    for node in nodes:
        read = {value.name for value in node.inputs()}
        is_truth = node.value is not None and not node.value.floating
        if _draws(node) or (read & found and (is_truth or read <= found | constants)):
            found.add(node.name)
    return found


def _filled(nodes: Sequence[Node]) -> set[str]:
    """Names of the constants that are read in order to be overwritten with random numbers, and for nothing else."""
    constants = {node.name for node in nodes if not node.from_input}
    overwritten = {value.name for node in nodes if _draws(node) for value in node.inputs()}
    return constants & overwritten - {value.name for node in nodes if not _draws(node) for value in node.inputs()}


def _draws(node: Node) -> bool:
    return is_random(node.target, node.args, node.kwargs)


def _follows_from_another(node: Node, drawn: Set[str]) -> bool:
    """Whether the node reads a value that is at fault itself: it is listed where it was made."""
    if _draws(node):
        return False
    return (
        any(value.name in drawn for value in node.inputs())
        or any(value.row_dim is None for value in node.inputs())
        or (not node.from_input and bool(node.inputs()))
    )


def _is_read_comparison(node: Node, read: set[str]) -> bool:
    """Whether the node compares activations for another one, which is listed."""
    return node.operation in COMPARISONS and node.name in read


def _refuse_number_of_samples(node: Node) -> None:
    """Only sizes may be the number of samples: an operand that is makes another function of every batch."""
    takes_sizes = node.operation.split(".")[1] in _OF_SIZES if node.operation.startswith("aten.") else False
    if not takes_sizes and any(isinstance(part, Rows) for part in leaves((node.args, dict(node.kwargs)))):
        raise Refused("it computes with the number of samples in the batch, or one read from activations", MIXES_ROWS)


def _judge(node: Node) -> Step | Problem:
    rule = RULES.get(node.operation) or refusal(node.operation)
    try:
        if _draws(node):
            raise Refused(*RANDOM)
        if any(value.complex for value in (*node.inputs(), node.value) if value is not None):
            raise Refused("it computes with complex numbers", "write real and imaginary parts as real numbers")
        if not node.from_input:
            reason = "it makes a constant that depends on the batch, by the place or the number of the samples in it"
            raise Refused(reason, "use one constant for all samples")
        if rule is None:
            raise Refused("no rule is known for it", "replace it by operations of the list in the documentation")
        if any(not value.floating for value in node.inputs()):
            raise Refused("it computes with a comparison or with indices of activations, and so jumps", CONTINUOUS)
        assert node.value is not None
        _refuse_number_of_samples(node)
        refuse_truth_values(node)
        row_dim(node.value)
        operation = rule(node)
        if node.absent is not None and isinstance(operation, Envelope):
            operation = excluding(operation, node.absent)
        return Step(node, operation)
    except Refused as refused:
        return Problem(node.operation, node.module, node.source, refused.reason, refused.remedy)
