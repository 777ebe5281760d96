"""Parts of tensors, and tensors put together from parts: split, index, gather, flip, scatter into constants."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from transect.graph import Node, Value
from transect.rules.base import (
    CONTINUOUS,
    ESTIMATE,
    MIXES_ROWS,
    Affine,
    Function,
    Refused,
    broadcast_to,
    only_input,
    row_dim,
    stored_constant,
)
from transect.rules.shapes import identity
from transect.rules.written import argument, keep_samples_apart, selecting

_aten = torch.ops.aten
_INDEX = str(_aten.index.Tensor)


def along(place: int, default: int) -> Any:
    """A rule for an operation along the one dimension given as argument ``place``."""

    def rule(node: Node) -> Affine:
        keep_samples_apart(node, argument(node, place, "dim", default))
        return selecting(node)

    return rule


def along_two(node: Node) -> Affine:
    """``diagonal(x, offset=0, dim1=0, dim2=1)``."""
    keep_samples_apart(node, argument(node, 2, "dim1", 0), argument(node, 3, "dim2", 1))
    return selecting(node)


def flip(node: Node) -> Affine:
    """``flip(x, dims)``."""
    keep_samples_apart(node, *node.args[1])
    return selecting(node)


def index(node: Node) -> Affine:
    """``index(x, indices)`` with constant indices, none of them for the samples."""
    x = node.args[0]
    if not isinstance(x, Value) or any(isinstance(part, Value) for part in node.args[1]):
        raise Refused("it selects by numbers computed from the input, and so jumps", "select by constant indices")
    if _reaches(node.args[1], row_dim(x)):
        raise Refused("it selects some of the samples", MIXES_ROWS)
    return selecting(node)


def refuse_truth_values(node: Node) -> None:
    """A selection by truth values has a size that the graph does not know: to be said before its shape is judged.

    Raises:
        Refused: It is one.
    """
    if node.operation == _INDEX and any(isinstance(part, Tensor) and part.dtype == torch.bool for part in node.args[1]):
        raise Refused(
            "torch.export does not know how many numbers it selects",
            "make the indices, mask.nonzero()[:, 0], before forward, and select by them",
        )


def _reaches(indices: Any, dim: int) -> bool:
    """Whether a list of indices selects along a dimension (truth values take as many dimensions as they have)."""
    at = 0
    for part in indices:
        width = part.dim() if isinstance(part, Tensor) and part.dtype == torch.bool else 1
        if part is not None and at <= dim < at + width:
            return True
        at += width
    return False


def index_put(node: Node) -> Affine:
    """``index_put(base, indices, values, accumulate=False)`` with constant indices, none of them for the samples."""
    base, indices = node.args[:2]
    if any(isinstance(part, Value) for part in indices):
        raise Refused("it writes to places computed from the input", "write to constant indices")
    place = row_dim(base if isinstance(base, Value) else _made(node))
    if _reaches(indices, place):
        raise Refused("it writes to some of the samples", MIXES_ROWS)
    keep_samples_apart(node)
    return selecting(node)


def _made(node: Node) -> Value:
    assert node.value is not None
    return node.value


def gather(node: Node) -> Affine:
    """``gather(x, dim, index)`` with a constant index that is the same for all samples."""
    x, dim, index = node.args[:3]
    if not isinstance(x, Value) or isinstance(index, Value):
        raise Refused("it selects by numbers computed from the input, and so jumps", "select by constant indices")
    keep_samples_apart(node, dim)
    return selecting(node)


def put_into(node: Node) -> Affine:
    """``slice_scatter``, ``select_scatter`` and ``copy``: a value written into a part of another or of a constant."""
    made = _made(node)
    dim = argument(node, 2, "dim", 0) % len(made.shape) if "scatter" in node.operation else -1
    if dim == row_dim(made) and not _whole(node):
        raise Refused("it writes to some of the samples", MIXES_ROWS)
    if any(len(value.shape) - row_dim(value) != len(made.shape) - row_dim(made) for value in node.inputs()):
        raise Refused("it joins tensors whose samples lie along different dimensions", MIXES_ROWS)
    if dim == row_dim(made):
        return Affine.selecting(lambda *parts: parts[-1]) if isinstance(node.args[1], Value) else _refused_whole()
    return _copied(node.args[1], made) if "copy" in node.operation else selecting(node)


def _copied(source: Value | Tensor, made: Value) -> Affine:
    """A value or constant in the place of all of another: as it is meant, since torch has no derivative of a copy."""
    shape = made.unit_shape
    if isinstance(source, Value):
        placed = broadcast_to(source, made)
        return Affine.selecting(lambda *parts: placed(parts[-1]).expand(len(parts[-1]), *shape))
    constant = stored_constant(source, made)

    def nothing(*parts: Tensor) -> Tensor:
        return parts[0].new_zeros((len(parts[0]), *shape))

    return Affine(lambda *parts: nothing(*parts) + constant, nothing, nothing)


def _whole(node: Node) -> bool:
    start, end, step = (argument(node, place, name, default)
                        for place, name, default in ((3, "start", None), (4, "end", None), (5, "step", 1)))  # fmt: skip
    return node.operation.startswith("aten.slice_scatter") and not start and step == 1 and (end is None or end >= 2**62)


def _refused_whole() -> Affine:
    raise Refused("it overwrites an activation with a constant", "use the constant itself")


def add_into(node: Node) -> Affine:
    """``scatter`` and ``scatter_add`` along a dimension, at constant places."""
    dim, index = node.args[1:3]
    if isinstance(index, Value):
        raise Refused("it writes to places computed from the input", "write to constant indices")
    made = _made(node)
    if dim % len(made.shape) == row_dim(made):
        raise Refused("it writes to some of the samples, or adds them up", MIXES_ROWS)
    keep_samples_apart(node)
    return selecting(node)


def repeat(node: Node) -> Affine:
    """``repeat(x, repeats)``; the samples once."""
    x, repeats = only_input(node), node.args[1]
    if repeats[row_dim(x) + len(repeats) - len(x.shape)] != 1:
        raise Refused("it repeats the samples", MIXES_ROWS)
    return selecting(node)


def shuffle(node: Node) -> Affine:
    """``pixel_shuffle``, ``pixel_unshuffle``, ``channel_shuffle``: samples in front."""
    if row_dim(only_input(node)) != 0:
        raise Refused("it reads the samples as channels or positions", MIXES_ROWS)
    return selecting(node)


INDEXING = {
    **{str(op): along(2, 0) for op in (_aten.split.Tensor, _aten.split_with_sizes.default, _aten.chunk.default,
                                       _aten.tensor_split.sections, _aten.tensor_split.indices)},
    **{str(op): along(1, 0) for op in (_aten.unbind.int, _aten.index_select.default, _aten.unfold.default)},
    **{str(op): put_into for op in (_aten.slice_scatter.default, _aten.select_scatter.default, _aten.copy.default)},
    **{str(op): shuffle for op in (_aten.pixel_shuffle.default, _aten.pixel_unshuffle.default,
                                   _aten.channel_shuffle.default)},
    str(_aten.diagonal.default): along_two,
    str(_aten.flip.default): flip,
    _INDEX: index,
    str(_aten.index_put.default): index_put,
    str(_aten.gather.default): gather,
    **{str(op): add_into for op in (_aten.scatter.src, _aten.scatter.value, _aten.scatter_add.default)},
    str(_aten.repeat.default): repeat,
}  # fmt: skip


def where(node: Node) -> Affine:
    """``where(condition, a, b)`` and ``masked_fill(x, condition, number)`` with a constant condition."""
    made = node.value
    assert made is not None
    masked = "masked_fill" in node.operation
    condition, a, b = (node.args[1], node.args[2], node.args[0]) if masked else node.args[:3]
    if isinstance(condition, Value):
        raise Refused("it selects by a comparison of activations, and its pieces do not meet there", CONTINUOUS)
    mask = stored_constant(condition, made)
    places = [broadcast_to(part, made) if isinstance(part, Value) else None for part in (a, b)]
    numbers = [mask if isinstance(part, Value) else _stored(part, made, mask) for part in (a, b)]

    def chosen(numbers: list[Tensor]) -> Function:
        def choose(*values: Tensor) -> Tensor:
            given = iter(values)
            one, other = (number if place is None else place(next(given))
                          for place, number in zip(places, numbers, strict=True))  # fmt: skip
            return torch.where(mask, one, other).expand(values[0].shape[0], *made.unit_shape)

        return choose

    without = chosen([torch.zeros_like(number) for number in numbers])
    return Affine(chosen(numbers), without, without)


def _stored(number: object, made: Value, mask: Tensor) -> Tensor:
    if isinstance(number, Tensor):
        return stored_constant(number, made)
    return torch.as_tensor(number, device=mask.device)


def power(node: Node) -> Affine:
    """``pow(x, 1)``, as it is left over from the norm of order 1."""
    only_input(node)
    if node.args[1] != 1:
        raise Refused("it bends smoothly: the network is not piecewise affine", ESTIMATE)
    return identity(node)


SELECTIONS = {
    **{str(op): where for op in (_aten.where.self, _aten.where.ScalarOther, _aten.where.ScalarSelf,
                                 _aten.masked_fill.Scalar, _aten.masked_fill.Tensor)},
    str(_aten.pow.Tensor_Scalar): power,
    str(_aten.nan_to_num.default): identity,
}  # fmt: skip


RULES = {**INDEXING, **SELECTIONS}
