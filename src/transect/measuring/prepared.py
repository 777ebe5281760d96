"""A model ready to be measured, here or in another process."""

from __future__ import annotations

import hashlib
import io
import math
import pickle
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from transect.errors import InvalidInput, NotEstimated, TransectError, UnsupportedModel, check_one_of
from transect.measures import Measure
from transect.measuring.fingerprints import fingerprint
from transect.measuring.models import Model, Source
from transect.measuring.scales import Scale
from transect.networks.network import WORKING_DTYPES, Network, capture, network_of
from transect.tracing.arguments import checked_measures

METHODS = ("exact", "estimate")


@dataclass(frozen=True)
class Options:
    """What a row depends on beside model and path.

    Attributes:
        method: ``"exact"`` or ``"estimate"``.
        outputs: Indices of the outputs measured; None for all.
        dtype: Working dtype; None for the default of the method.
        device: Where modules are captured to; None for their own.
        budget: Most numbers that are kept alive; None for the default of the method.
        rtol: Relative tolerance of an estimate.
        atol: Absolute tolerance of an estimate.
        max_samples: Samples of a segment, at most; None for the default.
        verify: Whether traces are compared with the model.
        measures: Measures of a user's own, beside the listed ones.
    """

    method: str = "exact"
    outputs: tuple[int, ...] | None = None
    dtype: torch.dtype | None = None
    device: str | None = None
    budget: int | None = None
    rtol: float = 1e-2
    atol: float = 0.0
    max_samples: int | None = None
    verify: bool = True
    measures: tuple[Measure, ...] = ()

    def __post_init__(self) -> None:
        check_one_of("method", self.method, METHODS)
        checked_measures(self.measures)
        if self.measures and self.method == "estimate":
            raise NotEstimated("measures: samples do not show measures of your own; they are of exact traces only.")
        check_one_of("dtype", self.dtype, (None, *WORKING_DTYPES))
        _check_device(self.device)
        for name, least in (("budget", 1), ("max_samples", 18)):
            value = getattr(self, name)
            if value is not None and not is_whole(value, least):
                raise InvalidInput(f"{name}: expected a whole number of at least {least}, got {value!r}.")
        for name in ("rtol", "atol"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0 <= value < math.inf:
                raise InvalidInput(f"{name}: expected a number of at least 0 such as 1e-2, got {value!r}.")

    def settings(self) -> dict[str, Any]:
        """What decides the rows, as plain values."""
        common = {
            "method": self.method,
            "outputs": None if self.outputs is None else list(self.outputs),
            "dtype": None if self.dtype is None else str(self.dtype),
            "device": self.device,
            "budget": self.budget,
        }
        sampled = {"rtol": self.rtol, "atol": self.atol, "max_samples": self.max_samples}
        own = [f"{one.name} {fingerprint(one.make)}" for one in self.measures if one.make is not None]
        return common | (sampled if self.method == "estimate" else {}) | ({"measures": own} if own else {})


def checked_outputs(outputs: Sequence[int] | None) -> tuple[int, ...] | None:
    """Indices of outputs as plain numbers; whether a model has them is for the method to say.

    Raises:
        InvalidInput: They are not whole numbers.
    """
    if outputs is None:
        return None
    try:
        return tuple(int(output.__index__()) for output in outputs)
    except (TypeError, AttributeError) as error:
        raise InvalidInput(f"outputs: expected a sequence of whole numbers such as [0, 3], got {outputs!r}.") from error


def is_whole(value: Any, least: int) -> bool:
    """Whether a value is a whole number of at least ``least``."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _check_device(device: str | None) -> None:
    if device is None:
        return
    try:
        torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise InvalidInput(f'device: expected a device of torch such as "cpu" or "cuda", got {device!r}.') from error


@dataclass(frozen=True)
class Packed:
    """A model as bytes, for another process of the same user on the same machine."""

    key: str
    data: bytes = field(compare=False, repr=False)


class Prepared:
    """A model, captured where that is possible.

    Args:
        name: Its name.
        model: A network; or a module that cannot be captured, of which only outputs are sampled.
        std: Standard deviations of its outputs over a data set, where they are known.
    """

    def __init__(self, name: str, model: Model, std: Tensor | None = None) -> None:
        self.name, self.model, self.std = name, model, std

    @cached_property
    def fingerprint(self) -> str:
        """Digest of what it computes."""
        return fingerprint(self.model)

    @cached_property
    def packed(self) -> Packed:
        """The model as bytes. A captured network needs nothing of the module's own code, and always has them.

        Raises:
            InvalidInput: The module cannot be pickled.
        """
        data = io.BytesIO()
        try:
            _Pickler(data, protocol=pickle.HIGHEST_PROTOCOL).dump(_parts(self.model))
        except (pickle.PicklingError, AttributeError, TypeError, RuntimeError) as error:
            raise InvalidInput(
                f"model {self.name!r}: it cannot be captured, and cannot be sent to worker processes either, which "
                f"needs a module that can be pickled ({error}). Define its class at the top of a file, or use "
                "workers=1."
            ) from error
        return Packed(hashlib.sha256(data.getbuffer()).hexdigest(), data.getvalue())


def prepare(source: Source, inputs: Tensor, options: Options, scale: Scale | None = None) -> Prepared:
    """Open a model and capture it.

    Args:
        source: The model.
        inputs: Those of the first path or plane, ``(A, *input_shape)``: examples of what the model takes.
        options: How it will be measured.
        scale: What its deviations will be normalised by.

    Raises:
        TransectError: It cannot be captured, or does not take such inputs; the message begins with its name.
    """
    model = source.open()
    try:
        network = _captured(model, inputs[:4], options)
        if isinstance(network, Network) and tuple(inputs.shape[1:]) != network.input_shape:
            raise InvalidInput(
                f"paths: their anchors have shape {tuple(inputs.shape[1:])}, but the network takes inputs of "
                f"shape {network.input_shape}."
            )
        std = None if scale is None else scale.of(network, inputs, options.outputs)
    except TransectError as error:
        raise with_place(error, f"model {source.name!r}") from error
    return Prepared(source.name, network, std)


@lru_cache(maxsize=1)  # a worker gets the chunks of one model one after the other
def unpacked(packed: Packed) -> Model:
    """The model that was packed."""
    found = pickle.loads(packed.data)
    return found if isinstance(found, nn.Module) else network_of(*found)


def with_place(error: TransectError, place: str) -> TransectError:
    """The same error, its message preceded by where it happened."""
    named = type(error)(f"{place}: {error}")
    named.__dict__.update(error.__dict__)
    return named


def _captured(model: Model, example: Tensor, options: Options) -> Model:
    if isinstance(model, Network):
        if options.dtype not in (None, model.dtype):
            raise InvalidInput(f"dtype: the network was captured in {model.dtype}; capture it with {options.dtype}.")
        if options.device is not None and torch.device(options.device).type != model.device.type:
            raise InvalidInput(f"device: the network was captured on {model.device}; capture it on {options.device}.")
        return model
    if options.method == "exact":
        return capture(model, example, dtype=options.dtype or torch.float64, device=options.device)
    try:
        return capture(model, example, dtype=options.dtype or _own_dtype(model), device=options.device)
    except UnsupportedModel:  # smooth ones too have deviations, but no flips
        return model if options.device is None else model.to(options.device)


def _own_dtype(model: nn.Module) -> torch.dtype:
    """What ``transect.estimate`` computes in: the module's own dtype, or float32 for one in half precision."""
    tensors = (*model.parameters(), *model.buffers())
    own = next((part.dtype for part in tensors if part.is_floating_point()), torch.get_default_dtype())
    return own if own in WORKING_DTYPES else torch.float32


def _parts(model: Model) -> Any:
    """A module itself; of a network its graph, since the compiled rules are functions made on the fly."""
    return model if isinstance(model, nn.Module) else (model.graph, model.input_shape, model.name)


class _Pickler(pickle.Pickler):
    """Pickles operations of torch by their names; the standard pickler cannot."""

    def reducer_override(self, part: Any) -> Any:
        """See :meth:`pickle.Pickler.reducer_override`."""
        if isinstance(part, torch._ops.OpOverload):
            return _operation, (*part._schema.name.split("::"), part._overloadname)
        return NotImplemented


def _operation(namespace: str, name: str, overload: str) -> Any:
    return getattr(getattr(getattr(torch.ops, namespace), name), overload)
