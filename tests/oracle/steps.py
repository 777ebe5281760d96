"""A network as data: a list of steps, each with its parameters as float64 arrays, that any oracle can execute.

Step k reads the values named by its ``sources`` (0 is the input, k + 1 the result of step k); the last result is the
output. Shapes leave out the batch dimension.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Linear:
    """``weight @ x + bias``; weight ``(out, in)``."""

    sources: tuple[int]
    weight: np.ndarray
    bias: np.ndarray | None


@dataclass(frozen=True, eq=False)
class Convolution:
    """Cross-correlation; weight ``(out, in / groups, *kernel)`` in one or two dimensions."""

    sources: tuple[int]
    weight: np.ndarray
    bias: np.ndarray | None
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    groups: int = 1


@dataclass(frozen=True, eq=False)
class AveragePool:
    """Mean over windows of ``kernel`` in every dimension but the first; padding counts as zeros."""

    sources: tuple[int]
    kernel: int
    stride: int
    padding: int = 0


@dataclass(frozen=True, eq=False)
class BatchNorm:
    """``(x - mean) / sqrt(variance + epsilon) * weight + bias`` for every channel (the first dimension)."""

    sources: tuple[int]
    mean: np.ndarray
    variance: np.ndarray
    weight: np.ndarray
    bias: np.ndarray
    epsilon: float = 1e-5


@dataclass(frozen=True, eq=False)
class Relu:
    """``max(x, 0)``."""

    sources: tuple[int]


@dataclass(frozen=True, eq=False)
class LeakyRelu:
    """``x`` above zero, ``slope * x`` below."""

    sources: tuple[int]
    slope: float


@dataclass(frozen=True, eq=False)
class Prelu:
    """``x`` above zero, below it ``x`` times the slope of its channel (the first dimension), of any sign and size."""

    sources: tuple[int]
    slopes: np.ndarray


@dataclass(frozen=True, eq=False)
class Clamp:
    """``min(max(x, low), high)``; one of the two may be None."""

    sources: tuple[int]
    low: float | None
    high: float | None


@dataclass(frozen=True, eq=False)
class HardSigmoid:
    """``min(max(x + 3, 0), 6) / 6``."""

    sources: tuple[int]


@dataclass(frozen=True, eq=False)
class SoftShrink:
    """``x`` moved towards zero by ``reach``, zero where it is no farther away."""

    sources: tuple[int]
    reach: float


@dataclass(frozen=True, eq=False)
class Absolute:
    """``|x|``."""

    sources: tuple[int]


@dataclass(frozen=True, eq=False)
class MaxPool:
    """Largest entry of each window, one number a dimension but the first; padding, and what lies beyond, never wins.

    Rounded up (``ceil_mode``), a last window that begins within the value or the padding before it is kept.
    """

    sources: tuple[int]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    ceil_mode: bool = False


@dataclass(frozen=True, eq=False)
class Maximum:
    """The larger of two values of one shape, entry by entry."""

    sources: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Minimum:
    """The smaller of two values of one shape, entry by entry."""

    sources: tuple[int, int]


@dataclass(frozen=True, eq=False)
class MaxOver:
    """The largest over some dimensions, which are left out of the result."""

    sources: tuple[int]
    dimensions: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class MinOver:
    """The smallest over some dimensions, which are left out of the result."""

    sources: tuple[int]
    dimensions: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Sum:
    """The sum of two values of one shape."""

    sources: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Concatenation:
    """Two values side by side in their first dimension."""

    sources: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Flatten:
    """All entries in one dimension, the last index fastest."""

    sources: tuple[int]


@dataclass(frozen=True, eq=False)
class Reshape:
    """The same entries, the last index fastest, in another shape."""

    sources: tuple[int]
    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Upsample:
    """Every entry twice in every dimension but the first."""

    sources: tuple[int]


@dataclass(frozen=True, eq=False)
class TransposedConvolution:
    """The transpose of a cross-correlation; weight ``(in, out, *kernel)`` in one or two dimensions."""

    sources: tuple[int]
    weight: np.ndarray
    bias: np.ndarray | None
    stride: int = 1
    padding: int = 0
    output_padding: int = 0


@dataclass(frozen=True, eq=False)
class Pad:
    """Entries put before and after, ``amounts`` of them in each of the last dimensions.

    ``mode`` is "constant" (``value`` everywhere), "reflect", "replicate" or "circular".
    """

    sources: tuple[int]
    mode: str
    amounts: tuple[tuple[int, int], ...]
    value: float = 0.0


@dataclass(frozen=True, eq=False)
class Slice:
    """Every ``step``-th entry of a dimension from ``start`` on, before ``stop``."""

    sources: tuple[int]
    dimension: int
    start: int
    stop: int
    step: int = 1


@dataclass(frozen=True, eq=False)
class Reversal:
    """The entries of a dimension in opposite order."""

    sources: tuple[int]
    dimension: int


UnitWise = Relu | LeakyRelu | Prelu | Clamp | HardSigmoid | SoftShrink | Absolute
OverWindows = MaxPool | Maximum | Minimum | MaxOver | MinOver
Bending = UnitWise | OverWindows
Rearranging = Flatten | Reshape | Upsample | Pad | Slice | Reversal
Step = (
    Linear | Convolution | TransposedConvolution | AveragePool | BatchNorm | Sum | Concatenation | Rearranging | Bending
)


@dataclass(frozen=True, eq=False)
class Case:
    """A network and a segment.

    Attributes:
        name: What it is, for messages.
        steps: The network.
        start: One end of the segment, float64.
        end: The other.
    """

    name: str
    steps: tuple[Step, ...]
    start: np.ndarray
    end: np.ndarray

    def __repr__(self) -> str:
        kinds = " ".join(type(step).__name__ for step in self.steps)
        return f"Case({self.name}: {self.start.shape} -> {kinds})"
