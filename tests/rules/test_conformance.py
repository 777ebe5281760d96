"""Every rule of the table against the exported operation and its Jacobian by automatic differentiation."""

from __future__ import annotations

from functools import cache

import pytest
import torch

from support.cases import CASES, RuleCase, Wrapped
from transect.graph import Graph, Value, canonical_graph, export_model
from transect.rules import RULES, Affine, Step, fold_batch_norms, prove_coverage, rewrite

# The form a user's call takes in the exported graph is decided by torch; these spellings, which the same function
# treats as one that has a case, do not appear with every version of it.
ALIASES = {
    "aten._unsafe_view.default", "aten.reshape.default", "aten.squeeze.default", "aten.squeeze.dim",
    "aten.flatten.using_ints", "aten.transpose.int", "aten.t.default", "aten.alias.default", "aten.detach.default",
    "aten.lift_fresh_copy.default", "aten.contiguous.default", "aten.dropout.default", "aten.mean.default",
    "aten.sum.default", "aten.add.Scalar", "aten.sub.Scalar", "aten.rsub.Tensor", "aten.rsub.Scalar", "aten.mul.Scalar",
    "aten.div.Scalar", "aten.div.Tensor_mode", "aten._adaptive_avg_pool2d.default", "aten._adaptive_avg_pool3d.default",
    "aten.adaptive_avg_pool1d.default", "aten.avg_pool1d.default", "aten.split.Tensor", "aten.chunk.default",
    "aten.tensor_split.sections", "aten.tensor_split.indices", "aten.unbind.int", "aten._prelu_kernel.default",
    "aten.clamp_min.default", "aten.clamp_min.Tensor", "aten.clamp_max.default", "aten.clamp_max.Tensor",
    "aten.masked_fill.Scalar", "aten.masked_fill.Tensor", "aten.where.ScalarOther", "aten.where.ScalarSelf",
    "aten.upsample_nearest1d.default", "aten.upsample_nearest2d.default", "aten.upsample_nearest3d.default",
    "aten.upsample_linear1d.default", "aten.upsample_bilinear2d.default", "aten.upsample_trilinear3d.default",
    "aten.upsample_bicubic2d.default", "aten.select_scatter.default", "aten.scatter.value",
}  # fmt: skip


@cache
def _graph(case: RuleCase) -> Graph:
    example = torch.zeros((1, *case.shape), dtype=torch.float64)
    case.forward(example.clone())  # draws its weights, which torch 2.6 does not while it exports
    return canonical_graph(export_model(Wrapped(case.forward), example), torch.float64, torch.device("cpu"))


def test_every_rule_has_a_case():
    seen = {node.operation for case in CASES for graph in (_graph(case), rewrite(_graph(case))) for node in graph.nodes}
    assert set(RULES) - seen <= ALIASES


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_rules_compute_the_function(case: RuleCase):
    x = torch.randn((5, *case.shape), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = case.forward(x.clone()).double()
    graph = _graph(case)
    torch.testing.assert_close(graph.evaluate(x).double(), expected, rtol=1e-6, atol=1e-6)
    for one in (rewrite(graph), fold_batch_norms(rewrite(graph))):
        torch.testing.assert_close(_run(one, prove_coverage(one), x), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_linear_parts_and_squares_are_those_of_the_jacobian(case: RuleCase):
    for step in prove_coverage(rewrite(_graph(case))):
        if isinstance(step.operation, Affine):
            _check_parts(step, step.operation)


def _check_parts(step: Step, operation: Affine) -> None:
    generator = torch.Generator().manual_seed(1)
    operands = [torch.randn((2, *value.unit_shape), generator=generator, dtype=torch.float64)
                for value in step.node.inputs()]  # fmt: skip
    zeros = [torch.zeros_like(operand) for operand in operands]
    linear = operation.value(*operands) - operation.value(*zeros)
    torch.testing.assert_close(operation.linear(*operands), linear, rtol=1e-9, atol=1e-9)
    single = [operand[:1] for operand in operands]
    jacobians = torch.autograd.functional.jacobian(operation.value, tuple(single))
    weights = [operand.square() for operand in single]
    exact = sum(
        (jacobian.square().flatten(-weight.dim()) @ weight.flatten())
        for jacobian, weight in zip(jacobians, weights, strict=True)
    )
    bound = operation.squares(*weights)
    assert bound.shape == exact.shape
    assert bool((bound >= exact * (1 - 1e-9) - 1e-12).all())


def _run(graph: Graph, steps: tuple[Step, ...], x: torch.Tensor) -> torch.Tensor:
    """The rules, one after the other, rows first; the result as the user stores it."""
    known = {graph.input.name: x.movedim(_rows(graph.input), 0)}
    for step in steps:
        operands = [known[value.name] for value in step.node.inputs()]
        operation = step.operation
        known[step.node.name] = (
            operation.value(*operands) if isinstance(operation, Affine) else operation.apply(operands[0].clone())
        )
    return known[graph.output.name].movedim(0, _rows(graph.output))


def _rows(value: Value) -> int:
    assert value.row_dim is not None
    return value.row_dim
