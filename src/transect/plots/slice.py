"""What a slice looks like: the polygons a network cuts a plane into, coloured by what one wants to know of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from transect.plots.slice_colours import Colour
from transect.plots.slice_inputs import draw_thumbnails, mark_samples
from transect.plots.slice_legend import legend_above
from transect.plots.slice_lines import draw_borders, draw_boundary, draw_outline
from transect.plots.slice_regions import fill_regions
from transect.plots.slice_view import NUMBERS, RESOLUTION, SIDE, Asked, Lines, View, Window
from transect.plots.style import caption, house_style
from transect.support.types import TensorLike

if TYPE_CHECKING:
    from transect.slicing.result import Slice


def plot_slice(
    slice: Slice,
    *,
    colour: Colour = "region",
    output: int | None = None,
    borders: Lines | None = None,
    boundary: bool = True,
    window: Window | None = None,
    images: bool | TensorLike | None = None,
    samples: TensorLike | None = None,
    labels: TensorLike | None = None,
    limits: tuple[float, float] | None = None,
    title: str | None = None,
    resolution: int = RESOLUTION,
) -> Figure:
    """Draw a slice: the regions in its domain, the borders between them, and the decision boundary.

    Up to 5,000 polygons and 20,000 borders are drawn as such, which an SVG keeps; more of them as pixels: every one has
    the colour of the polygon that covers its centre, and borders get fainter where they are too many to be told apart.
    Axes are coordinates of the plane, in true proportion (unless the picture would be six times as long as wide).

    Args:
        slice: A slice with ``keep="all"``.
        colour: What the colour of a region says.

            - ``"region"``: only that it differs from its neighbours. It follows from the units that bend around it, so
              that it is the same on every machine, and often at the next checkpoint.
            - ``"slope"``: Frobenius norm of the slope in the plane; logarithmic where it spans two decades.
            - ``"output"``: the value of one output, which changes within regions; always pixels.
            - ``"class"``: which output is the largest, or, of a single one, its sign; cut exactly along the boundary.
            - ``"operation"``: which operation bends along the longest part of its border.
            - ``"area"``: its size, in units of the input; logarithmic likewise.
        output: Index of the output that ``colour="output"`` shows, one of those kept; the first of them where None.
        borders: ``"depth"`` draws borders in the colour of the first operation that bends there, ``"plain"`` in grey,
            None not at all.
        boundary: Draw the decision boundary.
        window: Two opposite corners, ``(low, high)`` in plane coordinates: only what lies between them is drawn.
        images: True draws the inputs that span the plane (``plane.anchors``) as thumbnails beside their places; or give
            the pictures of them to draw, one for each: ``(M, H, W)``, ``(M, 1, H, W)``, ``(M, 3, H, W)``. What is not
            between 0 and 1 is stretched to that, all of them together.
        samples: Inputs to mark at their nearest points of the plane, ``(N, *input_shape)``; the farther away from it
            the fainter.
        labels: Their classes, ``(N,)``: outputs by their indices in the model; of a single output 0 and 1.
        limits: Ends of the scale of colours, for pictures to be compared; found in what is drawn where None.
        title: What to write on top; how many regions are drawn where None.
        resolution: Pixels along the longer side of the picture, where pixels are drawn.

    Returns:
        The figure, which :func:`render` turns into a file.

    Raises:
        InvalidInput: The slice kept its measures only, or an argument is not one of those above.
    """
    asked = Asked(colour, output, borders, boundary, window, images, samples, labels, limits, title, resolution)
    return draw(View(slice, asked))


def draw(view: View, like: Figure | None = None) -> Figure:
    """Draw it; with the size and the places of another figure where one is given, so that one can follow the other."""
    asked = view.asked
    with house_style():
        layout = ConstrainedLayoutEngine(compress=True, w_pad=0.1, h_pad=0.07)
        figure = Figure(figsize=_size(view), layout=layout)
        axes = figure.subplots()
        _frame(axes, view)
        groups = [fill_regions(figure, axes, view), draw_borders(axes, view), draw_boundary(axes, view)]
        draw_outline(axes, view)
        samples, note = mark_samples(axes, view)
        draw_thumbnails(axes, view)
        heading = _title(view) if asked.title is None else asked.title
        figure.suptitle(heading, x=0.02, ha="left", fontweight="bold", parse_math=False)
        legend_above(axes, [*groups, samples], 72 * SIDE)
        if note:
            caption(figure, note)
        if like is not None:
            figure.set_layout_engine("none")
            figure.set_size_inches(like.get_figwidth(), like.get_figheight())
            for mine, its in zip(figure.axes, like.axes, strict=False):
                mine.set_position(its.get_position())
    return figure


def _size(view: View) -> tuple[float, float]:
    sides = (view.high - view.low) * [1.0, view.aspect]
    width, height = SIDE * sides / sides.max()
    bar = 1.0 if view.asked.colour in NUMBERS else 0.0
    return max(float(width), 3.6) + 0.8 + bar, float(height) + 1.2


def _frame(axes: Axes, view: View) -> None:
    (left, bottom), (right, top) = view.low, view.high
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
    axes.set_aspect(view.aspect)
    for name, spine in axes.spines.items():
        spine.set_visible(view.zoomed or name in ("left", "bottom"))
    plane = view.slice.plane
    along = _axes_of_input(plane)
    axes.set_xlabel(along[0])
    axes.set_ylabel(along[1])


def _axes_of_input(plane: Any) -> tuple[str, str]:
    u, v = plane.u.flatten(), plane.v.flatten()
    if len(u) == 2 and u.tolist() == [1.0, 0.0] and v.tolist() == [0.0, 1.0] and not plane.origin.any():
        return "first input", "second input"
    lengths = plane.metric.diagonal().sqrt()
    unit = [" (input units)" if abs(float(length) - 1) < 1e-9 else "" for length in lengths]
    return f"along u{unit[0]}", f"along v{unit[1]}"


def _title(view: View) -> str:
    total, drawn = len(view.cells), len(view.chosen)
    regions = f"linear region{'' if total == 1 else 's'}"
    return f"{total:,} {regions}" if drawn == total else f"{drawn:,} of {total:,} {regions}"
