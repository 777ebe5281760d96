"""Random small networks that mix every bending step with every affine one, in one to three dimensions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from hypothesis import strategies as st

from oracle.affine import apply
from oracle.choices import Choices, Drawn
from oracle.exact import Exact, Line
from oracle.networks import Growing, Numbers, convolution, drawn, generic
from oracle.steps import (
    Absolute,
    Case,
    Clamp,
    HardSigmoid,
    LeakyRelu,
    Maximum,
    MaxOver,
    MaxPool,
    Minimum,
    MinOver,
    Pad,
    Prelu,
    Rearranging,
    Relu,
    Reshape,
    Reversal,
    Slice,
    SoftShrink,
    TransposedConvolution,
    UnitWise,
    Upsample,
)
from oracle.windows import windows

MOST = 72  # entries that a value is not to grow beyond, so that exact arithmetic stays quick
_CLAMPS = [(0.0, 6.0), (-1.0, 1.0), (-0.5, 1.5), (0.0, 0.25), (None, 0.5), (0.25, None), (-2.0, None), (-0.1, 0.3)]
_SLOPES = [0.01, 0.2, -0.5, 1.5]


@st.composite
def mixed(draw: st.DrawFn, numbers: Callable[[int], Numbers] = generic) -> Case:
    """A random network of many kinds of steps, and a segment."""
    return drawn(Drawn(draw), FAMILIES, numbers)


class Mixing(Growing):
    """A network being written, with steps whose shapes are worked out here."""

    def bend(self, step: UnitWise) -> None:
        self.add(step, self.shape)

    def over_windows(self, step: MaxPool | MaxOver | MinOver) -> None:
        self.add(step, windows(step, self.shape).shape)

    def rearrange(self, step: Rearranging) -> None:
        zeros = Exact(np.zeros(self.shape, dtype=object), 1)
        self.add(step, apply(step, Line(zeros, zeros)).constant.over.shape)

    def of_two(self, kind: type[Maximum] | type[Minimum], other: int) -> None:
        self.add(kind((self.here, other)), self.shape)

    def transposed(self, out: int, kernel: int, stride: int, padding: int, output_padding: int) -> None:
        into, *sizes = self.shape
        weight = self.numbers((into, out, *(kernel for _ in sizes)))
        seen = [(size - 1) * stride + kernel + output_padding - 2 * padding for size in sizes]
        step = TransposedConvolution((self.here,), weight, self.numbers((out,)), stride, padding, output_padding)
        self.add(step, (out, *seen))


def _vector(choose: Choices, numbers: Numbers) -> Mixing:
    network = Mixing((choose.whole(1, 6),), numbers)
    for _ in range(choose.whole(1, 3)):
        network.linear(choose.whole(1, 8), choose.maybe())
        _bend(choose, network)
        _branch(choose, network, lambda: network.linear(network.shape[0]))
        _competition(choose, network)
    return network


def _signal(choose: Choices, numbers: Numbers) -> Mixing:
    network = Mixing((choose.whole(1, 3), choose.whole(6, 12)), numbers)
    return convolutional(choose, network, choose.whole(1, 2))


def _image(choose: Choices, numbers: Numbers) -> Mixing:
    network = Mixing((choose.whole(1, 2), choose.whole(4, 6), choose.whole(4, 6)), numbers)
    return convolutional(choose, network, choose.one_of([1, 1, 2]))


FAMILIES = [_vector, _signal, _image]


def convolutional(choose: Choices, network: Mixing, layers: int) -> Mixing:
    """Goes on with up to so many convolutions, each bent, and most of them pooled."""
    for _ in range(layers):
        _convolution(choose, network)
        _bend(choose, network)
        if choose.one_of([True, True, False]):
            _pool(choose, network)
        _branch(choose, network, lambda: network.convolution(network.shape[0], 3, 1, 1, 1, 1))
        _rearrangement(choose, network)
    if choose.one_of([False, False, True]):
        _reduction(choose, network)
    return network


def _convolution(choose: Choices, network: Mixing) -> None:
    larger = 8 * math.prod(network.shape) // network.shape[0]
    if choose.one_of([False, False, False, larger <= MOST]):
        kernel, stride = choose.whole(1, 3), choose.whole(1, 2)
        padding = choose.whole(0, int((min(network.shape[1:]) - 1) * stride + kernel > 2))  # something must be left
        network.transposed(choose.whole(1, 2), kernel, stride, padding, choose.whole(0, stride - 1))
    else:
        convolution(choose, network)


def _bend(choose: Choices, network: Mixing) -> None:
    if choose.maybe():
        network.batch_norm()
    network.bend(_unit_wise(choose, network))


def _unit_wise(choose: Choices, network: Mixing) -> UnitWise:
    source = (network.here,)
    kinds = {
        "relu": lambda: Relu(source),
        "leaky": lambda: LeakyRelu(source, choose.one_of(_SLOPES)),
        "prelu": lambda: Prelu(source, network.numbers((network.shape[0],))),
        "clamp": lambda: Clamp(source, *choose.one_of(_CLAMPS)),
        "hard sigmoid": lambda: HardSigmoid(source),
        "soft shrink": lambda: SoftShrink(source, choose.one_of([0.25, 0.5, 0.3])),
        "absolute": lambda: Absolute(source),
    }
    return kinds[choose.one_of(["relu", "relu", "relu", "relu", *kinds])]()


def _competition(choose: Choices, network: Mixing) -> None:
    """Nothing, or units of a vector against each other: the largest or smallest of two layers, or within groups."""
    kind = choose.one_of(["none", "none", "two layers", "groups", "all"])
    (width,) = network.shape
    if kind == "two layers":
        kept, out = network.here, choose.whole(1, 6)
        network.linear(out)
        first, network.here = network.here, kept
        network.linear(out)
        network.of_two(choose.one_of([Maximum, Minimum]), first)
    elif kind == "groups":
        groups = choose.one_of([g for g in range(1, width + 1) if width % g == 0])
        network.rearrange(Reshape((network.here,), (groups, width // groups)))
        network.over_windows(choose.one_of([MaxOver, MinOver])((network.here,), (choose.whole(0, 1),)))
    elif kind == "all":
        kept = network.here
        network.over_windows(choose.one_of([MaxOver, MinOver])((kept,), (0,)))
        network.rearrange(Reshape((network.here,), (1,)))
        network.beside(kept)


def _pool(choose: Choices, network: Mixing) -> None:
    """Max-pooling that fits, or average pooling; a kernel of 3 moved by 2 as often as all others."""
    sizes = network.shape[1:]
    others = [(2, 2, 0, 1), (2, 1, 0, 1), (3, 1, 1, 1), (2, 2, 1, 1), (2, 1, 0, 2), (3, 2, 1, 2), (3, 3, 0, 1)]
    kind = choose.one_of(["3/2", "3/2", "3/2", "other", "other", "uneven", "average"])
    if kind == "average" and min(sizes) >= 3:
        network.average_pool(*choose.one_of([(2, 2, 0), (3, 2, 1), (2, 1, 0)]))
        return
    if kind == "uneven" and len(sizes) == 2 and min(sizes) >= 3:
        network.over_windows(MaxPool((network.here,), (3, 2), (1, 2), (1, 0), (1, 1), choose.maybe()))
        return
    kernel, stride, padding, dilation = (3, 2, choose.whole(0, 1), 1) if kind == "3/2" else choose.one_of(others)
    if min(sizes) + 2 * padding > dilation * (kernel - 1):
        geometry = ((number,) * len(sizes) for number in (kernel, stride, padding, dilation))
        network.over_windows(MaxPool((network.here,), *geometry, choose.maybe()))


def _branch(choose: Choices, network: Mixing, layer: Callable[[], None]) -> None:
    """Nothing, or a further layer that is added, joined, or set against what it reads; bent before or after."""
    kind = choose.one_of(["none", "none", "none", "sum", "sum, then bend", "concatenation", "against"])
    if kind == "none" or math.prod(network.shape) > MOST:
        return
    kept = network.here
    layer()
    if kind in ("sum", "concatenation"):
        network.bend(_unit_wise(choose, network))
    if kind == "concatenation":
        network.beside(kept)
    elif kind == "against":
        network.of_two(choose.one_of([Maximum, Minimum]), kept)
    else:
        network.plus(kept)
    if kind == "sum, then bend":
        network.bend(_unit_wise(choose, network))


def _rearrangement(choose: Choices, network: Mixing) -> None:
    """Nothing, or one affine step without weights, as far as sizes allow it."""
    sizes = network.shape[1:]
    last = len(sizes)
    source = (network.here,)
    steps: list[Callable[[], Rearranging]] = [
        lambda: Reversal(source, choose.whole(1, last)),
        lambda: Slice(source, last, choose.whole(0, 1), sizes[-1], choose.whole(1, 2)),
        lambda: Pad(source, "constant", _amounts(choose, last, 1), choose.one_of([0.0, 0.5, -1.0])),
        lambda: Pad(source, choose.one_of(["reflect", "replicate", "circular"]), _amounts(choose, last, 1)),
        lambda: Upsample(source),
    ]
    grown = math.prod(network.shape) * 2**last <= MOST
    if min(sizes) >= 2:
        choose.one_of(
            [lambda: None] * 5 + [lambda step=step: network.rearrange(step()) for step in steps[: 4 + grown]]
        )()


def _amounts(choose: Choices, dimensions: int, most: int) -> tuple[tuple[int, int], ...]:
    return tuple((choose.whole(0, most), choose.whole(0, most)) for _ in range(dimensions))


def _reduction(choose: Choices, network: Mixing) -> None:
    """The largest, or smallest, over some dimensions: over places, over the last one, over channels, or across."""
    over: Sequence[tuple[int, ...]] = [(0,), (1,)] if len(network.shape) == 2 else [(1, 2), (2,), (0,), (0, 2)]
    network.over_windows(choose.one_of([MaxOver, MinOver])((network.here,), choose.one_of(over)))
