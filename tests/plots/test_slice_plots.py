"""Pictures of slices, against what a pixel, a loop over polygons or the network itself says."""

from __future__ import annotations

import dataclasses
import os
import shutil
import sys
from functools import cache

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.offsetbox import AnnotationBbox
from matplotlib.text import Text
from PIL import Image

import transect
from support.slices import shaken_grid
from transect.errors import InvalidInput
from transect.plots import film_slices, plot_slice, render
from transect.plots.raster import NOTHING, Cells, Grid, along_lines, covering
from transect.plots.slice_colours import REGIONS, Outputs, bounding_operations, class_colour, lighter, region_colours

SQUARE = [(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)]


def module(outputs: int = 3, seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    model = torch.nn.Sequential(
        torch.nn.Linear(2, 12), torch.nn.ReLU(), torch.nn.Linear(12, 8), torch.nn.ReLU(), torch.nn.Linear(8, outputs)
    ).double()
    with torch.no_grad():  # every output is the largest somewhere
        model[-1].bias -= model(2 * torch.rand(1000, 2, dtype=torch.float64) - 1).mean(0)
    return model


def plane(corners=SQUARE) -> transect.Plane:
    return transect.Plane([0.0, 0.0], [1.0, 0.0], [0.0, 1.0], corners)


@cache
def sliced(outputs: int = 3):
    network = transect.capture(module(outputs), torch.zeros(1, 2, dtype=torch.float64))
    return network, transect.slice(network, plane())


@cache
def pictures():
    """A slice through three images."""
    torch.manual_seed(3)
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 3, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(12, 2))
    inputs = torch.rand(3, 1, 4, 4)
    return inputs, transect.slice(model, transect.Plane.through(*inputs, margin=0.1))


def cells_of(found) -> Cells:
    polygons = found.polygons
    return Cells(polygons.xy.numpy(), polygons.start.numpy(), polygons.corner.numpy())


def raster_of(figure) -> np.ndarray:
    (image,) = figure.axes[0].images
    return np.asarray(image.get_array())[..., :3]


def bytes_of(colour) -> list[int]:
    return np.rint(255 * np.array(to_rgb(colour))).astype(int).tolist()


def polygons_of(figure) -> PolyCollection:
    (found,) = (part for part in figure.axes[0].collections if isinstance(part, PolyCollection))
    return found


def shoelace(corners: np.ndarray) -> float:
    x, y = corners.T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


# ----------------------------------------------------------------------------------------------------------- pixels


@pytest.mark.parametrize("window", [((0.0, 0.0), (1.0, 1.0)), ((-0.2, 0.3), (0.4, 0.7)), ((0.4, 0.9), (0.5, 1.3))])
def test_every_pixel_belongs_to_the_polygon_around_its_centre(window):
    cells = cells_of(shaken_grid(12, seed=1))
    grid = Grid(*np.array(window), (61, 83))
    raster = covering(cells, grid)
    quads = cells.xy[cells.corner].reshape(-1, 4, 2)
    sides = np.roll(quads, -1, 1) - quads
    for row in range(0, 61, 3):
        for column in range(0, 83, 3):
            x = grid.low[0] + (column + 0.5) / 83 * (grid.high - grid.low)[0]
            y = grid.low[1] + (row + 0.5) / 61 * (grid.high - grid.low)[1]
            away = [x, y] - quads
            inside = (sides[..., 0] * away[..., 1] - sides[..., 1] * away[..., 0] > 0).all(1)
            assert raster[row, column] == (np.flatnonzero(inside)[0] if inside.any() else NOTHING)


def test_slivers_leave_no_pixel_out_and_take_none_twice():
    _, found = sliced()
    low, high = np.array([-1.0, -1.0]), np.array([1.0, 1.0])
    raster = covering(cells_of(found), Grid(low, high, (400, 300)))
    assert (raster >= 0).all()
    share = np.bincount(raster.ravel(), minlength=found.regions) / raster.size * found.area
    assert np.abs(share - found.polygons.area.numpy()).max() < 0.01


def test_the_region_of_a_pixel_is_that_of_the_networks_pattern_there():
    network, found = sliced()
    grid = Grid(np.array([-1.0, -1.0]), np.array([1.0, 1.0]), (13, 17))
    raster = covering(cells_of(found), grid).ravel()
    for place in range(0, len(raster), 5):
        x = torch.from_numpy(grid.centres(np.array([place])))
        assert network.pattern(plane().at(x)[0]) == found.pattern(network, int(raster[place]))


