"""Random small networks and segments: one strategy, from which hypothesis draws shapes and a seed for the numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import strategies as st

from oracle.choices import Choices, Drawn
from oracle.steps import (
    AveragePool,
    BatchNorm,
    Case,
    Concatenation,
    Convolution,
    Flatten,
    Linear,
    Relu,
    Step,
    Sum,
)

Numbers = Callable[[Sequence[int]], np.ndarray]
"""Draws an array of a shape."""


def generic(seed: int) -> Numbers:
    """Normal numbers: nothing ties but by construction."""
    return np.random.default_rng(seed).standard_normal


def coarse(seed: int) -> Numbers:
    """Halves between -1 and 1, zeros among them: ties, dead units and units at zero over whole intervals abound."""
    random = np.random.default_rng(seed)
    return lambda shape: random.integers(-2, 3, tuple(shape)) / 2


def repeating(seed: int) -> Numbers:
    """Normal numbers in which some units are copies of the first one: equal, mirrored, twice as large, or nought.

    Which ones depends on the number of units alone, so that a layer's biases, and a batch norm, go with its weights.
    """
    random = np.random.default_rng(seed)

    def numbers(shape: Sequence[int]) -> np.ndarray:
        values = random.standard_normal(shape)
        choose = np.random.default_rng([seed, shape[0]])
        factor, copied = choose.choice([1.0, -1.0, 2.0, 0.0], shape[0]), choose.random(shape[0]) < 0.5
        copies = factor.reshape(-1, *(1,) * (values.ndim - 1)) * values[0]
        return np.where(copied.reshape(copies.shape[0], *(1,) * (values.ndim - 1)), copies, values)

    return numbers


def uneven(seed: int) -> Numbers:
    """Normal numbers, each unit's scaled by a power of two between 1/64 and 64."""
    random = np.random.default_rng(seed)
    return lambda shape: np.ldexp(
        random.standard_normal(shape), random.integers(-6, 7, (shape[0], *(1,) * (len(shape) - 1)))
    )


def decimal(seed: int) -> Numbers:
    """Tenths between -0.3 and 0.3: what ties on paper is a few roundings apart in float64, and exactly so."""
    random = np.random.default_rng(seed)
    return lambda shape: random.integers(-3, 4, tuple(shape)) / 10


def spread(seed: int) -> Numbers:
    """Normal numbers over six orders of magnitude."""
    random = np.random.default_rng(seed)
    return lambda shape: random.standard_normal(tuple(shape)) * 10 ** random.uniform(-3, 3, tuple(shape))


