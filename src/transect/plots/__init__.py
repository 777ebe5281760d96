"""Figures: one a file, a table or a trace in, a matplotlib ``Figure`` out."""

from transect.plots.curves import Curves
from transect.plots.grouping import Group, groups, select, sweeps
from transect.plots.rendering import render
from transect.plots.segment_profile import plot_trace
from transect.plots.width_sweep import width_sweep

__all__ = ["Curves", "Group", "groups", "plot_trace", "render", "select", "sweeps", "width_sweep"]