def test_outputs_between_the_vertices_are_the_networks():
    network, found = sliced()
    grid = Grid(np.array([-1.0, -1.0]), np.array([1.0, 1.0]), (40, 40))
    raster, centres = covering(cells_of(found), grid).ravel(), grid.centres(np.arange(1600))
    values = Outputs(cells_of(found), found.polygons.outputs.numpy()).at(raster, centres)
    assert np.allclose(values, network(torch.from_numpy(centres)).numpy(), atol=1e-9)


def test_lines_leave_their_lengths_in_the_pixels():
    generator = np.random.default_rng(0)
    begin, end = generator.uniform(0.1, 0.9, (2, 50, 2))
    grid = Grid(np.zeros(2), np.ones(2), (40, 40))
    carried = np.stack([np.ones(50), np.arange(50.0)], 1)
    sums = along_lines(begin, end, carried, grid).sum((0, 1)) / 40
    lengths = np.hypot(*(end - begin).T)
    assert sums == pytest.approx([lengths.sum(), (lengths * np.arange(50)).sum()])


def test_a_picture_of_many_polygons_has_the_colour_of_the_one_at_each_pixel():
    found = shaken_grid(80)
    figure = plot_slice(found, resolution=200)
    assert not [part for part in figure.axes[0].collections if isinstance(part, PolyCollection)]
    raster = covering(cells_of(found), Grid(np.zeros(2), np.ones(2), (200, 200)))
    palette = np.array([bytes_of(colour) for colour in REGIONS], dtype=float)
    strength = (255 - raster_of(figure)[0, 0].astype(float)).sum() / (
        255 - palette[region_colours(found)[raster[0, 0]]]
    ).sum()
    expected = 255 - strength * (255 - palette[region_colours(found)[raster]])
    assert np.abs(raster_of(figure) - expected).max() <= 2


# ---------------------------------------------------------------------------------------------------------- colours


def test_neighbours_have_different_colours_which_numbering_does_not_change():
    found = shaken_grid(40, seed=2)
    colours, edges = region_colours(found), found.edges
    inner = edges.right >= 0
    assert (colours[edges.left[inner]] != colours[edges.right[inner]]).all()
    assert np.bincount(colours, minlength=len(REGIONS)).min() > 0

    order = np.random.default_rng(0).permutation(1600)  # the new polygon k is the old order[k]
    number = torch.from_numpy(np.append(np.argsort(order), -1))
    polygons = found.polygons
    corner = polygons.corner.reshape(-1, 4)[order].roll(1, 1).reshape(-1)
    mixed = torch.from_numpy(np.random.default_rng(1).permutation(len(edges)))
    lists = [edges.bending(int(one)) for one in mixed]
    again = dataclasses.replace(
        edges,
        start=edges.end[mixed],
        end=edges.start[mixed],
        left=number[edges.left[mixed]],
        right=number[edges.right[mixed]],
        first=torch.tensor([0, *np.cumsum([len(one) for one in lists])]),
        operation=torch.tensor([operation for one in lists for operation, _ in one]),
        unit=torch.tensor([unit for one in lists for _, unit in one]),
    )
    other = dataclasses.replace(found, kept=(dataclasses.replace(polygons, corner=corner), again))
    assert (region_colours(other) == colours[order]).all()


def test_another_budget_leaves_every_regions_colour():
    network, found = sliced()
    other = transect.slice(network, plane(), budget=2_000)
    both = [
        {
            tuple(np.round(centre, 9)): colour
            for centre, colour in zip(one.polygons.centres.tolist(), region_colours(one))
        }
        for one in (found, other)
    ]
    assert both[0] == both[1]


def test_the_operation_of_a_region_is_the_one_with_the_longest_border():
    _, found = sliced()
    lengths = np.zeros((found.regions, 2))
    xy, edges = found.polygons.xy.numpy(), found.edges
    for place in range(len(edges)):
        if bends := edges.bending(place):
            length = np.hypot(*(xy[edges.end[place]] - xy[edges.start[place]]))
            for side in (int(edges.left[place]), int(edges.right[place])):
                lengths[side, min(operation for operation, _ in bends)] += length
    assert (bounding_operations(found) == lengths.argmax(1)).all()


