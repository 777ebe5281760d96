"""Memory that is used again: on Linux large blocks go back to the system when they are freed, and come back empty.

A trace makes and drops blocks of some MiB all the time, and where each of them is made of fresh pages, that costs a
part of its time. glibc's malloc keeps what is freed for the next call up to a size that follows the largest block
it ever got back, to 32 MiB at most (``mallopt(3)``, ``M_MMAP_THRESHOLD``). So one such block is asked for and dropped
untouched, which takes microseconds and no memory. Elsewhere it changes nothing.
"""

from __future__ import annotations

import torch

_LARGEST_KEPT = 2**25 - 2**16  # bytes; with its header a little below 32 MiB


def recycle_large_blocks(device: torch.device) -> None:
    """Have blocks of up to 32 MiB kept for the next one that is asked for, on a CPU."""
    if device.type == "cpu":
        torch.empty(_LARGEST_KEPT, dtype=torch.uint8)