class Growing:
    """A network being written, step after step; ``here`` names the value that the next step reads.

    Args:
        shape: Shape of one input.
        numbers: Where weights and end points come from.
    """

    def __init__(self, shape: Sequence[int], numbers: Numbers) -> None:
        self.steps: list[Step] = []
        self.shapes = [tuple(shape)]
        self.numbers = numbers
        self.here = 0

    @property
    def shape(self) -> tuple[int, ...]:
        return self.shapes[self.here]

    def add(self, step: Step, shape: Sequence[int]) -> None:
        self.steps.append(step)
        self.shapes.append(tuple(shape))
        self.here = len(self.steps)

    def linear(self, out: int, bias: bool = True) -> None:
        (into,) = self.shape
        weight = self.numbers((out, into))
        self.add(Linear((self.here,), weight, self.numbers((out,)) if bias else None), (out,))

    def convolution(self, out: int, kernel: int, stride: int, padding: int, dilation: int, groups: int) -> None:
        into, *sizes = self.shape
        weight = self.numbers((out, into // groups, *(kernel for _ in sizes)))
        reach = dilation * (kernel - 1)
        seen = [(size + 2 * padding - reach - 1) // stride + 1 for size in sizes]
        self.add(
            Convolution((self.here,), weight, self.numbers((out,)), stride, padding, dilation, groups), (out, *seen)
        )

    def batch_norm(self) -> None:
        channels = (self.shape[0],)
        variance = np.abs(self.numbers(channels)) + 0.5
        step = BatchNorm((self.here,), self.numbers(channels), variance, self.numbers(channels), self.numbers(channels))
        self.add(step, self.shape)

    def relu(self) -> None:
        self.add(Relu((self.here,)), self.shape)

    def average_pool(self, kernel: int, stride: int, padding: int) -> None:
        channels, *sizes = self.shape
        seen = [(size + 2 * padding - kernel) // stride + 1 for size in sizes]
        self.add(AveragePool((self.here,), kernel, stride, padding), (channels, *seen))

    def plus(self, other: int) -> None:
        self.add(Sum((self.here, other)), self.shape)

    def beside(self, other: int) -> None:
        channels = self.shape[0] + self.shapes[other][0]
        self.add(Concatenation((self.here, other)), (channels, *self.shape[1:]))

    def head(self, outputs: int) -> None:
        if len(self.shape) > 1:
            self.add(Flatten((self.here,)), (int(np.prod(self.shape)),))
        self.linear(outputs)

    def case(self, name: str) -> Case:
        return Case(name, tuple(self.steps), *_ends(self.shapes[0], self.numbers))


Family = Callable[[Choices, Numbers], Growing]
"""Writes a random network up to its head."""


@st.composite
def cases(draw: st.DrawFn, numbers: Callable[[int], Numbers] = generic) -> Case:
    """A random network with up to four bending operations, in one to three dimensions, and a segment."""
    return drawn(Drawn(draw), FAMILIES, numbers)


def drawn(choose: Choices, families: Sequence[Family], numbers: Callable[[int], Numbers]) -> Case:
    """A network of one of these families, with a linear head, and a segment."""
    grow = choose.one_of(families)
    seed = choose.whole(0, 2**32 - 1)
    network = grow(choose, numbers(seed))
    network.head(choose.whole(1, 3))
    return network.case(f"{grow.__name__.strip('_')}, {numbers.__name__}, seed {seed}")


Strategy = Callable[[Callable[[int], Numbers]], st.SearchStrategy[Case]]
"""Cases whose numbers are of a kind."""


@st.composite
def siblings(
    draw: st.DrawFn, numbers: Callable[[int], Numbers] = generic, count: int = 6, of: Strategy = cases
) -> list[Case]:
    """Several cases of one architecture, each with its own numbers: capturing an architecture is what takes time."""
    first = draw(of(numbers))
    seed = draw(st.integers(0, 2**32 - 1))
    return [first] + [renewed(first, numbers(seed + k)) for k in range(1, count)]


def moved_away(case: Case, distance: float) -> Case:
    """The case with its ends moved by ``distance`` in every coordinate, and the first layer's bias moved against it.

    The first layer must be linear. What it computes is a small difference of large numbers.
    """
    first, *others = case.steps
    assert isinstance(first, Linear)
    bias = (0 if first.bias is None else first.bias) - distance * first.weight.sum(1)
    steps = (replace(first, bias=bias), *others)
    return Case(f"{case.name}, moved by {distance}", steps, case.start + distance, case.end + distance)


def large(shape: Sequence[int], seed: int) -> Case:
    """A larger network, with a few hundred regions: a perceptron for a vector, a residual ConvNet for an image."""
    network = Growing(shape, generic(seed))
    for width in (24, 24, 24) if len(shape) == 1 else ():
        network.linear(width)
        network.relu()
    for channels in (4, 4) if len(shape) == 3 else ():
        network.convolution(channels, 3, 1, 1, 1, 1)
        network.batch_norm()
        network.relu()
        kept = network.here
        network.convolution(channels, 3, 1, 1, 1, 1)
        network.plus(kept)
        network.relu()
    network.head(3)
    return network.case(f"large, {'x'.join(map(str, shape))}, seed {seed}")


def renewed(case: Case, numbers: Numbers) -> Case:
    """The same architecture with other weights and ends."""
    start, end = _ends(case.start.shape, numbers)
    return Case(f"{case.name}, renewed", tuple(_renewed(step, numbers) for step in case.steps), start, end)


def _renewed(step: Step, numbers: Numbers) -> Step:
    arrays = {field.name: getattr(step, field.name) for field in fields(step)}
    drawn = {name: numbers(old.shape) for name, old in arrays.items() if isinstance(old, np.ndarray)}
    if isinstance(step, BatchNorm):
        drawn["variance"] = np.abs(drawn["variance"]) + 0.5
    return replace(step, **drawn)


def _ends(shape: tuple[int, ...], numbers: Numbers) -> tuple[np.ndarray, np.ndarray]:
    """Two different points."""
    start, end = (np.asarray(numbers(shape), dtype=np.float64) for _ in range(2))
    return start, end + 1.0 if np.array_equal(start, end) else end


def in_float32(case: Case) -> Case:
    """The network that float32 has: weights, thresholds and ends rounded to it, each exactly the float64 it then is."""
    steps = tuple(
        replace(step, **{field.name: _nearest(getattr(step, field.name)) for field in fields(step)})
        for step in case.steps
    )
    return Case(f"{case.name}, in float32", steps, _nearest(case.start), _nearest(case.end))


def _nearest(value: object) -> Any:
    if isinstance(value, float | np.ndarray):
        rounded = np.asarray(value, dtype=np.float32).astype(np.float64)
        return rounded if isinstance(value, np.ndarray) else float(rounded)
    return value


def polyline(case: Case, elsewhere: np.ndarray) -> list[Case]:
    """Up to five segments, one after the other, through the network of a case.

    The second leads through the origin, where all units of a first layer without biases meet; two have an end there.
    """
    anchors = [case.start]
    for anchor in (case.end, -case.end, elsewhere, np.zeros_like(case.end), case.end):
        if not np.array_equal(anchor, anchors[-1]):
            anchors.append(anchor)
    return [Case(f"{case.name}, segment {k}", case.steps, low, high) for k, (low, high) in enumerate(pairwise(anchors))]


def _vector(choose: Choices, numbers: Numbers) -> Growing:
    network = Growing((choose.whole(1, 8),), numbers)
    for _ in range(choose.whole(1, 4)):
        network.linear(choose.whole(1, 12), choose.maybe())
        _bend(choose, network)
        _branch(choose, network, lambda: network.linear(network.shape[0]))
    return network


def _signal(choose: Choices, numbers: Numbers) -> Growing:
    network = Growing((choose.whole(1, 3), choose.whole(6, 14)), numbers)
    return _convolutional(choose, network, choose.whole(1, 3))


def _image(choose: Choices, numbers: Numbers) -> Growing:
    network = Growing((choose.whole(1, 2), choose.whole(4, 6), choose.whole(4, 6)), numbers)
    return _convolutional(choose, network, choose.whole(1, 2))


FAMILIES: list[Family] = [_vector, _signal, _image]


def _convolutional(choose: Choices, network: Growing, layers: int) -> Growing:
    for _ in range(layers):
        convolution(choose, network)
        _bend(choose, network)
        _branch(choose, network, lambda: network.convolution(network.shape[0], 3, 1, 1, 1, 1))
        if min(network.shape[1:]) >= 3 and choose.maybe():
            network.average_pool(*choose.one_of([(2, 2, 0), (3, 2, 1), (2, 1, 0)]))
    return network


def convolution(choose: Choices, network: Growing) -> None:
    into, *sizes = network.shape
    kernel = choose.whole(1, 3)
    dilation = choose.whole(1, 2) if min(sizes) > 2 * (kernel - 1) else 1
    padding = choose.whole(0, 1) if dilation * (kernel - 1) < min(sizes) else dilation * (kernel - 1)
    groups = choose.one_of([g for g in (1, 2, 3) if into % g == 0])
    network.convolution(groups * choose.whole(1, 2), kernel, choose.whole(1, 2), padding, dilation, groups)


def _bend(choose: Choices, network: Growing) -> None:
    if choose.maybe():
        network.batch_norm()
    network.relu()


def _branch(choose: Choices, network: Growing, layer: Callable[[], None]) -> None:
    """Nothing, or a residual sum or a concatenation around a further layer, bent before or after it joins."""
    kind = choose.one_of(["none", "none", "sum", "sum, then bend", "concatenation"])
    if kind == "none":
        return
    kept = network.here
    layer()
    if kind != "sum, then bend":
        network.relu()
    if kind == "concatenation":
        network.beside(kept)
    else:
        network.plus(kept)
    if kind == "sum, then bend":
        network.relu()