@pytest.mark.parametrize("outputs", [1, 3])
def test_classes_have_their_areas_exactly_where_polygons_are_drawn(outputs):
    _, found = sliced(outputs)
    figure = plot_slice(found, colour="class")
    parts = polygons_of(figure)
    colours = [bytes_of(lighter(class_colour(number), 0.6)) for number in range(max(2, outputs))]
    areas = np.zeros(len(colours))
    for path, face in zip(parts.get_paths(), parts.get_facecolors(), strict=True):
        areas[colours.index(bytes_of(face))] += shoelace(path.vertices[:-1])
    assert areas == pytest.approx(found.class_areas.numpy(), abs=1e-9)
    assert (areas > 0).sum() >= 2


@pytest.mark.parametrize("outputs", [1, 3])
def test_classes_have_their_areas_and_the_networks_places_in_pixels(outputs, monkeypatch):
    monkeypatch.setattr("transect.plots.slice_view.VECTOR_POLYGONS", 0)
    network, found = sliced(outputs)
    raster = raster_of(plot_slice(found, colour="class", resolution=500))
    centres = torch.from_numpy(Grid(-np.ones(2), np.ones(2), (500, 500)).centres(np.arange(250_000)))
    values = network(centres)
    expected = (values[:, 0] > 0).long() if outputs == 1 else values.argmax(1)
    palette = np.array([bytes_of(lighter(class_colour(number), 0.6)) for number in range(max(2, outputs))])
    assert (raster.reshape(-1, 3) == palette[expected]).all()
    share = [(raster == colour).all(2).mean() * found.area for colour in palette]
    assert share == pytest.approx(found.class_areas.tolist(), abs=0.01)


@pytest.mark.parametrize("colour", ["slope", "area"])
def test_numbers_have_the_colour_that_the_bar_gives_them(colour):
    _, found = sliced()
    numbers = (found.polygons.slope_norm if colour == "slope" else found.polygons.area).numpy()
    limits = tuple(np.quantile(numbers, [0.1, 0.9]).tolist())
    figure = plot_slice(found, colour=colour, limits=limits)
    bar = figure.axes[1]
    assert bar.get_ylim() == pytest.approx(limits)
    order = np.argsort(numbers)
    light = polygons_of(figure).get_facecolors()[order, :3].sum(1)  # one end of the scale is dark, the other light
    steps = np.diff(light) * (-1 if colour == "slope" else 1)
    assert steps.min() > -0.02
    assert np.ptp(light) > 1


def test_a_scale_over_decades_is_logarithmic_and_survives_zeros():
    _, found = sliced()
    slopes = torch.logspace(-3, 3, found.regions, dtype=torch.float64)
    slopes[:5] = 0
    wide = dataclasses.replace(found, kept=(dataclasses.replace(found.polygons, slope_norm=slopes), found.edges))
    assert plot_slice(wide, colour="slope").axes[1].get_yscale() == "log"
    assert plot_slice(found, colour="slope").axes[1].get_yscale() == "linear"
    still = dataclasses.replace(found, kept=(dataclasses.replace(found.polygons, slope_norm=0 * slopes), found.edges))
    render(plot_slice(still, colour="slope"), "png")


def test_an_output_is_painted_by_its_value():
    network, found = sliced()
    raster = raster_of(plot_slice(found, colour="output", output=1, resolution=60)).reshape(-1, 3).astype(float)
    values = network(torch.from_numpy(Grid(-np.ones(2), np.ones(2), (60, 60)).centres(np.arange(3600))))[:, 1].numpy()
    light = raster.sum(1)[np.argsort(values)]
    assert np.diff(light).max() < 6  # darker and darker
    assert light[0] - light[-1] > 200


# ------------------------------------------------------------------------------------------------------------ lines


def test_borders_have_the_colour_of_the_first_operation_that_bends():
    _, found = sliced()
    figure = plot_slice(found, borders="depth", boundary=False)
    lines = {bytes_of_line(part): len(part.get_segments()) for part in figure.axes[0].collections if is_lines(part)}
    firsts = [
        min(operation for operation, _ in found.edges.bending(k))
        for k in range(len(found.edges))
        if found.edges.right[k] >= 0
    ]
    assert sorted(lines.values()) == sorted(np.bincount(firsts).tolist())
    assert len(lines) == 2
    said = words_of(figure)
    assert "border: bends first in" in said
    assert set(found.operations) <= set(said)
    plain = [part for part in plot_slice(found, borders="plain", boundary=False).axes[0].collections if is_lines(part)]
    assert sum(len(part.get_segments()) for part in plain) == found.borders


