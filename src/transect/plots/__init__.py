"""Figures: one a file, a table or a trace in, a matplotlib ``Figure`` out."""

from transect.plots.curves import Curves
from transect.plots.grouping import Group, axes_of, groups, select, sweeps
from transect.plots.legacy_audit import legacy_audit
from transect.plots.measure_curves import measure_curves
from transect.plots.networks import networks_figure
from transect.plots.path_kinds import path_kinds
from transect.plots.rendering import render
from transect.plots.segment_profile import plot_trace
from transect.plots.sweep_figure import epoch_sweep, sweep_figure, width_sweep

__all__ = [
    "Curves",
    "Group",
    "axes_of",
    "epoch_sweep",
    "groups",
    "legacy_audit",
    "measure_curves",
    "networks_figure",
    "path_kinds",
    "plot_trace",
    "render",
    "select",
    "sweep_figure",
    "sweeps",
    "width_sweep",
]
