"""What of a slice a figure shows: the arguments, checked, and what follows from them: polygons, pixels, numbers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import numpy as np

from transect.errors import InvalidInput, check_one_of
from transect.plots.raster import NOTHING, Cells, Floats, Grid, Ints, covering
from transect.plots.slice_colours import Colour, Outputs, Scale, limits_of, scale_of
from transect.support.types import TensorLike

if TYPE_CHECKING:
    from transect.slicing.result import Slice

Corner: TypeAlias = tuple[float, float]
Window: TypeAlias = tuple[Corner, Corner]
Lines: TypeAlias = Literal["depth", "plain"]

VECTOR_POLYGONS = 5_000  # drawn as such at most; more are pixels
RESOLUTION = 1600
NUMBERS = ("slope", "output", "area")  # what has a scale
SIDE = 5.6  # inches, the longer one of the picture
_MOST_UNEVEN = 6.0  # sides of a picture to one another; one that were longer is drawn out of proportion


@dataclass(frozen=True)
class Asked:
    """The arguments of :func:`plot_slice`."""

    colour: Colour
    output: int | None
    borders: Lines | None
    boundary: bool
    window: Window | None
    images: bool | TensorLike | None
    samples: TensorLike | None
    labels: TensorLike | None
    limits: tuple[float, float] | None
    title: str | None
    resolution: int

    def __post_init__(self) -> None:
        check_one_of("colour", self.colour, get_args(Colour))
        check_one_of("borders", self.borders, (*get_args(Lines), None))
        if not isinstance(self.resolution, int) or not 16 <= self.resolution <= 16_384:
            raise InvalidInput(f"resolution: expected a number of pixels from 16 to 16,384, got {self.resolution!r}.")
        if self.limits is not None and not _ordered(self.limits):
            raise InvalidInput(f"limits: expected two numbers, the lower one first, got {self.limits!r}.")
        if self.labels is not None and self.samples is None:
            raise InvalidInput("labels: expected samples that they belong to, got none; give samples as well.")


class View:
    """What of a slice is drawn, and the numbers that its colours say.

    Args:
        slice: The slice.
        asked: What to draw of it.
        film: It is one of several that follow one another: what is around the picture stays the same.
    """

    def __init__(self, slice: Slice, asked: Asked, film: bool = False) -> None:
        self.slice, self.asked, self.film = slice, asked, film
        polygons, domain = slice.polygons, slice.plane.corners.numpy()
        self.cells = Cells(polygons.xy.numpy(), polygons.start.numpy(), polygons.corner.numpy())
        self.outputs = Outputs(self.cells, polygons.outputs.numpy())
        self.low, self.high = domain.min(0), domain.max(0)
        self.chosen: Ints = np.arange(len(self.cells))
        if asked.window is not None:
            self.low, self.high = _rectangle(asked.window)
            self.chosen = self.cells.meeting(self.low, self.high)
            if len(self.chosen) == 0:
                raise InvalidInput(
                    f"window: expected a rectangle that meets the domain, which lies between "
                    f"{tuple(domain.min(0).tolist())} and {tuple(domain.max(0).tolist())}, got {asked.window}."
                )
        self.column = self._column()

    @cached_property
    def drawn(self) -> Cells:
        """The polygons that are drawn."""
        return self.cells if len(self.chosen) == len(self.cells) else self.cells.only(self.chosen)

    @cached_property
    def grid(self) -> Grid:
        """The pixels."""
        sides = (self.high - self.low) * [1.0, self.aspect]
        columns, rows = np.maximum(np.rint(self.asked.resolution * sides / sides.max()), 1).astype(int)
        return Grid(self.low, self.high, (int(rows), int(columns)))

    @cached_property
    def covered(self) -> Ints:
        """The polygon that covers every pixel, or :data:`NOTHING`, flat."""
        raster = covering(self.drawn, self.grid).ravel()
        return raster if self.drawn is self.cells else np.where(raster == NOTHING, NOTHING, self.chosen[raster])

    @property
    def aspect(self) -> float:
        """How many times as long as a unit along the first axis one along the second is drawn."""
        metric = self.slice.plane.metric.numpy()
        true = float(np.sqrt(metric[1, 1] / metric[0, 0]))
        shape = true * float((self.high - self.low)[1] / (self.high - self.low)[0])
        return true / shape * float(np.clip(shape, 1 / _MOST_UNEVEN, _MOST_UNEVEN))

    @property
    def zoomed(self) -> bool:
        """Whether a window is drawn, and not all there is."""
        return self.asked.window is not None

    @property
    def vector(self) -> bool:
        """Whether polygons are drawn, rather than pixels."""
        return self.asked.colour != "output" and len(self.chosen) <= VECTOR_POLYGONS

    @cached_property
    def numbers(self) -> Floats:
        """What is shown as a colour on a scale: of every polygon, or, of an output, at all corners."""
        polygons = self.slice.polygons
        if self.asked.colour == "output":
            return np.asarray(polygons.outputs.numpy()[self.drawn.corner, self.column])
        return np.asarray((polygons.slope_norm if self.asked.colour == "slope" else polygons.area).numpy())

    @property
    def limits(self) -> tuple[float, float]:
        """What the scale would be limited to."""
        return limits_of(self.asked.colour, *self._weighted)

    @cached_property
    def scale(self) -> Scale:
        """The scale of colours."""
        return scale_of(self.asked.colour, *self._weighted, self.asked.limits, len(self.slice.outputs) == 1)

    @property
    def _weighted(self) -> tuple[Floats, Floats]:
        if self.asked.colour == "output":
            return self.numbers, np.ones(len(self.numbers))
        area = self.slice.polygons.area.numpy()[self.chosen]
        return self.numbers[self.chosen], area

    def _column(self) -> int:
        kept, asked = self.slice.outputs, self.asked.output
        if asked is None:
            return 0
        if asked not in kept:
            raise InvalidInput(f"output: expected one of those the slice kept, {kept}, got {asked!r}.")
        return kept.index(asked)

    def present(self, numbers: Ints, count: int) -> list[int]:
        """What the legend names of ``count`` things: those drawn, -1 for none of them; of a film all of them."""
        if self.film:
            return list(range(count))
        return np.flatnonzero(np.bincount(np.ravel(numbers) + 1, minlength=count + 1)[1:]).tolist()


def _ordered(limits: tuple[float, float]) -> bool:
    try:
        low, high = limits
        return bool(np.isfinite([low, high]).all() and low < high)
    except (TypeError, ValueError):
        return False


def _rectangle(window: Window) -> tuple[Floats, Floats]:
    try:
        low, high = np.asarray(window, dtype=np.float64)
        with np.errstate(over="ignore"):  # a side may be longer than a number
            finite = bool(np.isfinite([low, high, high - low]).all())
        fine = low.shape == high.shape == (2,) and finite and bool((low < high).all())
    except (TypeError, ValueError):
        fine = False
    if not fine:
        raise InvalidInput(f"window: expected two corners, (low, high), the lower left one first, got {window!r}.")
    return low, high