def is_lines(part) -> bool:
    return isinstance(part, LineCollection)


def bytes_of_line(part) -> tuple[int, ...]:
    return tuple(bytes_of(part.get_colors()[0]))


def words_of(figure) -> list[str]:
    from matplotlib.text import Text

    return [text.get_text() for text in figure.findobj(Text)]


def test_the_boundary_is_drawn_where_two_outputs_are_the_largest():
    network, found = sliced()
    (bold,) = [part for part in plot_slice(found).axes[0].collections if is_lines(part)]
    points = np.concatenate([(line[1:] + line[:-1]) / 2 for line in bold.get_segments()])
    best = network(torch.from_numpy(points)).topk(2, dim=1).values
    assert float((best[:, 0] - best[:, 1]).abs().max()) < 1e-9
    length = sum(np.hypot(*np.diff(line, axis=0).T).sum() for line in bold.get_segments())
    assert length == pytest.approx(found.boundary_length)
    assert not [part for part in plot_slice(found, boundary=False).axes[0].collections if is_lines(part)]


# ----------------------------------------------------------------------------------------------- windows and inputs


@pytest.mark.parametrize("window", [((-0.3, -0.2), (0.1, 0.4)), ((0.5, 0.5), (3.0, 2.0))])
def test_only_polygons_that_meet_the_window_are_drawn(window):
    network, found = sliced()
    # A convex polygon and a window have one region in common: the slice of the window has as many.
    there = transect.slice(network, plane().window(*window)).regions
    figure = plot_slice(found, window=window)
    assert len(polygons_of(figure).get_paths()) == there < found.regions
    assert figure.axes[0].get_xlim() == (window[0][0], window[1][0])
    assert figure.axes[0].get_ylim() == (window[0][1], window[1][1])
    assert f"{there} of {found.regions} linear regions" in words_of(figure)


def test_a_window_leaves_the_colours():
    _, found = sliced()
    whole, part = (polygons_of(plot_slice(found, window=window)) for window in (None, ((-0.3, -0.2), (0.1, 0.4))))
    colours = [
        {path.vertices.tobytes(): face.tobytes() for path, face in zip(one.get_paths(), one.get_facecolors())}
        for one in (whole, part)
    ]
    assert colours[1].items() <= colours[0].items()


def test_every_input_that_spans_the_plane_has_a_thumbnail_at_its_place():
    inputs, found = pictures()
    for images in (True, inputs, inputs[:, 0], inputs.expand(3, 3, 4, 4)):
        boxes = thumbnails(plot_slice(found, images=images))
        assert sorted(box.xy for box in boxes) == sorted(map(tuple, found.plane.anchors.tolist()))
        assert len(boxes) == 3
    assert thumbnails(plot_slice(found)) == []
    shown = np.asarray(thumbnails(plot_slice(found, images=inputs))[0].offsetbox.get_data())
    assert np.allclose(shown, inputs[0, 0].numpy())
    one = found.plane.anchors[0].numpy()
    assert len(thumbnails(plot_slice(found, images=True, window=(tuple(one - 0.1), tuple(one + 0.1))))) == 1


def thumbnails(figure) -> list[AnnotationBbox]:
    return [part for part in figure.axes[0].artists if isinstance(part, AnnotationBbox)]


def test_thumbnails_lie_inside_of_the_axes_and_cover_nobodys_place():
    _, found = pictures()
    figure = plot_slice(found, images=True)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    axes = figure.axes[0]
    frame = axes.get_window_extent()
    boxes = [box.offsetbox.get_window_extent(canvas.get_renderer()) for box in thumbnails(figure)]
    places = axes.transData.transform(found.plane.anchors.numpy())
    for box in boxes:
        assert frame.x0 - 1 <= box.x0
        assert box.x1 <= frame.x1 + 1
        assert frame.y0 - 1 <= box.y0
        assert box.y1 <= frame.y1 + 1
        assert not [place for place in places if box.contains(*place)]


