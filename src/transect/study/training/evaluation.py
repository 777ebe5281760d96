"""How good a network is, and how large its outputs are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from transect.errors import MissingDependency
from transect.study.data.dataset import Split
from transect.support.types import Row
from transect.tables.files import make_schema, make_table, write_table

ROWS_AT_ONCE = 1000

Prepare = Callable[[Tensor], Tensor]
"""From inputs as they are stored to what a network sees, such as :meth:`DataSet.prepare`."""


@dataclass(frozen=True)
class Evaluation:
    """A network on the samples of a split. All three are NaN where there are no samples.

    Attributes:
        error: Fraction of samples whose largest logit is not that of their label; one with a logit that is NaN counts
            as wrong.
        loss: Mean cross entropy, in nats; NaN or infinite where the logits are.
        logit_std: Standard deviation of the logits, all samples and outputs pooled; NaN where a logit is not finite.
    """

    error: float
    loss: float
    logit_std: float


def evaluate(
    model: nn.Module,
    samples: Split | tuple[Tensor, Tensor],
    prepare: Prepare | None = None,
    device: torch.device | str | None = None,
) -> Evaluation:
    """Evaluate in the model's own dtype, sum up in float64; the model is left as and where it was.

    Args:
        model: Gives logits ``(N, classes)``.
        samples: A split, or inputs ``(N, *input_shape)`` and labels ``(N,)``, int64; inputs as they are stored.
        prepare: Makes of a batch of inputs what the model sees; they are taken as they are where None.
        device: Where to compute; the device of the model where None.
    """
    inputs, labels = (samples.inputs, samples.labels) if isinstance(samples, Split) else samples
    if not len(inputs):
        return Evaluation(error=float("nan"), loss=float("nan"), logit_std=float("nan"))
    logits, labels = predict(model, inputs, prepare, device).double(), labels.cpu()
    wrong = (logits.argmax(1) != labels) | logits.isnan().any(1)
    return Evaluation(
        error=wrong.double().mean().item(),
        loss=cross_entropy(logits, labels).item(),
        logit_std=logits.std(correction=0).item(),
    )


def predict(
    model: nn.Module, inputs: Tensor, prepare: Prepare | None = None, device: torch.device | str | None = None
) -> Tensor:
    """Logits ``(N, classes)`` on the CPU: in evaluation mode, without gradients, a thousand inputs at a time.

    Args:
        model: Left as and where it was.
        inputs: ``(N, *input_shape)``, as they are stored, on any device.
        prepare: Makes of a batch of inputs what the model sees; they are taken as they are where None.
        device: Where to compute; the device of the model where None.
    """
    with torch.no_grad(), _evaluating(model, device) as place:
        parts = (part.to(place) for part in inputs.split(ROWS_AT_ONCE))
        return torch.cat([model(part if prepare is None else prepare(part)).cpu() for part in parts])


def parameter_count(model: nn.Module) -> int:
    """Number of trainable numbers."""
    return sum(parameter.numel() for parameter in model.parameters())


def weight_norm(model: nn.Module) -> float:
    """L2 norm of all parameters together."""
    with torch.no_grad():
        squares = [parameter.double().square().sum() for parameter in model.parameters()]
    return float(torch.stack(squares).sum().sqrt())


@contextmanager
def _evaluating(model: nn.Module, device: torch.device | str | None) -> Iterator[torch.device]:
    """The model in evaluation mode on a device, and afterwards as it was."""
    parameter = next(model.parameters(), None)
    home = torch.device("cpu") if parameter is None else parameter.device
    place = home if device is None else torch.device(device)
    was_training = model.training
    model.to(place).eval()
    try:
        yield place
    finally:
        model.to(home).train(was_training)


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

    def add(self, row: Row) -> None:
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
