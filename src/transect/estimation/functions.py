"""What can be sampled, and which piece every unit is on at a sample: captured networks, whose pieces are seen, and
anything else, of which only outputs are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from transect.engine.crossings import above
from transect.errors import InvalidInput, UnsupportedModel, check_one_of
from transect.graph import as_float_tensor
from transect.networks.network import WORKING_DTYPES, Network, capture
from transect.paths import Path
from transect.rules import Affine, Bend, Envelope, Hinge
from transect.support.precision import full_precision

_GATHER = 0x0102040810204080  # moves the lowest bit of byte k of a word to bit 56 + k; no two of the products meet


def record(bend: Bend, values: Tensor) -> Tensor:
    """Pieces of every unit at rows of the operation's input: packed bits, or positions of winners, ``(R, W)``."""
    if isinstance(bend, Envelope):
        return bend.winners(values).flatten(1).to(torch.int32)
    return torch.cat([_packed(above(bend.flat(values), threshold)) for threshold in _thresholds(bend, values)], 1)


def record_bytes(bend: Bend, units: int) -> int:
    """Bytes of one row of :func:`record`."""
    return 4 * units if isinstance(bend, Envelope) else len(bend.thresholds) * -(-units // 8)


def undecided(bend: Bend, values: Tensor) -> Tensor:
    """Units exactly between two pieces, laid out as :func:`record` does.

    Where a path starts or ends in such a point (an image whose background is exactly zero), the unit is on neither
    piece there; it is on the piece it has at the nearest sample.
    """
    if isinstance(bend, Envelope):
        return _several_largest(bend, values)
    flat = bend.flat(values)
    return torch.cat([~(_packed(above(flat, threshold)) | _packed(above(-flat, -threshold)))
                      for threshold in _thresholds(bend, values)], 1)  # fmt: skip


def changes(bend: Bend, before: Tensor, after: Tensor, ignored: Tensor | None = None) -> Tensor:
    """Net changes of pieces between points, ``(..., W)`` and ``(..., W)`` to ``(...)`` int64.

    Args:
        bend: The operation.
        before: Records at some points.
        after: Records at others.
        ignored: Units left out, as :func:`undecided` gives them.
    """
    if isinstance(bend, Envelope):
        differ = before != after
        return (differ if ignored is None else differ & ~ignored).sum(-1)
    differ = before ^ after
    return _ones(differ if ignored is None else differ & ~ignored).sum(-1, dtype=torch.int64)


def _thresholds(hinge: Hinge, values: Tensor) -> list[float | Tensor]:
    units = values[0].numel()
    return [t.reshape(-1).expand(units) if isinstance(t, Tensor) else t for t in hinge.thresholds]


def _packed(bits: Tensor) -> Tensor:
    """Eight booleans a byte; rows are padded to whole words."""
    return ((bits.view(torch.int64) * _GATHER) >> 56).to(torch.uint8)


def _ones(byte: Tensor) -> Tensor:
    """Number of bits set in every byte: sums of neighbouring bits, of pairs, of fours."""
    byte = byte - ((byte >> 1) & 0x55)
    byte = (byte & 0x33) + ((byte >> 2) & 0x33)
    return (byte + (byte >> 4)) & 0x0F


def _several_largest(envelope: Envelope, values: Tensor) -> Tensor:
    windows = envelope.windows.to(values.device)
    numbers = envelope.arrange(values)[:, :, windows.clamp_min(0)].masked_fill(windows < 0, -torch.inf)
    return ((numbers == numbers.amax(-1, keepdim=True)).sum(-1) > 1).flatten(1)


_MOST_ROWS = 1024  # rows a plain function gets at once, at most


@dataclass(frozen=True)
class Observed:
    """What is seen of a function at some points.

    Attributes:
        outputs: Its outputs, ``(R, C)`` float64.
        records: Pieces of the units of every bending operation, ``(R, W)`` each (see :mod:`.pieces`).
        undecided: Units between two pieces, where they were asked for.
    """

    outputs: Tensor
    records: tuple[Tensor, ...]
    undecided: tuple[Tensor, ...]


class SampledFunction(Protocol):
    """Something that can be evaluated at a batch of points.

    Attributes:
        kind: What it is, in words.
        takes: Dtype of the points it takes.
        dtype: Dtype of its outputs.
        device: Where it takes the points.
        outputs: Its number of outputs.
        bends: Its bending operations; none where they cannot be seen.
        operations: Their names.
        units: Their numbers of units.
        uncounted: Why flips cannot be counted, or None where they can.
    """

    kind: str
    takes: torch.dtype
    dtype: torch.dtype
    device: torch.device
    outputs: int
    bends: tuple[Bend, ...]
    operations: tuple[str, ...]
    units: tuple[int, ...]
    uncounted: str | None

    def rows_at_once(self, budget: int) -> int:
        """Points to evaluate together."""

    def see(self, x: Tensor, ends: bool) -> Observed:
        """Evaluate points ``(R, *input_shape)``; ``ends``: say which units are between two pieces."""


class NetworkFunction:
    """A captured network."""

    uncounted: str | None = None

    def __init__(self, network: Network, kind: str) -> None:
        self._program = network.program
        self.kind, self.takes, self.dtype, self.device = kind, network.dtype, network.dtype, network.device
        self.outputs, self.operations, self.units = network.outputs, network.operations, network.units
        self.bends = tuple(
            step.operation for step in network.program.instructions if not isinstance(step.operation, Affine)
        )

    def rows_at_once(self, budget: int) -> int:
        """See :class:`SampledFunction`."""
        return max(1, budget // self._program.row_elements)

    def see(self, x: Tensor, ends: bool) -> Observed:
        """See :class:`SampledFunction`."""
        outputs, records, between = x, [], []
        for step, operands, result in self._program.walk(x):
            outputs = result
            if not isinstance(step.operation, Affine):
                records.append(record(step.operation, operands[0]))
                between += [undecided(step.operation, operands[0])] if ends else []
        return Observed(outputs.reshape(len(x), -1).double(), tuple(records), tuple(between))


class PlainFunction:
    """A module that cannot be captured, or any callable: outputs only."""

    bends: tuple[Bend, ...] = ()
    operations: tuple[str, ...] = ()
    units: tuple[int, ...] = ()
    uncounted: str | None

    def __init__(
        self, call: Callable[[Tensor], Any], kind: str, points: Tensor, dtype: torch.dtype, device: torch.device,
        uncounted: str,
    ) -> None:  # fmt: skip
        self._call, self.kind, self.takes, self.device, self.uncounted = call, kind, dtype, device, uncounted
        self._size = points[0].numel()
        self.dtype, self.outputs = self._check_rows(points.to(device=device, dtype=dtype))

    def rows_at_once(self, budget: int) -> int:
        """See :class:`SampledFunction`."""
        return max(1, min(_MOST_ROWS, budget // self._size))

    def see(self, x: Tensor, ends: bool) -> Observed:
        """See :class:`SampledFunction`."""
        return Observed(self._outputs(x).to(self.device).double(), (), ())

    @full_precision()
    def _outputs(self, x: Tensor) -> Tensor:
        made = self._call(x)
        try:
            outputs = as_float_tensor(made, "model")
        except InvalidInput as error:
            raise InvalidInput(
                f"model: expected one tensor or array of real numbers for a batch of points, got {type(made).__name__}."
            ) from error
        if outputs.dim() == 0 or len(outputs) != len(x) or outputs.numel() == 0:
            raise InvalidInput(
                f"model: expected a row of outputs for each of {len(x)} points, shape ({len(x)}, C), got "
                f"{tuple(outputs.shape)}; it gets a batch of shape {tuple(x.shape)}."
            )
        return outputs.reshape(len(x), -1)

    def _check_rows(self, points: Tensor) -> tuple[torch.dtype, int]:
        """Refuse functions whose outputs depend on the other points of a batch; give their dtype and number."""
        together, alone = self._outputs(points.clone()), self._outputs(points[:1].clone())
        eps = torch.finfo(together.dtype).eps
        if together.shape[1] != alone.shape[1]:
            raise InvalidInput(
                f"model: expected as many outputs for a point alone as in a batch, got {alone.shape[1]} and "
                f"{together.shape[1]}."
            )
        apart = (together[:1].double() - alone.double()).abs()
        if bool((apart > eps**0.5 * together.double().abs().max()).any()):
            raise InvalidInput(
                "model: its outputs at a point differ when the point is evaluated alone and in a batch (by up to "
                f"{float(apart.max()):.1e}): it is random, or mixes the samples of a batch. Call model.eval(), or give "
                "a function that treats each row on its own."
            )
        return together.dtype, together.shape[1]


def as_function(model: Any, paths: Sequence[Path], dtype: torch.dtype | None) -> SampledFunction:
    """What a user gives to ``estimate``, ready to be sampled.

    Raises:
        InvalidInput: It is neither a network nor callable, the dtype does not fit, or its outputs are not usable.
    """
    if not isinstance(dtype, torch.dtype | None):
        check_one_of("dtype", dtype, (None, *WORKING_DTYPES))
    if isinstance(model, Network):
        if dtype not in (None, model.dtype):
            raise InvalidInput(
                f"dtype: the network was captured in {model.dtype}; capture it with dtype={dtype} to sample it in that."
            )
        return NetworkFunction(model, "captured network")
    if isinstance(model, nn.Module):
        return _module(model, paths, dtype)
    if not callable(model):
        raise InvalidInput(
            f"model: expected a captured network, a torch.nn.Module or a function of a batch of points, got "
            f"{type(model).__name__}."
        )
    points = paths[0].anchors[:3]
    why = "the function given is not a module, so its units cannot be seen"
    return PlainFunction(model, "callable", points, dtype or points.dtype, points.device, why)


def _module(model: nn.Module, paths: Sequence[Path], dtype: torch.dtype | None) -> SampledFunction:
    own, device = _own(model, paths[0].anchors.device)
    working = dtype or (own if own in WORKING_DTYPES else torch.float32)
    try:
        return NetworkFunction(capture(model, paths[0].anchors[:4], dtype=working), "module")
    except UnsupportedModel as error:
        reason = _uncounted(error)
    if dtype not in (None, own):
        raise InvalidInput(
            f"dtype: this module is called as it is, since it cannot be captured, and computes in {own}; convert it "
            f"with model.to({dtype})."
        )
    return PlainFunction(model, "module, outputs only", paths[0].anchors[:3], own, device, reason)


def _uncounted(refused: UnsupportedModel) -> str:
    operations = dict.fromkeys(problem.operation for problem in refused.problems)
    why = (
        f"because of {', '.join(operations)} (transect check says where)"
        if operations
        else str(refused).splitlines()[0]
    )
    return f"the module cannot be captured, and so its units cannot be seen: {why}"


def _own(model: nn.Module, otherwise: torch.device) -> tuple[torch.dtype, torch.device]:
    """Floating dtype and device of a module."""
    tensors = [tensor for tensor in (*model.parameters(), *model.buffers()) if tensor.is_floating_point()]
    return (tensors[0].dtype, tensors[0].device) if tensors else (torch.get_default_dtype(), otherwise)