def test_samples_are_dots_at_their_places_in_the_colours_of_their_classes():
    _, found = sliced()
    samples = np.array([[0.5, 0.25], [-0.5, 0.0], [3.0, 3.0]])
    figure = plot_slice(found, samples=samples, labels=[0, 2, 1])
    (dots,) = [part for part in figure.axes[0].collections if type(part).__name__ == "PathCollection"]
    assert dots.get_offsets().tolist() == samples[:2].tolist()  # the third one is outside
    assert len({tuple(colour) for colour in dots.get_facecolors()}) == 2
    assert "samples of class" in words_of(figure)


# ------------------------------------------------------------------------------------------------------------ files


def test_the_same_slice_gives_the_same_bytes_and_leaves_matplotlib_alone():
    _, found = sliced()
    before = dict(matplotlib.rcParams)
    for file_format in ("png", "svg"):
        one, other = (render(plot_slice(found, borders="depth"), file_format) for _ in range(2))
        assert one == other
    assert dict(matplotlib.rcParams) == before
    if "matplotlib.pyplot" in sys.modules:
        assert sys.modules["matplotlib.pyplot"].get_fignums() == []


def test_an_svg_holds_few_polygons_as_such_and_many_as_one_image_of_the_stated_resolution():
    _, found = sliced()
    assert b"<image" not in render(plot_slice(found, borders="plain"), "svg")
    svg = render(plot_slice(shaken_grid(80), resolution=333), "svg")
    assert svg.count(b"<image") == 1
    start = svg.index(b"base64,") + 7
    import base64
    import io

    png = base64.b64decode(svg[start : svg.index(b'"', start)])
    assert Image.open(io.BytesIO(png)).size == (333, 333)


def test_the_method_of_a_slice_draws_the_same():
    _, found = sliced()
    asked = {"colour": "class", "borders": "plain", "window": ((-0.5, -0.5), (0.5, 0.5)), "title": "a"}
    assert render(found.plot(**asked), "svg") == render(plot_slice(found, **asked), "svg")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"colour": "red"}, "colour"),
        ({"borders": "thick"}, "borders"),
        ({"colour": "output", "output": 7}, r"output: expected one of those the slice kept, \(0, 1, 2\), got 7"),
        ({"window": ((1.0, 0.0), (0.0, 1.0))}, "window"),
        ({"window": ((5.0, 5.0), (6.0, 6.0))}, "window: expected a rectangle that meets the domain"),
        ({"window": 3}, "window"),
        ({"labels": [1]}, "labels: expected samples"),
        ({"samples": [[0.0, 0.0]], "labels": [1, 2]}, "labels: expected a whole number for each of 1 samples"),
        ({"resolution": 3}, "resolution"),
        ({"limits": (2.0, 1.0)}, "limits"),
        ({"limits": 3}, "limits: expected two numbers"),
        ({"limits": (1, 2, 3)}, "limits: expected two numbers"),
        ({"limits": (None, 1)}, "limits: expected two numbers"),
        ({"limits": "ab"}, "limits: expected two numbers"),
        ({"window": ((-1e308, -1e308), (1e308, 1e308))}, "window: expected two corners"),
        ({"samples": "x"}, "samples: expected a tensor or array, got str"),
        ({"images": torch.zeros(0, 5, 5)}, "images: expected a plane with anchors"),
        ({"images": np.zeros((2, 5))}, "images: expected a plane with anchors"),
    ],
)
def test_what_cannot_be_drawn_is_refused(asked, message):
    with pytest.raises(InvalidInput, match=message):
        plot_slice(sliced()[1], **asked)


@pytest.mark.parametrize("samples", [[[1e3, 1e3], [-1e3, 0.0]], torch.zeros(0, 2)])
@pytest.mark.parametrize("labels", [False, True])
def test_samples_none_of_which_is_in_the_picture_are_said_not_to_be(samples, labels):
    figure = plot_slice(sliced()[1], samples=samples, labels=[0] * len(samples) if labels else None)
    assert any("no sample lies in the picture" in text.get_text() for text in figure.findobj(Text))


def test_a_slice_of_measures_alone_is_refused():
    network, _ = sliced()
    with pytest.raises(InvalidInput, match='slice with keep="all"'):
        plot_slice(transect.slice(network, plane(), keep="measures"))


@pytest.mark.parametrize("colour", ["region", "slope", "output", "class", "operation", "area"])
def test_a_network_that_does_not_bend_has_a_picture_too(colour):
    flat = transect.slice(torch.nn.Linear(2, 2), plane())
    render(plot_slice(flat, colour=colour, borders="depth", images=None), "png")


