"""The command line: thin; every command calls what a library user would call."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from rich.console import Console
from rich.panel import Panel

from transect._version import __version__
from transect.errors import TransectError

app = App(
    name="transect",
    version=__version__,
    help="How nonlinear is this network, where, and does it matter? Walk along paths in a network's input space, find "
    "every linear region they cross, and measure how far the function bends away from an affine one.",
)


@app.command
def demo(
    *,
    seeds: Annotated[int, Parameter(help="Networks of each width, trained from different seeds.")] = 2,
    out: Annotated[Path, Parameter(help="Folder for the results; finished runs in it are kept.")] = Path("demo"),
    workers: Annotated[int | None, Parameter(help="Worker processes; one a core by default.")] = None,
) -> None:
    """The poster's figure, from training to picture: a width sweep on MNIST-1D, traced exactly.

    Trains networks of growing width on noisy labels, finds every linear region on closed paths around their samples,
    and draws absolute deviation, crossings, and train and test error over the width. About three minutes on two cores;
    an interrupted demo goes on where it was.
    """
    from transect.demo import run_demo

    run_demo(seeds=seeds, out=out, workers=workers or os.cpu_count() or 1, console=Console())


def main() -> None:
    """Entry point: errors of ours are one message and exit code 1, an interruption says what is kept."""
    console = Console(stderr=True)
    try:
        app()
    except TransectError as error:
        console.print(Panel(str(error), title=type(error).__name__, title_align="left", border_style="red"))
        sys.exit(1)
    except KeyboardInterrupt:
        console.print("Interrupted. Finished runs are kept; the same command goes on from there.")
        sys.exit(130)
