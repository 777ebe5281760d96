"""Memory that is freed is used again: counted in pages that the system hands out, in a process of its own."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys, torch
from transect.recycling import recycle_large_blocks
if sys.argv[1] == "recycled":
    recycle_large_blocks(torch.device("cpu"))
for turn in range(12):  # the first ones settle where in the heap everything lies
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [torch.ones(2**23, dtype=torch.uint8) for _ in range(5)]  # 40 MiB
    while blocks:
        blocks.pop()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _fresh_pages(how: str) -> int:
    """Pages that came fresh from the system for five blocks of 8 MiB that have been there, and were freed, eleven times."""
    ended = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True)
    return int(ended.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="what freed memory becomes is glibc's matter")
def test_blocks_that_were_freed_do_not_come_back_as_fresh_pages():
    assert _fresh_pages("as it is") > 1000
    assert _fresh_pages("recycled") < 100
