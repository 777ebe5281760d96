"""Cases of a benchmark, each in a process of its own, so that its memory and its caches are its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from typing import Any

from environment import write_row

Row = dict[str, Any]


def run_alone(name: str, script: str, cases: Iterable[str], *options: str) -> int:
    """Run ``script --one CASE`` for one case after the other, and write each row as it comes.

    The script prints its row as its last line. What it says on standard error is passed on.

    Returns:
        1 if a case failed, else 0.
    """
    failed = 0
    for case in cases:
        made = subprocess.run([sys.executable, script, "--one", case, *options], check=False, stdout=subprocess.PIPE)
        if made.returncode:
            failed = 1
            print(f"{case}: FAILED, exit status {made.returncode}", file=sys.stderr, flush=True)
            continue
        keep(name, json.loads(made.stdout.splitlines()[-1]))
    return failed


def run_here(name: str, cases: Iterable[str], row_of: Callable[[str], Row]) -> None:
    """Make the rows in this process, and write each as it comes."""
    for case in cases:
        keep(name, row_of(case))


def keep(name: str, row: Row) -> None:
    """Write a row, and show it."""
    write_row(name, row)
    print(json.dumps(row), flush=True)
