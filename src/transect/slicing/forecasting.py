"""``forecast_slice``: what a slice would cost, from a few chords and a small window sliced against the clock."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from transect.errors import TraceTooLarge
from transect.networks.network import Network
from transect.paths import Plane
from transect.slicing.arguments import as_sliceable
from transect.slicing.joining import bytes_of
from transect.slicing.patches import Frame, engine_over, patches_of, rounding_over
from transect.support.guesses import CLOCK, Guess, counted, duration, student
from transect.support.precision import full_precision
from transect.support.text import size_in_memory
from transect.tracing import trace
from transect.tracing.arguments import check_whole, constant_bytes, numbers_alive, output_indices, peak_bytes

_CHORDS, _FEW_CHORDS = 8, 4
_SURE = 1.5  # regions are what lines in all directions make of the borders' length, within this factor either way
_RARE = 3.0  # borders that chords which meet none may have missed on their way: 95 %, by Poisson's distribution
_FIRST_REGIONS, _GROWTH, _ENOUGH_SECONDS = 300.0, 4.0, 0.25
_ENOUGH_FOR_THE_FIRST = 5.0
_BESIDE = 1.5  # times what the engine takes: measures and verification; 1.1 to 2 for networks large and small
_WHOLE = 0.9  # of a domain: a window that would be nearly all of it is
_CORNERS_A_REGION = 4  # in an arrangement of lines
_MEBIBYTE = 2**20


@dataclass(frozen=True)
class SliceForecast:
    """What slicing a network would take; times are in seconds on this machine.

    Attributes:
        area: Area of the domain.
        regions: Linear regions in it.
        border_length: Length of the borders between them.
        seconds: Time of the slice.
        bytes_all: Memory that ``keep="all"`` holds, beside what ``keep="measures"`` takes.
        bytes_measures: Memory that ``keep="measures"`` takes beside libraries and the model, at most (about).
    """

    area: float
    regions: Guess
    border_length: Guess
    seconds: Guess
    bytes_all: Guess
    bytes_measures: int

    def __str__(self) -> str:
        held, most = self.bytes_all.high / _MEBIBYTE, self.bytes_measures / _MEBIBYTE
        return (
            f"an area of {self.area:.4g}: about {counted(self.regions)} regions, {duration(self.seconds)}; up to about "
            f'{most:,.0f} MiB, and with keep="all" {held:,.0f} MiB more'
        )


def forecast_slice(
    network: Network | nn.Module,
    plane: Plane,
    *,
    outputs: Sequence[int] | None = None,
    budget: int | None = None,
    seed: int = 0,
) -> SliceForecast:
    """Forecast what :func:`transect.slice` would take: regions, time and memory. It takes about a second.

    Eight random chords of the domain are traced. By Cauchy and Crofton a curve of length L is crossed 2 L / P times by
    a random chord of a domain of perimeter P, and chords have the mean length pi A / P: with rho crossings per length
    of the chords, borders have the length pi / 2 rho A. In directions that are all alike they meet in pi / 4 rho^2
    points per area, and rho P / 2 of them enter the domain, so that there are 1 + rho P / 2 + pi / 4 rho^2 A regions
    (Santaló, Integral Geometry and Geometric Probability, 1976, chapters 3 and 4). The range holds what eight chords
    leave open (Student's t interval, 90 %), and a factor of 1.5 for borders that prefer a direction or a place.

    The time is what a window in the middle takes against the clock, for as many regions as are expected, and half of
    it more for measures and verification, within a factor of 1.5; other programs on the machine can make more of it.
    Where the window is the whole domain, the number of regions is what it has.

    Args:
        network: A captured network, or a module.
        plane: The plane, with the domain.
        outputs: Indices of the outputs to keep.
        budget: Most numbers that one group of polygons keeps alive.
        seed: Seed of the chords.

    Raises:
        InvalidInput: An argument is not usable.
        UnsupportedModel: The module cannot be sliced exactly.

    Example:
        >>> import torch, transect
        >>> square = transect.Plane([0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [(-1, -1), (1, -1), (1, 1), (-1, 1)])
        >>> model = torch.nn.Sequential(torch.nn.Linear(2, 9), torch.nn.ReLU(), torch.nn.Linear(9, 1))
        >>> found = transect.forecast_slice(model, square)
        >>> found.regions.low <= transect.slice(model, square).regions <= found.regions.high
        True
    """
    check_whole(0, seed=seed)
    network = as_sliceable(network, plane, None)
    budget = numbers_alive(budget, network)
    chosen = output_indices(outputs, network)
    width = network.outputs if chosen is None else len(chosen)
    with torch.no_grad(), full_precision():
        density = _density(network, plane, _CHORDS, budget, seed)
        borders = density.times(math.pi / 2 * plane.area)
        regions, seconds = _timed(network, plane, _regions(plane, density), chosen, budget)
    return SliceForecast(
        area=plane.area,
        regions=regions,
        border_length=borders,
        seconds=seconds,
        bytes_all=regions.times(_bytes_of_a_region(width)),
        bytes_measures=peak_bytes(budget, network.dtype, network.program.row_elements) + constant_bytes(network),
    )


def refuse_what_will_not_fit(network: Network, plane: Plane, outputs: int, budget: int, most_bytes: int) -> None:
    """Look ahead, by a few chords, whether all of a slice can be held.

    Raises:
        TraceTooLarge: It cannot, even by the low end of the forecast.
    """
    regions = _regions(plane, _density(network, plane, _FEW_CHORDS, budget, seed=0))
    held = regions.times(_bytes_of_a_region(outputs) / _MEBIBYTE)
    if held.low * _MEBIBYTE > most_bytes:
        raise TraceTooLarge(
            f'keep="all" would hold more than {size_in_memory(most_bytes)} of vertices, polygons and edges: about '
            f"{counted(held)} MiB of about {counted(regions)} regions, by what {_FEW_CHORDS} chords cross. Use "
            'keep="measures" (exact, in bounded memory), a window of the plane, some outputs=[...], or raise max_bytes.'
        )


def _bytes_of_a_region(outputs: int) -> int:
    """What is held of each, with one vertex a region, as in an arrangement of lines."""
    return bytes_of(1, _CORNERS_A_REGION, outputs, 1)


def _density(network: Network, plane: Plane, count: int, budget: int, seed: int) -> Guess:
    """Crossings per length of random chords: a ratio of two means, with its t interval."""
    traces = trace(network, plane.random_chords(count, seed), keep="measures", outputs=[0], verify=False, budget=budget)
    crossings = torch.cat([found.crossings for found in traces]).double()
    lengths = torch.cat([found.length for found in traces])
    total = float(lengths.sum())
    value = float(crossings.sum()) / total
    spread = float((crossings - value * lengths).std()) * count**0.5
    half = student(count) * max(spread, float(crossings.sum()) ** 0.5) / total  # no less than that of a random number
    return Guess(value, max(0.0, value - half), max(value + half, _RARE / total))


def _regions(plane: Plane, density: Guess) -> Guess:
    value, low, high = (
        1 + rho * plane.perimeter / 2 + math.pi / 4 * rho * rho * plane.area
        for rho in (density.value, density.low, density.high)
    )
    return Guess(value, max(1.0, low / _SURE), high * _SURE)


@dataclass(frozen=True)
class _Timed:
    """A window sliced against the clock."""

    regions: int
    seconds: float


def _timed(network: Network, plane: Plane, regions: Guess, chosen: Tensor | None, budget: int) -> tuple[Guess, Guess]:
    """Regions and seconds of a slice: windows in the middle are sliced, each larger than the one before, until that
    takes long enough or is all there is."""
    part = min(1.0, _FIRST_REGIONS / regions.value)
    last = _window(network, plane, part, chosen, budget)
    if last.seconds < _ENOUGH_FOR_THE_FIRST:  # of a process, which is slower than those after it
        last = _window(network, plane, part, chosen, budget)
    slope = last.seconds / last.regions
    while part < 1 and last.seconds < _BESIDE * _ENOUGH_SECONDS:
        part = 1.0 if _GROWTH * part > _WHOLE else _GROWTH * part
        before, last = last, _window(network, plane, part, chosen, budget)
        if last.regions >= 2 * before.regions:  # what a further region takes, without what is done once
            slope = max(0.0, last.seconds - before.seconds) / (last.regions - before.regions)
    if part == 1:
        return Guess(*[float(last.regions)] * 3), Guess(*[last.seconds] * 3).times(1.0, CLOCK)
    mean = last.seconds / last.regions
    further = Guess(min(slope, mean), min(slope, mean) / CLOCK, mean * CLOCK)
    value, low, high = (
        last.seconds + max(0.0, number - last.regions) * each
        for number, each in (
            (regions.value, further.value),
            (regions.low, further.low),
            (regions.high, further.high),
        )
    )
    return regions, Guess(value, low / CLOCK, high)


def _window(network: Network, plane: Plane, part: float, chosen: Tensor | None, budget: int) -> _Timed:
    """Slice a part of the domain around its middle, without keeping anything."""
    began = time.perf_counter()
    if part < 1:
        middle, reach = plane.corners.mean(0), (plane.corners.amax(0) - plane.corners.amin(0)) * part**0.5 / 2
        plane = plane.window(middle - reach, middle + reach)
    frame = Frame.of(plane)
    engine = engine_over(network, frame, *rounding_over(network, frame), budget)
    regions = sum(map(len, patches_of(engine, frame, chosen)))
    return _Timed(regions, _BESIDE * (time.perf_counter() - began))
