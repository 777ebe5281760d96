"""The command line: thin; every command calls what a library user would call."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

from cyclopts import App, CycloptsError, Parameter
from cyclopts.validators import Number
from rich.panel import Panel
from rich.text import Text

from transect._version import __version__
from transect.errors import InvalidInput, OutOfMemory, TransectError, refuse_for_memory
from transect.support.terminal import Terminal

if TYPE_CHECKING:
    from transect.cli.inputs import Question

_UNUSABLE = 2  # what was given, as shells have it
_INTERRUPTED = 130  # 128 + SIGINT, what shells expect
_MOST_CORES = 100_000
_AT_LEAST_ONE = Number(gte=1, lte=_MOST_CORES)

_Dtype = Literal["float64", "float32"]
_MODEL = Parameter(
    help="package.module:callable (also from the current folder), a model of torchvision such as resnet18, or a "
    "program of torch.export that ends in .pt2."
)
_WEIGHTS = Parameter(help="Weights to load: .safetensors, .pt or .pth; read as data, nothing is unpickled.")
_SHAPE = Parameter(help="Shape of one input, without the batch: 3,224,224. Models of torchvision have one.")
_ARGUMENTS = Parameter(help="Arguments of the callable, as a JSON object: '{\"width\": 64}'.")
_OUTPUT = Parameter(help="Which output, where there are several: an index, a key, or a submodule's name.")
_DTYPE = Parameter(help="Working dtype.")
_MEAN = Parameter(help="Of each channel of images with values from 0 to 1, as 0.5,0.5,0.5.")
_STD = Parameter(help="Their standard deviations.")


def _share(_: object, given: float) -> None:
    if not 0 <= given <= _MOST_CORES:  # also where it is no number
        raise ValueError(f"Must be from 0 to {_MOST_CORES:,}.")


app = App(
    name="transect",
    version=__version__,
    error_console=Terminal(stderr=True),
    help="How nonlinear is this network, where, and does it matter? Walk along paths in a network's input space, find "
    "every linear region they cross, and measure how far the function bends away from an affine one.",
)


@app.command
def demo(
    *,
    seeds: Annotated[
        int, Parameter(validator=_AT_LEAST_ONE, help="Networks of each width, trained from different seeds.")
    ] = 3,
    out: Annotated[Path, Parameter(help="Folder for the results; finished runs in it are kept.")] = Path("demo"),
    workers: Annotated[
        int | None, Parameter(validator=_AT_LEAST_ONE, help="Runs at a time; by default as many as there are cores.")
    ] = None,
) -> None:
    """Train a width sweep, trace it exactly, draw the figure.

    Trains networks of growing width on MNIST-1D with noisy labels, finds every linear region on closed paths around
    their samples, and draws absolute deviation, crossings, and train and test error over the width. A few minutes
    on two cores. When interrupted, the same command goes on where it was.
    """
    try:
        from transect.cli.demo import run_demo  # torch takes seconds to import: not for --help

        run_demo(seeds, out, workers or _cores(), Terminal())
    except KeyboardInterrupt:
        message = f"Interrupted. Finished runs are kept in {out}; the same command goes on from there."
        Terminal(stderr=True).print(Text(message), soft_wrap=True)
        sys.exit(_INTERRUPTED)


@app.command
def check(
    model: Annotated[str, _MODEL],
    /,
    *,
    weights: Annotated[Path | None, _WEIGHTS] = None,
    shape: Annotated[str | None, _SHAPE] = None,
    arguments: Annotated[str | None, _ARGUMENTS] = None,
    output: Annotated[str | None, _OUTPUT] = None,
    dtype: Annotated[_Dtype, _DTYPE] = "float64",
    operations: Annotated[bool, Parameter(negative="", help="Also list the bending operations by name.")] = False,
    json: Annotated[bool, Parameter(negative="", help="Print the report as JSON.")] = False,
) -> None:
    """Say whether a model can be traced exactly, and how each of its operations is treated.

    Lists the operations, how many times each occurs, how it is treated and how many units bend there; for a model that
    is refused also every operation that is at fault, with its module, source line, reason and remedy. Ends with exit
    code 0 if the model can be traced exactly, and 1 if it cannot.
    """
    from transect.cli import check as checking  # torch takes seconds to import: not for --help

    report = checking.check_model(_question(model, weights, shape, arguments, output, dtype))
    if json:
        checking.show_json(report, Terminal())
    else:
        checking.show_report(report, Terminal(), operations)
    sys.exit(0 if report.traceable else 1)


@app.command(name="trace")
def trace_command(
    model: Annotated[str, _MODEL],
    /,
    *,
    start: Annotated[
        Path | None, Parameter(name="--from", help="The first input: an image, or an array saved by numpy (.npy).")
    ] = None,
    end: Annotated[Path | None, Parameter(name="--to", help="The last input.")] = None,
    around: Annotated[
        Path | None, Parameter(help="Instead: an image, which is moved along a circle and comes back.")
    ] = None,
    radius: Annotated[float | None, Parameter(help="Of the circle, in pixels; 4 by default.")] = None,
    anchors: Annotated[int | None, Parameter(help="Images on the circle; 8 by default.")] = None,
    mean: Annotated[str | None, _MEAN] = None,
    std: Annotated[str | None, _STD] = None,
    weights: Annotated[Path | None, _WEIGHTS] = None,
    shape: Annotated[str | None, _SHAPE] = None,
    arguments: Annotated[str | None, _ARGUMENTS] = None,
    output: Annotated[str | None, _OUTPUT] = None,
    dtype: Annotated[
        _Dtype | None, Parameter(help="Working dtype: float64 by default, of an estimate the model's own.")
    ] = None,
    estimate: Annotated[bool, Parameter(negative="", help="Sample instead of enumerating every region.")] = False,
    rtol: Annotated[float | None, Parameter(help="Relative tolerance of an estimate; 0.01 by default.")] = None,
    out: Annotated[
        Path | None, Parameter(help="Folder for the trace, its figure, and a table of its segments.")
    ] = None,
    json: Annotated[bool, Parameter(negative="", help="Print the numbers as JSON.")] = False,
) -> None:
    """Walk from one input to another, or around one, and find every linear region on the way.

    Prints crossings, flips, deviation and variation of every segment, the latter as l2 norms across the outputs; --json
    and the table of --out have every listed measure.
    """
    from transect.cli import inputs as asked_paths  # torch takes seconds to import: not for --help
    from transect.cli import trace as trace_command

    numbers = [None if text is None else asked_paths.parse_numbers(text) for text in (mean, std)]
    way = asked_paths.Way(start, end, around, radius, anchors, *numbers)
    question = _question(model, weights, shape, arguments, output, dtype)
    try:
        found = trace_command.find(question, way, estimate, rtol, Terminal(stderr=True))
    except KeyboardInterrupt:
        Terminal(stderr=True).print("Interrupted. Nothing was written; --estimate takes a part of the time.")
        sys.exit(_INTERRUPTED)
    files = trace_command.write(found, out) if out else []
    if json:
        trace_command.show_json(found, Terminal())
        return
    trace_command.show(found, Terminal())
    for file in files:
        Terminal().print(Text(f"Written: {file}"), soft_wrap=True)


@app.command(name="slice")
def slice_command(
    model: Annotated[str, _MODEL],
    /,
    *,
    through: Annotated[
        tuple[Path, Path, Path] | None,
        Parameter(help="Three inputs, the corners of a triangle: images, or arrays saved by numpy (.npy)."),
    ] = None,
    margin: Annotated[
        float | None,
        Parameter(help="Instead of the triangle a rectangle around it, larger by this part of its side everywhere."),
    ] = None,
    around: Annotated[Path | None, Parameter(help="Instead: an input, the middle of a square.")] = None,
    radius: Annotated[
        float | None,
        Parameter(
            help="Half the side of the square, in units of the input; by default it reaches the two inputs of "
            "--directions, or is a tenth of the input's length."
        ),
    ] = None,
    directions: Annotated[
        list[str] | None,
        Parameter(
            consume_multiple=True,
            negative="",
            help="Of the square: random; principal FILE FILE FILE ..., those in which three or more inputs vary most; "
            "or FILE FILE, two inputs to point to.",
        ),
    ] = None,
    seed: Annotated[int | None, Parameter(help="Of random directions; 0 by default.")] = None,
    mean: Annotated[str | None, _MEAN] = None,
    std: Annotated[str | None, _STD] = None,
    weights: Annotated[Path | None, _WEIGHTS] = None,
    shape: Annotated[str | None, _SHAPE] = None,
    arguments: Annotated[str | None, _ARGUMENTS] = None,
    output: Annotated[str | None, _OUTPUT] = None,
    dtype: Annotated[_Dtype, _DTYPE] = "float64",
    keep: Annotated[
        Literal["all", "measures"] | None,
        Parameter(help="What is kept: all polygons, or the measures only; by default all where there is room."),
    ] = None,
    colour: Annotated[
        Literal["region", "slope", "output", "class", "operation", "area"] | None,
        Parameter(help="What the polygons of the figure are coloured by."),
    ] = None,
    out: Annotated[
        Path | None, Parameter(help="Folder for the slice, its figure, and a table of its measures.")
    ] = None,
    json: Annotated[bool, Parameter(negative="", help="Print the numbers as JSON.")] = False,
) -> None:
    """Slice a network with a plane through three inputs, or around one, and find every linear region in it.

    Prints regions, borders by operation, the decision boundary and the area in which each output is the largest.
    """
    from transect.cli import inputs as asked_inputs  # torch takes seconds to import: not for --help
    from transect.cli import planes as asked_planes
    from transect.cli import slice as slicing

    slicing.check_colour(colour, out, keep)
    numbers = [None if text is None else asked_inputs.parse_numbers(text) for text in (mean, std)]
    where = asked_planes.Where(through, around, radius, tuple(directions or ()), margin, seed, *numbers)
    question = _question(model, weights, shape, arguments, output, dtype)
    try:
        found = slicing.find(question, where, keep, Terminal(stderr=True))
    except KeyboardInterrupt:
        Terminal(stderr=True).print("Interrupted. Nothing was written; a smaller plane takes a part of the time.")
        sys.exit(_INTERRUPTED)
    files = slicing.write(found, out, colour) if out else []
    if json:
        slicing.show_json(found, Terminal())
        return
    slicing.show(found, Terminal())
    for file in files:
        Terminal().print(Text(f"Written: {file}"), soft_wrap=True)


study = App(name="study", help="Declared studies: run a study file, look at it, compare and publish its tables.")
app.command(study)

_FOLDER = Parameter(help="Folder of a study, as given to study run.")
_OUT = Parameter(help="Folder for the results, by default results/<name of the study>; what is finished in it is kept.")


@study.command(name="list")
def study_list() -> None:
    """List the study files that come with Transect: study run takes their names."""
    from transect.cli import study as study_commands

    study_commands.list_ready(Terminal())


@study.command(name="run")
def study_run(
    file: Annotated[Path, Parameter(help="The study file, TOML, or the name of a ready one: see study list.")],
    /,
    *,
    out: Annotated[Path | None, _OUT] = None,
    workers: Annotated[
        int | None,
        Parameter(validator=_AT_LEAST_ONE, help="Pieces of work at a time; by default what there is room for."),
    ] = None,
    executor: Annotated[
        Literal["local", "ray"], Parameter(help="Processes of this machine, or an existing Ray cluster.")
    ] = "local",
    address: Annotated[str, Parameter(help="Of the cluster: auto, host:port or ray://host:port.")] = "auto",
    cpus: Annotated[float, Parameter(validator=_share, help="Cores of one piece of work.")] = 1.0,
    networks: Annotated[
        list[Path] | None,
        Parameter(negative="", help="Folders of other studies: networks trained there are taken."),
    ] = None,
    rows: Annotated[
        list[Path] | None,
        Parameter(negative="", help="Run tables of this study from elsewhere: what has a row there is not made again."),
    ] = None,
    gpus: Annotated[
        float, Parameter(validator=_share, help="GPUs of one piece of work, or a part of one (Ray).")
    ] = 0.0,
    dry_run: Annotated[
        bool, Parameter(negative="", help="Only list the networks, with an estimate of the time they take.")
    ] = False,
    build: Annotated[
        bool, Parameter(negative="", help="Also build and time models of your own in a dry run: their code is run.")
    ] = False,
) -> None:
    """Do everything of a study file that is not finished yet and write its tables.

    Every network is trained once and measured in every way. When interrupted, the same command goes on where it was;
    networks and ways of measuring may be added to the file between calls. A study file that names a callable or module
    of your own runs that code.
    """
    from transect.cli import study as study_commands  # torch takes seconds to import: not for --help

    if dry_run:
        study_commands.dry_run(file, out, workers or _cores(), Terminal(), build)
        return
    try:
        where = study_commands.Where(executor, workers, address, cpus, gpus)
        study_commands.run(file, out, networks or [], rows or [], where, _cores(), Terminal())
    except KeyboardInterrupt:
        message = "Interrupted. What is finished is kept; the same command goes on from there."
        Terminal(stderr=True).print(Text(message), soft_wrap=True)
        sys.exit(_INTERRUPTED)


@study.command(name="status")
def study_status(
    folder: Annotated[Path, _FOLDER],
    /,
    *,
    watch: Annotated[
        bool, Parameter(negative="", help="Look again every five seconds, until nothing is left.")
    ] = False,
) -> None:
    """Tell what is done, running, failed and waiting; also while the study runs elsewhere.

    Ends with exit code 1 if something has failed.
    """
    from transect.cli import study as study_commands

    try:
        look = study_commands.watch_status if watch else study_commands.show_status
        found = look(folder, Terminal())
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    sys.exit(1 if found.count("failed") else 0)


@study.command(name="plot")
def study_plot(
    folder: Annotated[Path, _FOLDER],
    /,
    *,
    to: Annotated[Path | None, Parameter(help="Where figures and verdict go; into the same folder by default.")] = None,
    over: Annotated[
        str | None, Parameter(help="The swept setting to draw over, such as width or learning_rate; all by default.")
    ] = None,
) -> None:
    """Draw the figures of a study and say which claims of the paper hold in it."""
    from transect.cli import study as study_commands

    study_commands.plot(folder, folder if to is None else to, over, Terminal())


@study.command(name="compare")
def study_compare(
    first: Annotated[Path, _FOLDER],
    second: Annotated[Path, _FOLDER],
    /,
    *,
    to: Annotated[
        Path | None, Parameter(help="Also write the comparison as Parquet and CSV, such as comparison.parquet.")
    ] = None,
) -> None:
    """Compare two studies, network by network, with intervals."""
    from transect.cli import study as study_commands

    study_commands.compare(first, second, to, Terminal())


@study.command(name="export")
def study_export(
    folder: Annotated[Path, _FOLDER],
    /,
    *,
    to: Annotated[Path, Parameter(help="Folder for the tables.")],
) -> None:
    """Write the tables of all that is finished so far, as Parquet and CSV; also while the study is running."""
    from transect.cli import study as study_commands

    study_commands.export(folder, to, Terminal())


def main(words: Sequence[str] | None = None) -> None:
    """Entry point: errors that are not bugs are one message, without a traceback.

    The exit code is 2 where what was given cannot be used (words, a file, a model that is not there), else 1.

    Args:
        words: What follows ``transect``; the words of the process' own command line where None.
    """
    try:
        app(sys.argv[1:] if words is None else list(words), exit_on_error=False)
    except CycloptsError:  # which has said it
        sys.exit(_UNUSABLE)
    except (TransectError, OSError) as error:  # of the system: no room on the disk, no permission, ...
        _end(error)
    except (MemoryError, RuntimeError) as error:
        try:
            refuse_for_memory(error)
        except OutOfMemory as lack:
            _end(lack)
        raise


def _end(error: Exception) -> NoReturn:
    panel = Panel(Text(str(error)), title=type(error).__name__, title_align="left", border_style="red")
    Terminal(stderr=True).print(panel)
    sys.exit(_UNUSABLE if isinstance(error, InvalidInput) else 1)


def _question(
    model: str, weights: Path | None, shape: str | None, arguments: str | None, output: str | None, dtype: _Dtype | None
) -> Question:
    from transect.cli.inputs import Question, parse_arguments, parse_shape

    given = {} if arguments is None else parse_arguments(arguments)
    return Question(model, weights, given, None if shape is None else parse_shape(shape), output, dtype)


def _cores() -> int:
    """Cores this process may use, which in a container can be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
