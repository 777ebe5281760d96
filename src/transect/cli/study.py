"""The commands ``transect study ...`` as a person sees them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from transect.analysis.studies import compare_studies
from transect.errors import StudyError
from transect.jobs import Executor, LocalExecutor, RayExecutor
from transect.jobs.progress import study_progress
from transect.study.checks import defaults_said
from transect.study.columns import RUN_SCHEMA
from transect.study.config import StudyConfig
from transect.study.files import read_study, ready_studies
from transect.study.report import report_tables
from transect.study.running.folders import CONFIGURATION, PATH_TABLE, RUNS, TABLE, TIMING_TABLE
from transect.study.running.forecasting import RunForecast, forecast_study
from transect.study.running.status import RunStatus, StudyStatus, study_status
from transect.study.running.sweep import Resources, read_configuration, run_study
from transect.study.running.tables import write_tables
from transect.tables.files import read_table, write_table, write_text
from transect.tables.grouping import axis_named

_STYLES = {"done": "green", "running": "cyan", "failed": "bold red", "waiting": "dim"}


@dataclass(frozen=True)
class Where:
    """Who does the work of a study.

    Attributes:
        executor: Worker processes of this machine, or an existing Ray cluster.
        workers: Runs at a time; as many as there is room for where None.
        address: Of the cluster.
        cpus: Cores of one piece of work.
        gpus: GPUs of one piece of work, or a part of one.
    """

    executor: Literal["local", "ray"] = "local"
    workers: int | None = None
    address: str = "auto"
    cpus: float = 1.0
    gpus: float = 0.0

    def open(self, cores: int) -> Executor:
        """The executor; for local work by default as many processes as there are cores for."""
        if self.executor == "ray":
            return RayExecutor(self.address, workers=self.workers)
        threads = max(1, int(self.cpus))
        return LocalExecutor(self.workers or max(1, cores // threads), threads=threads)


def run(
    file: Path,
    out: Path | None,
    networks: Sequence[Path],
    rows: Sequence[Path],
    where: Where,
    cores: int,
    console: Console,
) -> None:
    """Run a study file, or what is left of it; networks that lie trained in other folders, and rows that other machines
    have made, are taken from there."""
    config = read_study(file)
    folder = default_folder(config) if out is None else out
    measurings = config.measurings()
    says = (
        f"{config.name}: {_many(len(config.networks()), 'network')}, each measured in {_many(len(measurings), 'way')}. "
        f"Everything goes to {folder}; Ctrl-C loses nothing that is finished."
    )
    console.print(Text(says), soft_wrap=True)
    _say_defaults(config, console)

    def told(line: str) -> None:
        console.print(Text(line), soft_wrap=True)

    resources = Resources(cpus=where.cpus, gpus=where.gpus)
    with where.open(cores) as executor, study_progress(console, config.name, "networks") as progress:
        run_study(config, folder, executor, progress, resources=resources, networks=networks, rows=rows, told=told)
    console.print(Text(f"\nWritten to {folder}", style="bold"))
    for name, what in (
        (TABLE, "one row for each network and way of measuring it"),
        (PATH_TABLE, "one row for each path"),
        (TIMING_TABLE, "how long everything took"),
        (f"{RUNS}/", "weights, learning curves"),
    ):
        console.print(Text(f"  {name:<18}{what}"), soft_wrap=True)
    console.print(Text(f"Next: transect study plot {folder}", style="dim"), soft_wrap=True)


def _say_defaults(config: StudyConfig, console: Console) -> None:
    if said := defaults_said(config):
        console.print(Text(said, style="dim"), soft_wrap=True)


def list_ready(console: Console) -> None:
    """Names, titles and sizes of the study files that come with the package."""
    table = Table("study", "what", "networks", box=box.SIMPLE, pad_edge=False)
    for name, file in ready_studies().items():
        study = read_study(file)
        table.add_row(name, study.title, str(len(study.networks())))
    console.print(table)


def dry_run(file: Path, out: Path | None, workers: int, console: Console, build: bool = False) -> None:
    """List the runs of a study file with an estimate of their time.

    Args:
        file: The study file.
        out: Its folder; the default one where None.
        workers: For the estimate.
        console: Where to show it.
        build: Whether models of the user may be built and timed, which runs their code.
    """
    config = read_study(file)
    folder = default_folder(config) if out is None else out
    with console.status("Looking at the networks") as shown:

        def told(label: str) -> None:
            shown.update(Text(f"Timing a few steps of {label}"))

        rows = list(forecast_study(config, folder, told=told, build=build))
    console.print(forecast_table(rows))
    _say_defaults(config, console)
    left = [row for row in rows if not row.finished]
    known = [row.seconds for row in left if row.seconds is not None]
    unknown = len(left) - len(known)
    without = (
        f" (and {_many(unknown, 'network')} of models of your own, whose code only --build runs)" if unknown else ""
    )
    console.print(
        f"{_many(len(left), 'network')} of {len(rows)} to do, about {duration(sum(known))} of one core, "
        f"{duration(sum(known) / workers)} with {_many(workers, 'worker')} of this machine{without}. Nothing was run.",
        highlight=False,
        soft_wrap=True,
    )


def show_status(folder: Path, console: Console) -> StudyStatus:
    """Tell what is done, running, failed and waiting, and about how long the rest takes."""
    found = study_status(folder)
    console.print(status_table(found))
    counts = ", ".join(f"{found.count(condition)} {condition}" for condition in _STYLES)  # type: ignore[arg-type]
    left = found.seconds_left
    end = f"; about {duration(left)} left" if left else ""
    console.print(Text(f"{found.name}: {counts}{end}"), soft_wrap=True)
    for run_ in found.runs:
        if run_.condition == "failed":
            console.print(
                Text(f"{run_.label}: {run_.error}\n  {run_.folder / 'error.txt'}", style="red"), soft_wrap=True
            )
    return found


def watch_status(folder: Path, console: Console, seconds: float = 5.0) -> StudyStatus:
    """Show the status again and again until nothing is running or waiting."""
    while True:
        console.clear()
        found = show_status(folder, console)
        if found.count("running") + found.count("waiting") == 0:
            return found
        time.sleep(seconds)


def plot(folder: Path, to: Path, over: str | None, console: Console) -> None:
    """Draw every figure that the tables of a study give, and write what they say."""
    config = read_configuration(folder)
    table = read_table(finished_table(folder), RUN_SCHEMA)
    with console.status("Drawing the figures"):
        files = report_tables(
            table,
            to,
            folder / PATH_TABLE,
            config.title or None,
            defaults_said(config),
            over and axis_named(table, over),
        )
    for file in files:
        if file.name == "claims.txt":
            console.print(Text(file.read_text(encoding="utf-8")), soft_wrap=True)
    console.print(Text(f"Written to {to}", style="bold"))
    for file in files:
        console.print(Text(f"  {file.name}"), soft_wrap=True)


def compare(first: Path, second: Path, to: Path | None, console: Console) -> None:
    """Compare two studies, network by network."""
    names = (str(first), str(second))
    tables = [read_table(finished_table(folder), RUN_SCHEMA) for folder in (first, second)]
    found = compare_studies(tables[0], tables[1], names=names)
    console.print(Text(found.summary()), soft_wrap=True)
    if to is not None:
        write_table(found.table(), to)
        console.print(Text(f"\nWritten to {to} and {to.with_suffix('.csv').name}"), soft_wrap=True)


def export(folder: Path, to: Path, console: Console) -> None:
    """Write the tables of all that is finished so far, also while the study is running."""
    if (to / RUNS).exists() and not to.samefile(folder):
        raise StudyError(f"expected a folder for tables, got that of another study: {to}")
    files = write_tables(read_configuration(folder), folder, to)
    write_text(to / CONFIGURATION, (folder / CONFIGURATION).read_text(encoding="utf-8"))  # whose rows these are
    for file in files:
        console.print(Text(f"{file} and {file.with_suffix('.csv').name}"), soft_wrap=True)


def finished_table(folder: Path) -> Path:
    """The run table of a study's folder.

    Raises:
        StudyError: If the folder holds none.
    """
    read_configuration(folder)
    if not (folder / TABLE).exists():
        raise StudyError(f"{folder} has no {TABLE} yet; transect study export {folder} writes what is finished")
    return folder / TABLE


def default_folder(config: StudyConfig) -> Path:
    """Where a study goes if nobody says where."""
    return Path("results") / config.name


def forecast_table(rows: list[RunForecast]) -> Table:
    """The networks of a study with the time they would take."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), header_style="bold")
    table.add_column("network")
    for heading in ("training", "measuring"):
        table.add_column(heading, justify="right")
    for row in rows:
        times = [_time(row, seconds) for seconds in (row.train_seconds, row.measure_seconds)]
        table.add_row(Text(row.label), *times, style="dim" if row.finished else None)
    return table


def _time(row: RunForecast, seconds: float | None) -> str:
    return "done" if row.finished else "not built" if seconds is None else duration(seconds)


def status_table(found: StudyStatus) -> Table:
    """The networks of a study and how far each is."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), header_style="bold")
    for heading in ("network", "", "doing", "paths"):
        table.add_column(heading)
    for row in found.runs:
        blocks = f"{row.blocks_done}/{row.blocks}" if row.trained else ""
        table.add_row(Text(row.label), Text(row.condition, style=_STYLES[row.condition]), _doing(row), blocks)
    return table


def _doing(row: RunStatus) -> Text:
    said = (f"{state.stage} {state.step}/{state.steps}, {duration(state.seconds)}" for state in row.states)
    return Text("; ".join(said))


def duration(seconds: float) -> str:
    """A time as people say it."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    text = str(timedelta(minutes=round(seconds / 60)))
    return text.removesuffix(":00") + " h" if seconds >= 3600 else f"{seconds / 60:.0f} min"


def _many(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
