"""What a rule says of a node: the kinds of operation, and how a rule refuses.

Rules see every tensor *rows first*: whatever position the row dimension has in the user's code, the engine stores it as
dimension 0, and :func:`stored_dim` and :func:`stored_constant` translate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from transect.graph import Node, Value

Function = Callable[..., Tensor]


@dataclass(frozen=True)
class Affine:
    """An affine operation on rows, ``value(x, ...) = linear(x, ...) + constant``.

    Attributes:
        value: The operation, on tensors whose dimension 0 counts rows.
        linear: The same without its constant part.
        squares: The linear part with every coefficient squared (or an upper bound of it): it carries variances of
            rounding errors, in float64 whatever the working dtype, through the operation.
    """

    value: Function
    linear: Function
    squares: Function

    @classmethod
    def selecting(cls, function: Function) -> Affine:
        """An operation whose coefficients are 0 and 1 with at most one 1 an output: all three parts are the same."""
        return cls(function, function, function)


@dataclass(frozen=True)
class Hinge:
    """A unit-wise bending operation: affine between thresholds, continuous at each.

    A unit is an entry of the input; its piece is the number of thresholds it is above.

    Attributes:
        thresholds: Ascending; numbers, or tensors that broadcast against one row. Where two are equal the pieces beyond
            them must be one affine function: a clamp to nothing is constant, a shrinkage by nothing the identity.
        apply: The operation; may write into its argument.
        squared_gain: Square of its steepest slope (or an upper bound); broadcasts against one row.
        computed: None where each result is its operand, its negative or a threshold. Others round: by eps times their
            result, and times what is added to a multiple of the operand and may cancel, which is this number (or one
            that broadcasts against one row).
    """

    thresholds: tuple[float | Tensor, ...]
    apply: Callable[[Tensor], Tensor]
    squared_gain: float | Tensor = 1.0
    computed: float | Tensor | None = None

    def held_in(self, dtype: torch.dtype) -> Hinge:
        """The same with thresholds that this dtype has: a unit exactly on one is exactly on it.

        Where two are one in this dtype the unit never bends, and they are infinite.
        """
        held = [t.to(dtype) if isinstance(t, Tensor) else as_held(t, dtype) for t in self.thresholds]
        if len(held) == 2:
            device = next((t.device for t in held if isinstance(t, Tensor)), None)
            low, high = (torch.as_tensor(t, dtype=dtype, device=device) for t in held)
            if bool((low >= high).any()):
                held = [torch.where(low >= high, torch.inf, t) for t in torch.broadcast_tensors(low, high)]
        return replace(self, thresholds=tuple(held))

    def flat(self, x: Tensor) -> Tensor:
        """Rows of the numbers it compares, ``(R, units)``."""
        return x.reshape(len(x), -1)

    def deviation(self, before: Tensor) -> Tensor:
        """Upper bound of the standard deviation of the rounding errors of its results."""
        gain = self.squared_gain
        return before if isinstance(gain, float) and gain == 1 else before * gain**0.5


@dataclass(frozen=True)
class Envelope:
    """A bending operation that takes the largest number of every window: max-pooling, a maximum over dimensions.

    Numbers are arranged as positions within channels, and every channel has the same windows. A unit is a window of a
    channel, in the order of the results; its piece is the place within the window of the number that wins, the first
    of those that are largest all along an interval.

    Attributes:
        windows: Positions of the places of every window, ascending, -1 where there is none, ``(windows, places)``.
        arrange: Rows ``(R, *shape)`` to ``(R, channels, positions)``.
        apply: The operation, ``(R, *shape)`` to its results.
        winners: ``(R, *shape)`` to the position of each window's largest number (the first of equal ones), int64,
            ``(R, channels, windows)``.
    """

    windows: Tensor
    arrange: Callable[[Tensor], Tensor]
    apply: Callable[[Tensor], Tensor]
    winners: Callable[[Tensor], Tensor]

    def flat(self, x: Tensor) -> Tensor:
        """Rows of the numbers it compares, channel after channel, ``(R, channels * positions)``."""
        return self.arrange(x).flatten(1)

    def deviation(self, before: Tensor) -> Tensor:
        """Upper bound of the standard deviation of the rounding errors of its results."""
        return self.apply(before)


Bend = Hinge | Envelope
Rule = Callable[[Node], Affine | Bend]


class Refused(Exception):
    """Raised by a rule: why the node cannot be traced, and what can be done."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason, self.remedy = reason, remedy


