"""Matrix products with a constant factor on either side: ``matmul``, ``bmm``, ``einsum``."""

from __future__ import annotations

from string import ascii_letters
from typing import Any

import torch
from torch import Tensor

from transect.graph import Node, Value
from transect.rules.base import ESTIMATE, MIXES_ROWS, Affine, Refused, row_dim
from transect.rules.written import as_written, with_constants


def matmul(node: Node) -> Affine:
    """``matmul(a, b)`` and ``bmm(a, b)`` with one constant factor; the samples are not summed over."""
    a, b = node.args[:2]
    if isinstance(a, Value) and isinstance(b, Value):
        raise Refused("it multiplies activations by one another", ESTIMATE)
    x, summed = (a, len(a.shape) - 1) if isinstance(a, Value) else (b, max(len(b.shape) - 2, 0))
    if row_dim(x) == summed:
        raise Refused("it sums over the dimension that counts the samples", MIXES_ROWS)
    return _product(node)


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
    found = _product(node)
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


def _product(node: Node) -> Affine:
    value = as_written(node)
    return Affine(value, value, as_written(with_constants(node, lambda constant: constant.double().square())))


_aten = torch.ops.aten
RULES: dict[str, Any] = {
    str(_aten.matmul.default): matmul,
    str(_aten.bmm.default): matmul,
    str(_aten.addmv.default): addmv,
    str(_aten._trilinear.default): trilinear,
    str(_aten.einsum.default): einsum,
}
