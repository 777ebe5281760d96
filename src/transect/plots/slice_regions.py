"""The regions of a slice, filled with colours: as polygons where there are few, else as pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgba_array
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from scipy.ndimage import distance_transform_edt

from transect.plots.raster import NOTHING, Floats, Ints
from transect.plots.slice_colours import (
    REGIONS,
    Outputs,
    Scale,
    bounding_operations,
    class_colour,
    classes_of,
    darker,
    lighter,
    operation_colours,
    region_colours,
)
from transect.plots.slice_inputs import ROOM_OF_A_THUMBNAIL
from transect.plots.slice_legend import Keys, block
from transect.plots.slice_view import NUMBERS, SIDE, View

if TYPE_CHECKING:
    from transect.slicing.result import Slice

_COARSE = 300  # pixels of the raster in which there is room for names is looked for
_ROOM = 13.0  # points around the middle of a name
_OTHER = "#EFEFEF"  # what has no colour of its own
_TOGETHER = 1 << 19  # pixels whose outputs are worked out together, where there is one


def fill_regions(figure: Figure, axes: Axes, view: View) -> Keys:
    """Fill the regions; what the legend says of it."""
    kind, slice = view.asked.colour, view.slice
    if kind in NUMBERS:
        _bar(figure, axes, view)
        if kind == "output":
            show(axes, view, _colours_of_outputs(view))
        else:
            _paint(axes, view, view.scale.colours(view.scale.norm(_within(view.numbers, view.scale))))
        return Keys()
    if kind == "region":
        palette = to_rgba_array([lighter(colour, _strength(view)) for colour in REGIONS])
        _paint(axes, view, palette[region_colours(slice)])
        return Keys()
    if kind == "operation":
        colours = [lighter(colour, 0.45) for colour in operation_colours(len(slice.operations))]
        numbers = bounding_operations(slice)
        _paint(axes, view, to_rgba_array([*colours, _OTHER])[numbers])
        present = view.present(numbers[view.chosen], len(slice.operations))
        return Keys("longest border: bends in", [(block(colours[one]), slice.operations[one]) for one in present])
    return _classes(axes, view)


def _strength(view: View) -> float:
    """How strong the colours of regions are: the more the smaller they are; faint behind lines that tell them apart."""
    if view.asked.borders is not None:
        return 0.2
    return float(np.clip(0.5 + 0.1 * np.log10(len(view.cells) / 1000), 0.45, 0.75))


def _paint(axes: Axes, view: View, colours: Floats) -> None:
    """Fill every region with its colour, ``(F, 4)``."""
    if view.vector:
        corners = np.split(view.drawn.xy[view.drawn.corner], view.drawn.start[1:-1])
        _polygons(axes, corners, colours[view.chosen])
    else:
        show(axes, view, np.concatenate([colours, np.zeros((1, 4))])[view.covered])


def _polygons(axes: Axes, corners: Sequence[Floats], colours: Floats) -> None:
    # Lines of the same colour around them: else what is behind shines through where two meet.
    axes.add_collection(PolyCollection(list(corners), facecolors=colours, edgecolors=colours, linewidths=0.4))


class _Pixels(AxesImage):
    """An image that is smoothed on the screen and whole in a file of vectors."""

    def draw(self, renderer: Any) -> None:
        self.set_interpolation("none" if renderer.option_scale_image() else "antialiased")
        super().draw(renderer)


def show(axes: Axes, view: View, colours: Floats) -> None:
    """Draw pixels, ``(rows * columns, 4)``."""
    raster = np.rint(255 * np.clip(colours, 0, 1)).astype(np.uint8)
    image = _Pixels(axes, extent=view.grid.extent, origin="lower", interpolation_stage="rgba")
    image.set_data(raster.reshape(*view.grid.shape, -1))
    image.set_clip_path(axes.patch)
    axes.add_image(image)


def _colours_of_outputs(view: View) -> Floats:
    found = np.zeros((len(view.covered), 4))
    some = np.flatnonzero(view.covered != NOTHING)
    values = np.empty(len(some))
    one = Outputs(view.cells, view.slice.polygons.outputs.numpy()[:, view.column : view.column + 1])
    for first, place in _portions(some, 1):
        values[first : first + len(place)] = one.at(view.covered[place], view.grid.centres(place))[:, 0]
    found[some] = view.scale.colours(view.scale.norm(_within(values, view.scale)))
    return found


def _within(values: Floats, scale: Scale) -> Floats:
    return np.clip(values, scale.norm.vmin, scale.norm.vmax)


def _bar(figure: Figure, axes: Axes, view: View) -> None:
    label = {
        "slope": "norm of the slope (output per unit of the input)",
        "area": "area of the region (squared units of the input)",
        "output": f"output {view.slice.outputs[view.column]}",
    }[view.asked.colour]
    shown = ScalarMappable(view.scale.norm, view.scale.colours)
    beyond = view.scale.beyond
    if view.film:  # the frames before and after have the same bar
        beyond = "neither" if view.asked.colour == "output" else "both"
    bar = figure.colorbar(shown, ax=axes, extend=beyond, aspect=32, pad=0.025, extendfrac=0.03)
    bar.outline.set_visible(False)
    bar.set_label(label)


def _classes(axes: Axes, view: View) -> Keys:
    of_polygon, mixed = view.outputs.classes()
    names = _class_names(view.slice)
    if view.vector:
        chosen = np.isin(view.chosen, mixed)
        whole, cut = view.chosen[~chosen], view.chosen[chosen]
        corners = [view.cells.xy[view.cells.corner[view.cells.start[k] : view.cells.start[k + 1]]] for k in whole]
        numbers = of_polygon[whole].tolist()
        for polygon in cut.tolist():
            for number, part in view.outputs.cut(polygon):
                corners.append(part)
                numbers.append(number)
        _polygons(axes, corners, to_rgba_array([_class_colour(view.slice, number) for number in numbers]))
    raster = _class_raster(view, of_polygon, mixed)
    palette = to_rgba_array([_class_colour(view.slice, number) for number in range(len(names))])
    if not view.vector:
        show(axes, view, np.concatenate([palette, np.zeros((1, 4))])[raster])
    present = view.present(raster, len(names))
    if len(view.slice.outputs) > 1:
        for number in present:
            _name_class(axes, view, raster.reshape(view.grid.shape) == number, number)
    return Keys(
        "largest output" if len(view.slice.outputs) > 1 else "", [(block(palette[k]), names[k]) for k in present]
    )


def _name_class(axes: Axes, view: View, mine: Any, number: int) -> None:
    """Write a class where it has the most room, if it has enough: in the middle of the largest disc it contains."""
    step = max(1, max(mine.shape) // _COARSE)
    mine = np.pad(mine[::step, ::step], 1)
    if view.asked.images is not None:
        rows, columns = np.indices(mine.shape)
        for column, row in (view.grid.pixels_of(view.slice.plane.anchors.numpy()) / step + 1).tolist():
            mine &= np.hypot(rows - row, columns - column) > ROOM_OF_A_THUMBNAIL / (SIDE * 72) * max(mine.shape)
    depth = distance_transform_edt(mine)
    row, column = np.unravel_index(depth.argmax(), depth.shape)
    if depth[row, column] * SIDE * 72 / max(mine.shape) < _ROOM:
        return
    place = view.grid.centres(np.array([(row - 1) * step * view.grid.shape[1] + (column - 1) * step]))[0]
    name, colour = _class_names(view.slice)[number], darker(class_colour(view.slice.outputs[number]))
    said = axes.text(
        place[0], place[1], name, color=colour, fontsize=17, fontweight="bold", ha="center", va="center", zorder=4.5
    )
    said.set_path_effects([patheffects.withStroke(linewidth=3, foreground=_class_colour(view.slice, number))])


def _class_raster(view: View, of_polygon: Ints, mixed: Ints) -> Ints:
    """The class at every pixel's centre, flat."""
    covered = view.covered
    raster = np.where(covered == NOTHING, NOTHING, of_polygon[covered])
    is_mixed = np.zeros(len(view.cells), bool)
    is_mixed[mixed] = True
    some = np.flatnonzero((covered != NOTHING) & is_mixed[covered])
    for _, place in _portions(some, len(view.slice.outputs)):
        raster[place] = classes_of(view.outputs.at(covered[place], view.grid.centres(place)))
    return raster


def _class_names(slice: Slice) -> list[str]:
    """What the classes are called."""
    if len(slice.outputs) == 1:
        return [f"output {slice.outputs[0]} ≤ 0", f"output {slice.outputs[0]} > 0"]
    return [str(number) for number in slice.outputs]


def _class_colour(slice: Slice, position: int) -> str:
    return lighter(class_colour(position if len(slice.outputs) == 1 else slice.outputs[position]), 0.6)


def _portions(places: Ints, outputs: int) -> Iterator[tuple[int, Ints]]:
    """Runs of places for which the outputs are held together, and where each run begins."""
    size = max(1, 8 * _TOGETHER // (7 + outputs))
    for first in range(0, len(places), size):
        yield first, places[first : first + size]
