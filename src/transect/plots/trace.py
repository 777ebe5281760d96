"""What a trace looks like: outputs along the path, their affine interpolations, and where the regions end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from transect.errors import InvalidInput
from transect.plots.style import CYCLE, FAINT, INK, QUIET, house_style, legend_above

if TYPE_CHECKING:
    from transect.tracing.result import Trace
    from transect.tracing.segment import Segment

_MOST_OUTPUTS = 3  # chosen unasked: more curves with their chords are a tangle
_MOST_BINS = 120


def plot_trace(trace: Trace, *, outputs: Sequence[int] | None = None, title: str | None = None) -> Figure:
    """Draw a trace along its path.

    Above, outputs (solid) with, on each segment, the affine function through its two ends (dashed); the shaded area
    between the two is the absolute deviation. Below, a tick for each crossing, under their local density. Grey lines
    are the anchors.

    Args:
        trace: A trace with ``keep="all"``.
        outputs: Indices of the outputs to draw, of those traced; by default the three with the largest absolute
            deviation.
        title: What to write on top; made from the trace where None.

    Returns:
        The figure.

    Raises:
        InvalidInput: If the trace kept its measures only, or an output was not traced.
    """
    columns = _columns(trace, outputs)
    borders = np.concatenate([[0.0], np.cumsum(_array(trace.length))])
    with house_style():
        figure = Figure(figsize=(7.2, 5.0), layout="constrained")
        heading = _title(trace) if title is None else title
        figure.suptitle(heading, x=0.02, ha="left", fontweight="bold", parse_math=False)
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3.0, 1.2))
        _draw_outputs(above, trace, columns, borders)
        _draw_crossings(below, trace, borders)
        for axes in (above, below):
            axes.vlines(borders, 0, 1, transform=axes.get_xaxis_transform(), color=FAINT, linewidth=0.8, zorder=0)
            axes.set_xlim(borders[0], borders[-1])
    return figure


def crossing_positions(segment: Segment) -> NDArray[np.float64]:
    """Knots inside a segment at which the activation pattern changes, ``(crossings,)``, in [0, 1]."""
    return _array(segment.t)[np.unique(_array(segment.flips.knot))]


def _draw_outputs(axes: Axes, trace: Trace, columns: Sequence[int], borders: NDArray[np.float64]) -> None:
    for place, column in enumerate(columns):
        color, label = CYCLE[place % len(CYCLE)], f"output {trace.outputs[column]}"
        for index, (x, y) in enumerate(_polylines(trace, column, borders)):
            chord = np.interp(x, x[[0, -1]], y[[0, -1]])
            axes.fill_between(x, y, chord, color=color, alpha=0.12, linewidth=0)
            axes.plot(x[[0, -1]], y[[0, -1]], color=color, linewidth=1.1, linestyle="--", dash_capstyle="butt")
            axes.plot(x, y, color=color, linewidth=1.5, label=label if index == 0 else None)
    axes.plot([], [], color=QUIET, linewidth=1.1, linestyle="--", label="affine interpolation")
    axes.set_ylabel("output")
    legend_above(axes)


def _polylines(
    trace: Trace, column: int, borders: NDArray[np.float64]
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    for segment, begin, end in zip(trace.segments, borders[:-1], borders[1:], strict=True):
        yield begin + (end - begin) * _array(segment.t), _array(segment.outputs[:, column])


def _draw_crossings(axes: Axes, trace: Trace, borders: NDArray[np.float64]) -> None:
    found = np.concatenate(
        [
            begin + (end - begin) * crossing_positions(segment)
            for segment, begin, end in zip(trace.segments, borders[:-1], borders[1:], strict=True)
        ]
    )
    bins = int(np.clip(2 * np.sqrt(len(found)), 1, _MOST_BINS))
    edges = np.linspace(borders[0], borders[-1], bins + 1)
    density = np.histogram(found, edges)[0] / np.diff(edges)
    axes.stairs(density, edges, color=INK, linewidth=1.0, fill=True, alpha=0.25)
    # Ticks below the axis' zero; as an image inside an SVG, since there can be a hundred thousand of them.
    opacity = float(np.clip(400 / max(len(found), 1), 0.08, 0.9))
    depth = -0.25 * max(float(density.max()), 1e-300)
    axes.vlines(found, depth, 0, color=INK, linewidth=0.6, alpha=opacity, rasterized=True)
    axes.set_ylim(bottom=depth)
    axes.set_yticks([tick for tick in axes.get_yticks() if 0 <= tick <= axes.get_ylim()[1]])
    axes.set_ylabel("crossings per\nunit of length")
    axes.set_xlabel("distance along the path (input units)")


def _columns(trace: Trace, outputs: Sequence[int] | None) -> list[int]:
    if outputs is None:
        deviation = _array(trace.reduced["absolute_deviation"].value).sum(axis=0)  # unwarned: only to choose by
        return sorted(np.argsort(-deviation, kind="stable")[:_MOST_OUTPUTS].tolist())
    if unknown := [output for output in outputs if output not in trace.outputs]:
        raise InvalidInput(f"outputs: expected indices among those traced, {trace.outputs}; got {unknown}.")
    if not outputs:
        raise InvalidInput(f"outputs: expected at least one of {trace.outputs}, got none.")
    return [trace.outputs.index(output) for output in outputs]


def _title(trace: Trace) -> str:
    segments, regions = len(trace.length), int(trace.regions.sum())
    return f"{regions:,} linear region{_s(regions)} on {segments} segment{_s(segments)}"


def _s(count: int) -> str:
    return "" if count == 1 else "s"


def _array(values: object) -> NDArray[np.float64]:
    return np.asarray(values)
