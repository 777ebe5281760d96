"""Polylines and planes in input space, and how they are made from data."""

from transect.paths.path import Path, line, lines
from transect.paths.plane import Plane
from transect.paths.signals import shift_scale_circle, shift_scale_circles
from transect.paths.translations import (
    translation_arc,
    translation_arcs,
    translation_circle,
    translation_circles,
)

__all__ = [
    "Path",
    "Plane",
    "line",
    "lines",
    "shift_scale_circle",
    "shift_scale_circles",
    "translation_arc",
    "translation_arcs",
    "translation_circle",
    "translation_circles",
]
