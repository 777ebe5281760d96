"""Inputs in the picture of a slice: samples as dots, and thumbnails of those that span the plane."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from torch import Tensor

from transect.errors import InvalidInput
from transect.plots.raster import Floats
from transect.plots.slice_colours import class_colour, darker
from transect.plots.slice_legend import Keys, dot
from transect.plots.slice_view import SIDE, View
from transect.plots.style import INK

_THUMBNAIL = 44.0  # points
_GAP = 13.0  # points, between a thumbnail and its place
ROOM_OF_A_THUMBNAIL = _THUMBNAIL + _GAP  # points around the place


def mark_samples(axes: Axes, view: View) -> tuple[Keys, str]:
    """Mark samples; what the legend and the caption say of them."""
    asked, plane = view.asked, view.slice.plane
    if asked.samples is None:
        return Keys(), ""

    samples = _tensor("samples", asked.samples)
    samples = samples if samples.is_floating_point() else samples.double()
    places, distances = (found.numpy() for found in plane.project(samples))
    places, distances = places.reshape(-1, 2), distances.reshape(-1)
    inside = ((places >= view.low) & (places <= view.high)).all(1)
    given = np.zeros(len(places), np.int64) if asked.labels is None else np.asarray(asked.labels).reshape(-1)
    if len(given) != len(places) or (len(given) and not np.issubdtype(given.dtype, np.integer)):
        raise InvalidInput(f"labels: expected a whole number for each of {len(places)} samples, got {asked.labels!r}.")
    colours = {one: INK if asked.labels is None else darker(class_colour(one)) for one in np.unique(given).tolist()}
    scale = float(np.hypot(*((view.high - view.low) * np.sqrt(np.diagonal(plane.metric.numpy()))))) / 2
    opacity = np.clip(1 / (1 + (distances / scale) ** 2), 0.45, 1)
    if inside.any():  # Matplotlib takes no empty list of opacities
        axes.scatter(
            places[inside, 0],
            places[inside, 1],
            s=22,
            c=[colours[one] for one in given[inside].tolist()],
            alpha=opacity[inside],
            edgecolors="white",
            linewidths=0.7,
            zorder=5,
        )
    keys = Keys()
    if asked.labels is not None:
        keys = Keys("samples of class", [(dot(colours[one]), str(one)) for one in np.unique(given[inside]).tolist()])
    off = float(np.median(distances[inside])) if inside.any() else 0.0
    if off <= 1e-6 * scale:
        return keys, "" if inside.any() else "no sample lies in the picture"
    note = f"dots: {int(inside.sum())} samples at their nearest points of the plane, {off:.3g} away from it (median)"
    return keys, note


def draw_thumbnails(axes: Axes, view: View) -> None:
    """Draw the inputs that span the plane beside their places, away from the middle between them."""
    asked, plane = view.asked, view.slice.plane
    if asked.images is None or asked.images is False:
        return
    places = plane.anchors.numpy()
    if len(places) == 0:
        raise InvalidInput(
            "images: expected a plane with anchors, the inputs that span it, got one with none; Plane.through has them."
        )
    pictures = _pictures(plane.at(places) if asked.images is True else asked.images, len(places))
    middle = places.mean(0) if len(places) > 1 else places.mean(0) - 1
    stretch, reach = np.array([1.0, view.aspect]), _THUMBNAIL / 2 + _GAP
    ways = np.array([_outward(place, middle, stretch) for place in places])
    low, high = view.low, view.high
    half = (_THUMBNAIL / 2 + 5) / stretch
    for _ in range(8):  # the picture grows until they fit, unless it is a window; the scale changes while it does
        unit = SIDE * 72 / float(((high - low) * stretch).max())  # points to a unit of the first coordinate
        middles = places + ways * reach / unit / stretch
        if not view.zoomed:
            low = np.minimum(view.low, (middles - half / unit).min(0))
            high = np.maximum(view.high, (middles + half / unit).max(0))
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])
    for place, picture, way, centre in zip(places, pictures, ways, middles):
        if not ((place >= low) & (place <= high)).all():
            continue
        fits = ((centre - half / unit >= low) & (centre + half / unit <= high)).all()
        shift = reach * (way if fits or not view.zoomed else -way)
        zoom = _THUMBNAIL / max(picture.shape[:2])
        small = max(picture.shape[:2]) < 2 * _THUMBNAIL
        image = OffsetImage(picture, zoom=zoom, cmap="gray", norm=None, interpolation="nearest" if small else "hanning")
        image.image.set_clim(0, 1)
        axes.add_artist(
            AnnotationBbox(
                image,
                tuple(place),
                xybox=tuple(shift),
                boxcoords="offset points",
                pad=0.12,
                arrowprops={"arrowstyle": "-", "color": INK, "linewidth": 0.9, "shrinkA": 0, "shrinkB": 0},
                bboxprops={"edgecolor": INK, "linewidth": 0.9, "facecolor": "white"},
                zorder=6,
            )
        )
        axes.plot(*place, "o", markersize=5, color=INK, markeredgecolor="white", markeredgewidth=1.0, zorder=7)


def _outward(place: Floats, middle: Floats, stretch: Floats) -> Floats:
    step = (place - middle) * stretch
    length = float(np.hypot(*step))
    return step / length if length > 0 else np.array([1.0, 1.0]) / np.sqrt(2)


def _tensor(argument: str, given: Any) -> Tensor:
    try:
        return torch.as_tensor(given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidInput(f"{argument}: expected a tensor or array, got {type(given).__name__} ({error}).") from error


def _pictures(given: Any, count: int) -> list[Floats]:
    """Pictures of the inputs, ``(H, W)`` or ``(H, W, 3)`` each, in [0, 1]."""
    images = _tensor("images", given).detach().double().cpu().numpy()
    if images.ndim == 4 and images.shape[1] in (1, 3):
        images = np.moveaxis(images, 1, -1)
    if images.ndim == 4 and images.shape[-1] == 1:
        images = images[..., 0]
    if images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[-1] != 3) or len(images) != count:
        raise InvalidInput(
            f"images: expected one picture for each of the plane's {count} anchors, (M, H, W), (M, 1, H, W) or "
            f"(M, 3, H, W), got shape {tuple(images.shape)}; give images= the pictures, unless inputs are pictures."
        )
    low, high = (images.min(), images.max()) if images.size else (0.0, 1.0)
    if low < 0 or high > 1:
        images = (images - low) / ((high - low) or 1.0)
    return list(images)
