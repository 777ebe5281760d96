"""The poster's figure: nonlinearity and density above, train and test error below, over the width of the network."""

from __future__ import annotations

import os

import pyarrow as pa
from matplotlib.figure import Figure

from transect.plots.curves import as_table
from transect.plots.panels import sweep_panels


def width_sweep(
    table: pa.Table | str | os.PathLike[str], *, split: str | None = "train", title: str | None = None
) -> Figure:
    """Draw a sweep over widths: does the nonlinearity follow the test error, and does the density?

    Above, absolute deviation (left axis, solid) and crossings per path (right axis, dashed; flips where the table has
    estimates, which show no crossings); below, train and test error; means over seeds, shaded by one sample standard
    deviation over seeds to either side. Rings mark the peaks of deviation and test error. The vertical line is the
    interpolation threshold: the first width whose mean train error is below 1 %. A table with several sweeps, such as
    0 % and 20 % label noise, gives one column of panels for each.

    Args:
        table: Run table of a study (``transect.study.columns.RUN_SCHEMA``), or the path of its Parquet file.
        split: Split around whose samples the paths are; every row where None.
        title: What to write on top; made from the table where None.

    Returns:
        The figure; ``figure.savefig(path)`` or :func:`transect.plots.render` turns it into a file.

    Raises:
        InvalidInput: If the table cannot be read, lacks columns, rows, widths or seeds, or holds more than four sweeps.
    """
    return sweep_panels(as_table(table), split, "width", title)
