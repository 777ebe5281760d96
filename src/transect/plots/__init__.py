"""Figures: one a file, a table or a trace in, a matplotlib ``Figure`` out."""

from transect.plots.curves import Curves
from transect.plots.epoch_sweep import epoch_sweep
from transect.plots.grouping import Group, groups, select, sweeps
from transect.plots.legacy_audit import legacy_audit
from transect.plots.measure_curves import measure_curves
from transect.plots.path_kinds import path_kinds
from transect.plots.rendering import render
from transect.plots.segment_profile import plot_trace
from transect.plots.width_sweep import width_sweep

__all__ = [
    "Curves",
    "Group",
    "epoch_sweep",
    "groups",
    "legacy_audit",
    "measure_curves",
    "path_kinds",
    "plot_trace",
    "render",
    "select",
    "sweeps",
    "width_sweep",
]
