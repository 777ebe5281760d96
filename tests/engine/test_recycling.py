"""Memory that is freed is used again: counted in pages that the system hands out, in a process of its own."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, torch
from transect.support.memory import recycle_large_blocks
recycle_large_blocks(torch.device("cpu"))
for turn in range(20):  # the first ones settle where in the heap everything lies
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [torch.ones(3 * 2**22, dtype=torch.uint8) for _ in range(5)]
    while blocks:
        blocks.pop()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="what freed memory becomes is glibc's matter")
def test_blocks_that_were_freed_do_not_come_back_as_fresh_pages():
    """Five blocks of 12 MiB: without the call they are mostly 12,256 fresh pages, every time."""
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert int(ended.stdout) < 1000
