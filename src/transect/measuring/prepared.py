"""A model ready to be measured, here or in another process."""

from __future__ import annotations

import hashlib
import io
import pickle
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from transect.errors import InvalidInput, TransectError, UnsupportedModel
from transect.measuring.fingerprints import fingerprint
from transect.measuring.models import Model, Source
from transect.measuring.options import Options
from transect.measuring.scales import Scale
from transect.network import WORKING_DTYPES, Network, capture, network_of
from transect.paths import Path


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


def prepare(source: Source, first: Path, options: Options, scale: Scale | None = None) -> Prepared:
    """Open a model and capture it.

    Args:
        source: The model.
        first: The first path: an example of what the model takes.
        options: How it will be measured.
        scale: What its deviations will be normalised by.

    Raises:
        TransectError: It cannot be captured, or does not take such inputs; the message begins with its name.
    """
    model = source.open()
    try:
        network = _captured(model, first, options)
        if isinstance(network, Network) and tuple(first.anchors.shape[1:]) != network.input_shape:
            raise InvalidInput(
                f"paths: their anchors have shape {tuple(first.anchors.shape[1:])}, but the network takes inputs of "
                f"shape {network.input_shape}."
            )
        std = None if scale is None else scale.of(network, first.anchors, options.outputs)
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


def _captured(model: Model, first: Path, options: Options) -> Model:
    if isinstance(model, Network):
        if options.dtype not in (None, model.dtype):
            raise InvalidInput(f"dtype: the network was captured in {model.dtype}; capture it with {options.dtype}.")
        if options.device is not None and torch.device(options.device).type != model.device.type:
            raise InvalidInput(f"device: the network was captured on {model.device}; capture it on {options.device}.")
        return model
    example = first.anchors[:4]
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
