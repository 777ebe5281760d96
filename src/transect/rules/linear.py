"""Linear layers and products with constant matrices."""

from __future__ import annotations

from string import ascii_letters
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from transect.graph import Node, Value
from transect.rules.base import ESTIMATE, MIXES_ROWS, Affine, Function, Refused, row_dim, squared_rows
from transect.rules.written import as_written, with_constants


def _weights(node: Node, x: object, weight: object) -> tuple[Value, Tensor]:
    if not isinstance(weight, Tensor) or not isinstance(x, Value):
        raise Refused("it multiplies activations by one another, or a constant from the left by samples", ESTIMATE)
    if row_dim(x) == len(x.shape) - 1:
        raise Refused("it sums over the dimension that counts the samples", "transpose before the product")
    return x, weight


def _product(weight: Tensor, bias: Tensor | None) -> Affine:
    """``weight`` is (out, in), as in ``torch.nn.Linear``."""
    squared, size = squared_rows(weight)
    return Affine(
        value=lambda x: functional.linear(x, weight, bias),
        linear=lambda x: functional.linear(x, weight),
        squares=lambda x: functional.linear(x, squared) * size * size,
    )


def linear(node: Node) -> Affine:
    """``linear(x, weight, bias=None)``."""
    _, weight = _weights(node, node.args[0], node.args[1])
    bias = node.args[2] if len(node.args) > 2 else None
    if isinstance(bias, Value):
        raise Refused("its bias depends on the input", ESTIMATE)
    return _product(weight, bias) if weight.dim() == 2 else _with_a_vector(weight, bias)


def _with_a_vector(weight: Tensor, bias: Tensor | None) -> Affine:
    """One output, without a dimension of its own."""
    product = _product(weight.unsqueeze(0), None if bias is None else bias.reshape(1))

    def one(function: Function) -> Function:
        return lambda x: function(x).squeeze(-1)

    return Affine(one(product.value), one(product.linear), one(product.squares))


def mm(node: Node) -> Affine:
    """``mm(x, matrix)``."""
    _, matrix = _weights(node, node.args[0], node.args[1])
    return _product(matrix.t().contiguous(), None)


def addmm(node: Node) -> Affine:
    """``addmm(bias, x, matrix, beta=1, alpha=1)``."""
    bias = node.args[0]
    _, matrix = _weights(node, node.args[1], node.args[2])
    if isinstance(bias, Value):
        raise Refused("it adds one product of activations to another activation", "write the sum as an addition")
    alpha, beta = node.kwargs.get("alpha", 1), node.kwargs.get("beta", 1)
    if bias.dim() > 1 and bias.shape[0] != 1:
        raise Refused("its bias differs from sample to sample", "use one bias for all samples")
    flat = (bias * beta).expand(1, matrix.shape[1]).reshape(-1) if bias.dim() != 1 else bias * beta
    return _product((matrix.t() * alpha).contiguous(), flat.expand(matrix.shape[1]).contiguous())


LINEAR_LAYERS = {
    str(torch.ops.aten.linear.default): linear,
    str(torch.ops.aten.addmm.default): addmm,
    str(torch.ops.aten.mm.default): mm,
}


def matmul(node: Node) -> Affine:
    """``matmul(a, b)`` and ``bmm(a, b)`` with one constant factor; the samples are not summed over."""
    a, b = node.args[:2]
    if isinstance(a, Value) and isinstance(b, Value):
        raise Refused("it multiplies activations by one another", ESTIMATE)
    x, summed = (a, len(a.shape) - 1) if isinstance(a, Value) else (b, max(len(b.shape) - 2, 0))
    if row_dim(x) == summed:
        raise Refused("it sums over the dimension that counts the samples", MIXES_ROWS)
    return _constant_product(node)


