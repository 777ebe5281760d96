"""Figures: one a file, a table, a trace or a slice in, a matplotlib ``Figure`` out."""

from transect.plots.film import Film, film_slices
from transect.plots.legacy_audit import legacy_audit
from transect.plots.networks import networks_figure
from transect.plots.path_kinds import path_kinds
from transect.plots.slice import plot_slice
from transect.plots.style import render
from transect.plots.sweep import epoch_sweep, measure_curves, sweep_figure, width_sweep
from transect.plots.trace import plot_trace
from transect.tables.curves import Curves
from transect.tables.grouping import Group, axes_of, groups, select, sweeps

__all__ = [
    "Curves",
    "Film",
    "Group",
    "axes_of",
    "epoch_sweep",
    "film_slices",
    "groups",
    "legacy_audit",
    "measure_curves",
    "networks_figure",
    "path_kinds",
    "plot_slice",
    "plot_trace",
    "render",
    "select",
    "sweep_figure",
    "sweeps",
    "width_sweep",
]
