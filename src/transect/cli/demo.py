"""The demo as a person sees it: what is about to happen, what came out, what was written, what to try next."""

from __future__ import annotations

import shlex
from pathlib import Path

import pyarrow as pa
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from transect.analysis.claims import ClaimsVerdict
from transect.jobs.progress import study_progress
from transect.study.checks import defaults_said
from transect.study.columns import RUN_SCHEMA
from transect.study.config import StudyConfig
from transect.study.files import demo_study
from transect.study.report import report_study
from transect.study.running.folders import RUNS, TABLE
from transect.study.running.sweep import run_study
from transect.tables.curves import Curves
from transect.tables.files import read_table
from transect.tables.names import describe

TITLE = "MNIST-1D, MLPs, {noise}: nonlinearity, density of regions, error"
_COLUMNS = {
    "parameters": ("param-\neters", "{:,.0f}"),
    "train_error": ("train\nerror", "{:.3f}"),
    "test_error": ("test\nerror", "{:.3f}"),
    "absolute_deviation": ("deviation", "{:.1f}"),
    "logit_std": ("logit\nstd", "{:.2f}"),
    "scaled_deviation": ("dev.\n/ std", "{:.2f}"),
    "crossings": ("crossings", "{:,.0f}"),
    "density": ("density", "{:.2f}"),
}


def run_demo(seeds: int, out: Path, workers: int, console: Console) -> ClaimsVerdict:
    """Run the demo study, or what is left of it, and show what it says.

    Args:
        seeds: Networks of each width.
        out: Folder for everything it writes.
        workers: Worker processes.
        console: Where to show it.

    Returns:
        What it says about the claims of the paper.

    Raises:
        StudyError: If ``out`` holds another study, or a run failed; finished runs are kept.
    """
    config = demo_study(seeds)
    _announce(config, out, workers, console)
    with study_progress(console, "The sweep") as progress:
        table = run_study(config, out, workers, progress)
    with console.status("Drawing the figure"):
        title = TITLE.format(noise=describe({"label_noise": config.data[0].label_noise}))
        verdict = report_study(table, out, title, defaults_said(config))
    console.print()
    console.print(results_table(read_table(table, RUN_SCHEMA)))
    console.print(coloured_summary(verdict), soft_wrap=True)
    console.print()
    _show_files(out, console)
    _show_next(seeds, out, console)
    return verdict


def results_table(rows: pa.Table) -> Table:
    """The sweep by width, means over seeds, paths around training samples; peaks are marked with a star, and the
    interpolation threshold is named."""
    curves = Curves.of(rows, "train", list(_COLUMNS))
    table = Table(box=box.SIMPLE_HEAD, padding=0, header_style="bold", caption=_CAPTION, caption_justify="left")
    for heading in ("width", *(heading for heading, _ in _COLUMNS.values())):
        table.add_column(heading, justify="right", vertical="bottom")
    for place, width in enumerate(curves.widths):
        cells = [_cell(curves, column, place) for column in _COLUMNS]
        threshold = width == curves.interpolation_threshold()
        table.add_row(f"{'>' if threshold else ''}{width}", *cells, style="bold" if threshold else None)
    return table


_CAPTION = "Means over seeds, per path; * peak, > interpolation threshold"
_STARRED = ("test_error", "absolute_deviation", "scaled_deviation", "density")


def _cell(curves: Curves, column: str, place: int) -> str:
    mean = curves.mean(column)
    star = "*" if column in _STARRED and place == mean.argmax() else ""
    return star + _COLUMNS[column][1].format(mean[place])


def coloured_summary(verdict: ClaimsVerdict) -> Text:
    """The verdict's summary with its outcomes in colour."""
    text = Text(verdict.summary())
    text.highlight_regex(r"^Claim \d:", "bold")
    for words, style in (("holds", "green"), ("seen", "cyan"), ("not seen|does not hold", "bold red")):
        text.highlight_regex(rf"(?i)(?<=\[)({words})(?=\])|^  (.*: )?({words.upper()})$", style)
    return text


def _announce(config: StudyConfig, out: Path, workers: int, console: Console) -> None:
    runs, noise, paths = len(config.networks()), 100 * config.data[0].label_noise, config.paths[0].paths
    widths = ", ".join(str(model.width) for model in config.model)
    console.print(
        f"{runs} MLPs on MNIST-1D with {noise:.0f} % wrong labels: widths {widths}; "
        f"{len(config.train)} seed{'s' if len(config.train) > 1 else ''}. {workers} at a time, the widest first. "
        f"Each is trained, then traced exactly along {paths} closed paths around training samples and as "
        f"many around test samples. Everything goes to {out}; Ctrl-C loses no finished run.\n",
        highlight=False,
    )


def _show_files(out: Path, console: Console) -> None:
    files = {
        "figure.png, figure.svg": "the figure",
        f"{TABLE}, table.csv": "one row for each width, seed and split",
        "verdict.txt": "the paper's claims, for paths around training and test samples",
        "paths.parquet, paths.csv": "one row for each path",
        "timings.parquet, timings.csv": "how long everything took",
        f"{RUNS}/": "the trained networks",
    }
    console.print(Text(f"Written to {out}", style="bold"))
    _show_pairs(files, console)
    console.print()


def _show_next(seeds: int, out: Path, console: Console) -> None:
    steps = {
        f"transect demo --seeds {seeds + 3}{_out_option(out)}": "more seeds; these runs are kept",
        "transect.trace(model, path)": "trace a network of your own (README.md)",
    }
    console.print(Text("What to try next", style="bold"))
    _show_pairs(steps, console)


def _out_option(out: Path) -> str:
    return "" if out == Path("demo") else f" --out {shlex.quote(str(out))}"


def _show_pairs(entries: dict[str, str], console: Console) -> None:
    """One line each, however long: a command that is wrapped cannot be copied."""
    room = max(map(len, entries))
    for left, right in entries.items():
        line = Text("  ").append(left.ljust(room), style="cyan").append(f"  {right}")
        console.print(line, soft_wrap=True)