def einsum(node: Node) -> Affine:
    """``einsum(equation, operands)`` with one activation, whose samples are in the result and in no constant."""
    equation, operands = node.args[:2]
    values = [part for part in operands if isinstance(part, Value)]
    if len(values) != 1:
        raise Refused("it multiplies activations by one another", ESTIMATE)
    place = next(index for index, part in enumerate(operands) if isinstance(part, Value))
    terms, result = _named(equation.replace(" ", ""), [len(part.shape) for part in operands])
    letter = terms[place][row_dim(values[0])]
    if letter not in result or terms[place].count(letter) > 1:
        raise Refused("it sums over the samples, or mixes them", MIXES_ROWS)
    if any(letter in term and operands[index].shape[term.index(letter)] != 1 for index, term in enumerate(terms)
           if index != place):  # fmt: skip
        raise Refused("it multiplies each sample by a number of its own", MIXES_ROWS)
    value = as_written(node)
    constants = [part.squeeze(term.index(letter)) if letter in term else part
                 for part, term in zip(operands, terms, strict=True) if isinstance(part, Tensor)]  # fmt: skip
    if not constants:
        return Affine.selecting(value)
    others = [term.replace(letter, "") for index, term in enumerate(terms) if index != place]
    kept = "".join(sorted(set("".join(others)) & (set(terms[place]) | set(result))))
    coefficients = torch.einsum(f"{','.join(others)}->{kept}", *constants).double().square()
    equation = f"{letter}{terms[place].replace(letter, '')},{kept}->{letter}{result.replace(letter, '')}"
    return Affine(value, value, lambda x: torch.einsum(equation, x, coefficients.to(x.dtype)))


def addmv(node: Node) -> Affine:
    """``addmv(bias, x, vector, beta=1, alpha=1)``."""
    bias, x, vector = node.args
    if not isinstance(x, Value) or isinstance(bias, Value) or isinstance(vector, Value) or row_dim(x) != 0:
        raise Refused("it multiplies activations by one another, or adds to them", ESTIMATE)
    beta, alpha = (node.kwargs.get(name, 1) for name in ("beta", "alpha"))
    weight, shift = vector * alpha, bias * beta
    return Affine(lambda x: x @ weight + shift, lambda x: x @ weight, lambda x: x @ weight.to(x.dtype).square())


def trilinear(node: Node) -> Affine:
    """``_trilinear``, of which ``nn.Bilinear`` is made, with all but one factor constant."""
    values = node.inputs()
    if len(values) != 1 or row_dim(values[0]) != 0:
        raise Refused("it multiplies activations by one another", ESTIMATE)
    found = _constant_product(node)
    constants = [part for part in node.args[:3] if isinstance(part, Tensor)]
    summed = max(part.shape[-1] for part in constants)  # of each coefficient: the square of a sum is at most so many
    return Affine(found.value, found.linear, lambda x: summed * found.squares(x))  # times the sum of the squares


def _named(equation: str, dims: list[int]) -> tuple[list[str], str]:
    """The terms of an equation and its result, every dimension of an ellipsis named by a letter of its own."""
    given, arrow, result = equation.partition("->")
    terms = given.split(",")
    hidden = [
        most - len(term.replace("...", "")) if "..." in term else 0 for term, most in zip(terms, dims, strict=True)
    ]
    names = "".join(sorted(set(ascii_letters) - set(equation)))[: max(hidden)]
    terms = [term.replace("...", names[len(names) - count :]) for term, count in zip(terms, hidden, strict=True)]
    if not arrow:
        once = sorted(letter for letter in set(given) - set(",.") if given.count(letter) == 1)
        return terms, names + "".join(once)
    return terms, result.replace("...", names)


def _constant_product(node: Node) -> Affine:
    value = as_written(node)
    return Affine(value, value, as_written(with_constants(node, lambda constant: constant.double().square())))


_aten = torch.ops.aten
PRODUCTS: dict[str, Any] = {
    str(_aten.matmul.default): matmul,
    str(_aten.bmm.default): matmul,
    str(_aten.addmv.default): addmv,
    str(_aten._trilinear.default): trilinear,
    str(_aten.einsum.default): einsum,
}


RULES = {**LINEAR_LAYERS, **PRODUCTS}
