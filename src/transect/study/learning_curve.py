"""The learning curve: one row an epoch, in a table and, on request, in logs for TensorBoard."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from transect.errors import MissingDependency
from transect.storage.tables import make_schema, make_table, write_table

Row = dict[str, Any]

_COUNT, _NUMBER = pa.int64(), pa.float64()
LEARNING_CURVE_SCHEMA: pa.Schema = make_schema(
    ("epoch", _COUNT),
    ("learning_rate", _NUMBER),
    ("train_loss", _NUMBER),
    ("train_error", _NUMBER),
    ("validation_error", _NUMBER),
    ("test_error", _NUMBER),
    ("seconds", _NUMBER),
    also_null=("validation_error", "test_error"),
)
"""The learning curve: one row an epoch, counted from 1.

``train_loss`` (nats) and ``train_error`` are means over the samples of the epoch as they were met: augmented, in
training mode, with weights that change from batch to batch, against the (noisy) labels. The errors on the validation
and test part are those after the epoch, in evaluation mode, and empty where they were not looked at. ``seconds`` are
those of the training itself.
"""

_SCALARS = {
    "learning_rate": "learning_rate",
    "train_loss": "loss/train",
    "train_error": "error/train",
    "validation_error": "error/validation",
    "test_error": "error/test",
}


def learning_curve_file(folder: Path) -> Path:
    """Where the learning curve is in the folder of a training."""
    return folder / "learning_curve.parquet"


def write_learning_curve(folder: Path, rows: Sequence[Row]) -> None:
    """Write the table of the learning curve, atomically."""
    write_table(make_table(rows, LEARNING_CURVE_SCHEMA), learning_curve_file(folder), csv=False)


class TensorBoard:
    """Logs of a training for TensorBoard. Nothing is written where there is no writer.

    Args:
        writer: A ``torch.utils.tensorboard.SummaryWriter``, or None.
    """

    def __init__(self, writer: Any = None) -> None:
        self._writer = writer

    def add(self, row: Mapping[str, Any]) -> None:
        """Add a row of the learning curve."""
        for column, tag in _SCALARS.items():
            if self._writer is not None and row[column] is not None:
                self._writer.add_scalar(tag, row[column], row["epoch"])

    def flush(self) -> None:
        """Put what was added on the disk."""
        if self._writer is not None:
            self._writer.flush()


NO_LOG = TensorBoard()


@contextmanager
def tensorboard(folder: Path, epochs_done: int) -> Iterator[TensorBoard]:
    """Open the logs of a training that goes on after some epochs; later ones, of before it was killed, are dropped.

    Args:
        folder: The folder of the training; logs go to ``tensorboard/`` in it.
        epochs_done: Epochs whose logs are kept.

    Raises:
        MissingDependency: If TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingDependency(
            f"train.tensorboard needs TensorBoard, which cannot be imported ({error}): "
            "pip install 'transect[tensorboard]'"
        ) from error
    with SummaryWriter(str(folder / "tensorboard"), purge_step=epochs_done + 1) as writer:
        yield TensorBoard(writer)