MIXES_ROWS = "make the model treat each sample on its own"
ESTIMATE = "replace it by something piecewise affine (ReLU, max-pooling, clamp), or sample the model: transect.estimate"

CONTINUOUS = "write it so that its pieces meet, for example with relu, clamp, maximum or max-pooling"


def as_held(number: float, dtype: torch.dtype) -> float:
    """A number as that dtype has it; infinite where it is too large."""
    return torch.tensor(number, dtype=torch.float64).to(dtype).item()


def only_input(node: Node) -> Value:
    """The one value a unary operation reads.

    Raises:
        Refused: It reads another number of values.
    """
    values = node.inputs()
    if len(values) != 1:
        raise Refused(f"it reads {len(values)} activations where one was expected", ESTIMATE)
    return values[0]


def row_dim(value: Value) -> int:
    """Position of the row dimension.

    Raises:
        Refused: The graph has folded, duplicated or reduced it.
    """
    if value.row_dim is None:
        raise Refused(f"it folds the samples into another dimension, or loses them (shape {value.shape})", MIXES_ROWS)
    return value.row_dim


def stored_dim(value: Value, dim: int, what: str = "it works along") -> int:
    """Translate a dimension of the user's tensor to the rows-first tensor.

    Raises:
        Refused: It is the row dimension.
    """
    rows, dim = row_dim(value), dim % len(value.shape)
    if dim == rows:
        raise Refused(f"{what} the dimension that counts the samples, and so mixes them", MIXES_ROWS)
    return dim + 1 if dim < rows else dim


def stored_constant(constant: Tensor, out: Value) -> Tensor:
    """A constant that broadcasts against ``out`` as the user stores it, arranged to broadcast against it rows first.

    Raises:
        Refused: It has a value of its own for every row.
    """
    aligned = constant.reshape((1,) * (len(out.shape) - constant.dim()) + tuple(constant.shape))
    aligned = aligned.movedim(row_dim(out), 0)
    if aligned.shape[0] != 1:
        raise Refused("it combines the samples with a constant that differs from sample to sample", MIXES_ROWS)
    return aligned


def broadcast_to(value: Value, out: Value) -> Function:
    """Function that inserts the leading dimensions ``value`` lacks against ``out``, rows first.

    Raises:
        Refused: Broadcasting aligns its samples with another dimension.
    """
    missing = len(out.shape) - len(value.shape)
    if row_dim(value) + missing != row_dim(out):
        raise Refused("broadcasting aligns the samples of one operand with another dimension", MIXES_ROWS)
    if missing == 0:
        return lambda x: x
    ones = (1,) * missing
    return lambda x: x.reshape(x.shape[0], *ones, *x.shape[1:])


def merged(*tables: Mapping[str, Rule]) -> dict[str, Rule]:
    """One table of rules from many; an operation in two of them is an error."""
    found: dict[str, Rule] = {}
    for table in tables:
        if twice := found.keys() & table.keys():
            raise ValueError(f"operations with two rules: {sorted(twice)}")
        found.update(table)
    return found


def squared_rows(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Squares of a weight in float64, every row of it over its largest number, and these numbers, ``(rows,)``.

    The squares of very small or large weights themselves would vanish or overflow.
    """
    weight = weight.double()
    largest = weight.abs().flatten(1).amax(1)
    largest = torch.where(largest > 0, largest, 1.0)
    return (weight / largest.reshape(-1, *(1,) * (weight.dim() - 1))).square(), largest


def zero_like_rows(x: Tensor) -> Tensor:
    """A zero that broadcasts against rows of ``x``."""
    return torch.zeros((), dtype=x.dtype, device=x.device)
