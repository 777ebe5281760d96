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


Step = Linear | Convolution | AveragePool | BatchNorm | Relu | Sum | Concatenation | Flatten


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