# ------------------------------------------------------------------------------------------------------------ films


def test_the_frames_of_a_film_have_one_scale_and_one_place(tmp_path):
    models = [module(seed=seed) for seed in (0, 1)]
    film = film_slices(models, tmp_path, plane=plane(), colour="slope", resolution=100, titles=["one", "two"])
    each = [transect.slice(model, plane()).polygons for model in models]
    assert film.limits[0] >= min(float(one.slope_norm.min()) for one in each)
    assert film.limits[1] <= max(float(one.slope_norm.max()) for one in each)
    assert [frame.name for frame in film.frames] == ["frame-0000.png", "frame-0001.png"]
    assert sorted(os.listdir(tmp_path)) == ["film.gif", "frame-0000.png", "frame-0001.png"]
    first, second = (np.asarray(Image.open(frame).convert("RGB")).astype(int) for frame in film.frames)
    assert first.shape == second.shape
    differ = (first != second).any(2)
    height, width = differ.shape
    assert differ.any()
    assert not differ[int(0.93 * height) :].any()  # the axis below
    assert not differ[:, int(0.84 * width) :].any()  # the bar
    with Image.open(film.film) as moving:
        assert moving.n_frames == 2


def test_a_film_of_slices_and_of_one_module_that_changes(tmp_path):
    def training():
        model = module(seed=5)
        for _ in range(2):
            yield model
            with torch.no_grad():
                model[0].bias += 0.3

    lively = film_slices(training(), tmp_path / "a", plane=plane(), resolution=100, film=None)
    assert lively.film is None
    slices = [transect.slice(model, plane()) for model in (module(seed=5),)]
    still = film_slices(slices, tmp_path / "b", resolution=100, film=None)
    assert lively.frames[0].read_bytes() == still.frames[0].read_bytes()
    assert lively.frames[0].read_bytes() != lively.frames[1].read_bytes()


def test_without_ffmpeg_a_film_is_a_gif_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    film = film_slices([sliced()[1]], tmp_path, resolution=50, film="mp4")
    assert film.film.name == "film.gif"
    assert "ffmpeg" in film.note


def test_with_ffmpeg_it_gets_the_frames(tmp_path, monkeypatch):
    program = tmp_path / "bin" / "ffmpeg"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nfor last; do :; done\necho "$@" > "$last"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    film = film_slices([sliced()[1]] * 2, tmp_path / "film", resolution=50, film="mp4", seconds=0.5)
    said = film.film.read_text()
    assert film.film.name == "film.mp4"
    assert "-framerate 2.000000" in said
    assert f"-i {tmp_path / 'film'}/frame-%04d.png -frames:v 2" in said
    program.write_text("#!/bin/sh\necho broken >&2\nexit 1\n")
    with pytest.raises(RuntimeError, match=r"ffmpeg could not write .* broken"):
        film_slices([sliced()[1]], tmp_path / "film", resolution=50, film="mp4")


def test_what_cannot_be_filmed_is_refused(tmp_path):
    _, found = sliced()
    other = transect.slice(sliced()[0], plane([(0, 0), (1, 0), (0, 1)]))
    with pytest.raises(InvalidInput, match="slices of one plane"):
        film_slices([found, other], tmp_path, resolution=50)
    with pytest.raises(InvalidInput, match="at least one"):
        film_slices([], tmp_path)
    with pytest.raises(InvalidInput, match="plane: expected"):
        film_slices([module()], tmp_path)
    with pytest.raises(InvalidInput, match="titles"):
        film_slices([found], tmp_path, titles=["a", "b"], resolution=50)
    for titles in ("a", [0], [None]):
        with pytest.raises(InvalidInput, match="titles: expected a list with a text for every frame"):
            film_slices([found], tmp_path, titles=titles, resolution=50)


def test_one_network_or_slice_is_not_filmed_by_its_parts(tmp_path):
    network, found = sliced()
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU())
    for one in (network, model, found, None):
        with pytest.raises(InvalidInput, match="networks_or_slices: expected a list of networks or slices, got one"):
            film_slices(one, tmp_path, plane=found.plane)
    with pytest.raises(InvalidInput, match="seconds: expected a time"):
        film_slices([found], tmp_path, seconds="fast")
