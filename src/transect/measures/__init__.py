"""Measures of a function along paths: the one list of them, and one streaming reducer a file.

Columns of tables, labels of figures and the table of the documentation follow from :data:`MEASURES`. Nothing here needs
torch, so that a table is read, and a figure drawn, without it.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, cast

from transect.errors import InvalidInput, check_one_of

if TYPE_CHECKING:
    from transect.measures.base import Ends, Reducer

_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Measure:
    """A measure of segments: what it is called, what it means, and what works it out.

    Attributes:
        name: Its name in Python, in tables and on the command line: lower case, with underscores.
        label: Its name for people, in figures and tables.
        unit: In units of the outputs and of the input's length.
        per: ``"output"``, values ``(S, C)``, or ``"segment"``, values ``(S,)``.
        definition: What it is, in a line.
        reducer: Makes the :class:`~transect.measures.base.Reducer` that gives it under its name, from what is known of
            the segments; or where that is, ``"package.module:name"``. Several measures may share one. None for what is
            worked out of other measures.
        estimated: Whether samples give it too.
        scales: Whether it is twice as large where the outputs are.
        bounded: Whether tables have the two ends of an interval beside it, ``*_low`` and ``*_high``: of what is never
            negative.
        total: What the segments of a path become in a table: their ``"sum"``, the ``"mean"`` of those with a value, or
            the ``"max"``.
        source: Where it comes from.

    Raises:
        InvalidInput: The name is no such name, or ``per`` or ``total`` is something else.
    """

    name: str
    label: str
    unit: str
    per: Literal["output", "segment"]
    definition: str
    reducer: str | Callable[[Ends], Reducer] | None
    estimated: bool = False
    scales: bool = True
    bounded: bool = True
    total: Literal["sum", "mean", "max"] = "sum"
    source: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InvalidInput(f"measure: expected a name such as 'arc_length', got {self.name!r}.")
        check_one_of("per", self.per, ("output", "segment"))
        check_one_of("total", self.total, ("sum", "mean", "max"))

    @cached_property
    def make(self) -> Callable[[Ends], Reducer] | None:
        """What makes its reducer."""
        if not isinstance(self.reducer, str):
            return self.reducer
        module, _, name = self.reducer.partition(":")
        return cast("Callable[[Ends], Reducer]", getattr(importlib.import_module(module), name))


_PAPER = "Gamba et al. (AISTATS 2022)"
_HERE = "transect.measures."

MEASURES: tuple[Measure, ...] = (
    Measure("absolute_deviation", "absolute deviation", "output x length", "output",
            "L times the integral of |f - a|, a affine through the two ends",
            _HERE + "absolute_deviation:AbsoluteDeviation", estimated=True, source=_PAPER),
    Measure("mean_deviation", "mean absolute deviation", "output", "output", "absolute deviation per unit of length",
            None, estimated=True),
    Measure("normalised_deviation", "normalised deviation", "1", "output",
            "mean deviation over the standard deviation of the output on a data set", None, estimated=True,
            scales=False),
    Measure("centred_deviation", "centred deviation", "output x length", "output",
            "absolute deviation of the outputs less their mean over the outputs: what a softmax can see",
            _HERE + "centred_deviation:CentredDeviation", estimated=True),
    Measure("deviation_norm", "deviation norm", "output x length", "segment",
            "L times the integral of the l2 norm of f - a over the outputs",
            _HERE + "deviation_norm:DeviationNorm", estimated=True),
    Measure("total_variation", "total variation", "output", "output",
            "sum over the regions of the absolute change of the output", _HERE + "variation:Variation",
            estimated=True, source=_PAPER),
    Measure("excess_variation", "excess variation", "output", "output",
            "total variation beyond that of an affine function with the same ends", _HERE + "variation:Variation",
            estimated=True),
    Measure("arc_length", "arc length", "output", "segment", "length of the curve that the outputs describe",
            _HERE + "arc_length:ArcLength", estimated=True, source="Raghu et al. (2017)"),
    Measure("flips", "flips", "1", "segment", "changes of single units, at least the crossings", None, estimated=True,
            scales=False),
    Measure("crossings", "crossings", "1", "segment", "distinct interior knots at which the activation pattern changes",
            _HERE + "crossings:CrossingCount", scales=False, bounded=False, source=_PAPER),
    Measure("density", "density", "1 / length", "segment", "crossings per unit of input length", None, scales=False,
            bounded=False, source=_PAPER),
    Measure("linear_crossings", "linear crossings", "1", "segment",
            "knots at which the slope of some output changes by more than rounding explains",
            _HERE + "linear_crossings:LinearCrossings", scales=False, bounded=False),
    Measure("slope_similarity", "slope similarity", "1", "segment",
            "mean cosine between the directional derivatives of neighbouring regions",
            _HERE + "slope_similarity:SlopeSimilarity", scales=False, bounded=False, total="mean", source=_PAPER),
)  # fmt: skip
"""Every measure, in the order of tables."""

BY_NAME = MappingProxyType({measure.name: measure for measure in MEASURES})
