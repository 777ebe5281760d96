"""The command line: thin; every command calls what a library user would call."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from cyclopts.validators import Number
from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from transect._version import __version__
from transect.errors import TransectError

_INTERRUPTED = 130  # 128 + SIGINT, what shells expect
_AT_LEAST_ONE = Number(gte=1)

app = App(
    name="transect",
    version=__version__,
    help="How nonlinear is this network, where, and does it matter? Walk along paths in a network's input space, find "
    "every linear region they cross, and measure how far the function bends away from an affine one.",
)


@app.command
def demo(
    *,
    seeds: Annotated[
        int, Parameter(validator=_AT_LEAST_ONE, help="Networks of each width, trained from different seeds.")
    ] = 2,
    out: Annotated[Path, Parameter(help="Folder for the results; finished runs in it are kept.")] = Path("demo"),
    workers: Annotated[
        int | None, Parameter(validator=_AT_LEAST_ONE, help="Runs at a time; by default as many as there are cores.")
    ] = None,
) -> None:
    """Train a width sweep, trace it exactly, draw the figure.

    Trains networks of growing width on MNIST-1D with noisy labels, finds every linear region on closed paths around
    their samples, and draws absolute deviation, crossings, and train and test error over the width. About three minutes
    on two cores. When interrupted, the same command goes on where it was.
    """
    try:
        from transect.demo import run_demo  # torch takes seconds to import: not for --help

        run_demo(seeds, out, workers or _cores(), Console())
    except KeyboardInterrupt:
        message = f"Interrupted. Finished runs are kept in {out}; the same command goes on from there."
        Console(stderr=True).print(Text(message), soft_wrap=True)
        sys.exit(_INTERRUPTED)


def main(words: Sequence[str] | None = None) -> None:
    """Entry point: errors that are not bugs are one message and exit code 1, without a traceback.

    Args:
        words: What follows ``transect``; the words of the process' own command line where None.
    """
    try:
        app(sys.argv[1:] if words is None else list(words))
    except (TransectError, OSError) as error:  # of the system: no room on the disk, no permission, ...
        panel = Panel(Text(str(error)), title=type(error).__name__, title_align="left", border_style="red")
        Console(stderr=True).print(panel)
        sys.exit(1)


def _cores() -> int:
    """Cores this process may use, which in a container can be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
