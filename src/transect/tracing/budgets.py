"""How many numbers the rows of one run keep alive where the user does not say: what decides speed and memory."""

from __future__ import annotations

import torch

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
