"""The proof, before anything is computed, that every node of a graph has a rule; all problems in one error."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass

from transect.errors import UnsupportedModel
from transect.findings import Problem, listed
from transect.graph import Graph, Node, Rows, is_random
from transect.graph.node import leaves
from transect.rules.base import CONTINUOUS, MIXES_ROWS, Affine, Bend, Envelope, Refused, row_dim
from transect.rules.indexing import refuse_truth_values
from transect.rules.infinities import excluding
from transect.rules.refusals import RANDOM, refusal
from transect.rules.rewriting import COMPARISONS
from transect.rules.table import RULES
from transect.rules.treatment import treated

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
