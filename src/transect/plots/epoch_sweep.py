"""Nonlinearity and density above, train and test error below, over the epochs of the training."""

from __future__ import annotations

import os

import pyarrow as pa
from matplotlib.figure import Figure

from transect.plots.curves import as_table
from transect.plots.panels import sweep_panels


def epoch_sweep(
    table: pa.Table | str | os.PathLike[str], *, split: str | None = "train", title: str | None = None
) -> Figure:
    """Draw how nonlinearity, density and errors change over the training, epochs on a logarithmic axis.

    As :func:`transect.plots.width_sweep`, with the epoch in the place of the width: one column of panels for each
    width and whatever else varies. The vertical line is the first epoch at which the mean train error is below 1 %.

    Args:
        table: Run table of a study that was measured after several epochs, or the path of its Parquet file.
        split: Split around whose samples the paths are; every row where None.
        title: What to write on top; made from the table where None.

    Returns:
        The figure.

    Raises:
        InvalidInput: If the table cannot be read, lacks columns, rows, epochs or seeds, or holds more than four sweeps.
    """
    return sweep_panels(as_table(table), split, "epoch", title)
