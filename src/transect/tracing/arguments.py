"""What a user gives to ``trace`` and ``stream``, checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from transect.errors import InvalidInput
from transect.graph.node import leaves
from transect.measures import BY_NAME, Measure
from transect.networks.network import Network, capture
from transect.paths import Path
from transect.support.indices import whole_numbers
from transect.tracing.walk import SAMPLED

# On a CPU runs are fastest while they stay in a last-level cache; longer ones only save calls.
_CACHE_BYTES = 32 * 2**20
# A GPU wants as many rows as it can get, up to where the calls no longer count.
_SHARE_OF_FREE, _MOST_ON_GPU = 0.25, 2**28
_TIMES_AT_PEAK = 8  # what a trace takes at its peak, over the numbers of the budget: docs/performance.md has 2 to 8


def default_budget(dtype: torch.dtype, device: torch.device) -> int:
    """Numbers kept alive by default: 32 MiB of them on a CPU, and by the free memory on a GPU.

    On a GPU it is a power of two, so that it does not change with every megabyte that others take.
    """
    at_least = _CACHE_BYTES // dtype.itemsize
    if device.type != "cuda":
        return at_least
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    free = torch.cuda.mem_get_info(device)[0] + unused
    most = int(_SHARE_OF_FREE * free) // peak_bytes(1, dtype)
    return max(at_least, min(_MOST_ON_GPU, 1 << (max(1, most).bit_length() - 1)))


def peak_bytes(budget: int, dtype: torch.dtype, row_elements: int = 0) -> int:
    """Bytes that a trace takes at its peak, beside the network's own constants.

    Args:
        budget: Numbers kept alive.
        dtype: What they are.
        row_elements: Numbers that one row keeps alive at most: large rows count where rounding is judged.
    """
    return dtype.itemsize * max(_TIMES_AT_PEAK * budget, 2 * SAMPLED * row_elements)


def constant_bytes(network: Network) -> int:
    """Bytes of a network's constants, as they are held and as they are compiled."""
    held = (part for node in network.graph.nodes for part in leaves((node.args, dict(node.kwargs))))
    return 2 * sum(part.nbytes for part in held if isinstance(part, Tensor))


def as_paths(path: Path | Sequence[Path], between: tuple[float, float] | None) -> list[Path]:
    """The paths as a list, each cut down to the stretch that is wanted.

    Raises:
        InvalidInput: No path, or something that is not one.
    """
    paths = list(path) if isinstance(path, Sequence) else [path]
    if not paths:
        raise InvalidInput("path: expected a transect.Path or a non-empty sequence of them, got an empty sequence.")
    for one in paths:
        if not isinstance(one, Path):
            raise InvalidInput(f"path: expected a transect.Path, got {type(one).__name__}; make one from its anchors.")
    if between is None:
        return paths
    if not isinstance(between, Sequence) or len(between) != 2 or not all(isinstance(t, int | float) for t in between):
        raise InvalidInput(f"between: expected two positions (start, stop), got {between!r}.")
    return [one.between(*between) for one in paths]


def as_network(network: Network | nn.Module, example: Tensor, dtype: torch.dtype | None) -> Network:
    """The network, captured on the fly where a module is given, with a batch of inputs as example.

    Raises:
        InvalidInput: It is neither, or has been captured in another dtype.
        UnsupportedModel: The module cannot be traced exactly.
    """
    if isinstance(network, Network):
        if dtype not in (None, network.dtype):
            raise InvalidInput(
                f"dtype: the network was captured in {network.dtype}; capture it with dtype={dtype} to trace in it."
            )
        return network
    if not isinstance(network, nn.Module):
        raise InvalidInput(f"network: expected a captured network or a torch.nn.Module, got {type(network).__name__}.")
    return capture(network, example, dtype=torch.float64 if dtype is None else dtype)


class HasOutputs(Protocol):
    """A network, or whatever else has outputs to choose from."""

    @property
    def outputs(self) -> int:
        """How many."""

    @property
    def device(self) -> torch.device:
        """Where they are."""


def output_indices(outputs: Sequence[int] | None, network: HasOutputs) -> Tensor | None:
    """Indices of the outputs wanted, or None for all.

    Raises:
        InvalidInput: There is no such output, or none is asked for.
    """
    if outputs is None:
        return None
    indices = whole_numbers(outputs, network.outputs, "outputs")
    if len(indices) == 0:
        raise InvalidInput(f"outputs: expected indices below {network.outputs}, got [].")
    return indices.to(network.device)


def check_whole(least: int, **arguments: int) -> None:
    """Refuse arguments that are not whole numbers of at least ``least``.

    Raises:
        InvalidInput: Names the first that is not.
    """
    for name, value in arguments.items():
        if not isinstance(value, int) or value < least:
            raise InvalidInput(f"{name}: expected a whole number of at least {least}, got {value!r}.")


def numbers_alive(budget: int | None, network: Network) -> int:
    """The budget asked for, or what suits the network's dtype and device.

    Raises:
        InvalidInput: It is not a whole number of at least 1.
    """
    if budget is None:
        return default_budget(network.dtype, network.device)
    check_whole(1, budget=budget)
    return budget


def checked_measures(measures: Sequence[Measure]) -> tuple[Measure, ...]:
    """Measures of a user's own.

    Raises:
        InvalidInput: They are no measures, have no reducer, or a name that there is already.
    """
    own = (measures,) if isinstance(measures, Measure) else tuple(measures)
    taken = set(BY_NAME)
    for measure in own:
        if not isinstance(measure, Measure) or measure.reducer is None:
            raise InvalidInput(f"measures: expected transect.measures.Measure objects with a reducer, got {measure!r}.")
        if measure.name in taken:
            raise InvalidInput(f"measures: expected a name of its own for each measure, got {measure.name!r} again.")
        taken.add(measure.name)
    return own
