"""A study: all its networks on workers, everything kept as it is finished, joined to tables."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from transect.errors import StudyError
from transect.jobs import Executor, Job, JobEvent, Outcome, ProgressCallback, raise_failures, run_jobs
from transect.jobs.job import Kind
from transect.study.checks import check_study
from transect.study.config import MeasuringConfig, NetworkConfig, StudyConfig
from transect.study.data.load import load_data
from transect.study.identity import identified
from transect.study.running.folders import (
    CONFIGURATION,
    RUNS,
    RunFolder,
    blocks,
    borrow_networks,
    run_folder,
    take_rows,
)
from transect.study.running.measuring import MeasurePaths, measure_paths, refuse_impossible
from transect.study.running.run import NetworkTask, PartTask, measure_part, train_network
from transect.study.running.tables import write_tables
from transect.study.sections import canonical_json, differences
from transect.support.untrusted import parse_json
from transect.tables.files import remove_leftovers, write_text
from transect.tables.ownership import owned


class RunProgress:
    """Hears of trainings and blocks of paths; tells of runs: one is finished when all its jobs are.

    Args:
        progress: Who is told.
        jobs: Of each run, the keys of its jobs.
        kept: The runs for which nothing is left to do.
    """

    def __init__(self, progress: ProgressCallback, jobs: Mapping[str, Sequence[str]], kept: Sequence[str]) -> None:
        self._progress, self._total = progress, len(jobs)
        self._run_of = {job: run for run, keys in jobs.items() for job in keys}
        self._left = {run: set(keys) for run, keys in jobs.items()}
        self._blocks = {run: sum(key != run for key in keys) for run, keys in jobs.items()}
        self._said: dict[str, str] = {}
        self._started: set[str] = set()
        self._failed: set[str] = set()
        self._done = 0
        for run in kept:
            self._end(run, "kept", "")

    def __call__(self, event: JobEvent) -> None:
        """Take note of what happened to a job."""
        run = self._run_of[event.job]
        if run in self._failed:
            return
        if event.kind == "started":
            self._start(run)
        elif event.kind == "advanced" and (event.job == run or event.message):  # a block's steps are not worth a line
            self._tell(run, "advanced", event.stage, event.step, event.steps, event.message)
        elif event.kind == "failed":
            self._failed.add(run)
            self._end(run, "failed", event.message)
        elif event.kind == "finished":
            self._finish(run, event)

    def _start(self, run: str) -> None:
        if run not in self._started:
            self._started.add(run)
            self._tell(run, "started")

    def _finish(self, run: str, event: JobEvent) -> None:
        self._left[run].discard(event.job)
        if event.message:
            self._said[run] = event.message
        if not self._left[run]:
            self._end(run, "finished", self._said.get(run, "measured"))
        else:
            blocks = self._blocks[run]
            self._tell(run, "advanced", "measuring", blocks - len(self._left[run]), blocks)

    def _end(self, run: str, kind: Kind, message: str) -> None:
        self._done += 1
        self._tell(run, kind, message=message)

    def _tell(self, run: str, kind: Kind, stage: str = "", step: int = 0, steps: int = 0, message: str = "") -> None:
        self._progress(JobEvent(run, kind, self._done, self._total, stage, step, steps, message))


@dataclass(frozen=True)
class Resources:
    """What one piece of work takes; of interest to a cluster.

    Attributes:
        cpus: Cores, and threads of torch.
        gpus: GPUs, or parts of one.
    """

    cpus: float = 1.0
    gpus: float = 0.0


def run_study(
    config: StudyConfig,
    folder: str | os.PathLike[str],
    executor: Executor | int = 2,
    progress: ProgressCallback | None = None,
    cache: Path | None = None,
    measure: MeasurePaths = measure_paths,
    resources: Resources = Resources(),
    networks: Sequence[Path] = (),
    rows: Sequence[Path] = (),
    told: Callable[[str], None] | None = None,
) -> Path:
    """Do everything of a study that is not finished yet and write its tables.

    Interrupted in any way, the study goes on from what is on the disk when it is called again: finished networks and
    blocks of paths are kept, a network in training resumes from its last checkpoint, and the tables are the same, bit
    for bit, on one machine. Networks and ways of measuring may be added between calls.

    Local worker processes are spawned: a script that calls this must do so under ``if __name__ == "__main__":``.

    Args:
        config: The study.
        folder: Where everything goes: ``study.json``, ``runs/``, ``table`` (a row for each network and way of measuring
            it), ``paths`` (one for each path) and ``timings``, each as ``.parquet`` and ``.csv``.
        executor: Who does the work: so many local worker processes with one thread each, or an executor, which is not
            closed. On a cluster, ``folder`` and the data must be seen by every node.
        progress: Hears of everything that happens to a network; keys are its labels (``StudyConfig.labels``).
        cache: Folder of the data cache; None for the default one.
        measure: The measuring function; importable by its name.
        resources: What one piece of work takes.
        networks: Folders of other studies: what is trained there is taken from there.
        rows: Run tables of this study from other machines: what has a row there is not made again.
        told: Hears how much was taken.

    Returns:
        Path of the run table, ``folder/table.parquet``.

    Raises:
        StudyError: If the folder holds another study, the data or paths cannot be made, or something has failed (the
            rest is finished and kept; the message lists the failures, ``error.txt`` of a run has its traceback).
        FolderInUse: If another process works in the folder.
    """
    folder = Path(folder).absolute()  # a worker on another machine runs elsewhere
    check_study(config)
    config = identified(config, cache)
    check_study(config)  # also that no two networks are the same
    for loaded in (load_data(data, cache) for data in config.data):
        asked = {canonical_json(one.paths.model_dump(mode="json")): one.paths for one in config.measurings()}
        for paths in asked.values():
            refuse_impossible(loaded, paths)
    with owned(folder) as ownership:
        claim(config, folder)
        copied = borrow_networks(config, folder, networks)
        if networks and told is not None:
            told(f"{copied} network{'' if copied == 1 else 's'} taken from {', '.join(map(str, networks))}.")
        for file in rows:
            found = take_rows(config, folder, file)
            if told is not None:
                told(found)
        tasks = [
            NetworkTask(_with_absolute_paths(network), label, run_folder(folder, network), config.epochs(), cache)
            for network, label in config.labels()
        ]
        outcomes = _do(config, tasks, executor, progress, measure, resources)
        ownership.confirm()
        write_tables(config, folder)  # of what is finished, also where something has failed
    raise_failures(outcomes, "What is finished is kept; call again to retry what failed.")
    return folder / "table.parquet"


def _with_absolute_paths(network: NetworkConfig) -> NetworkConfig:
    """The same network, for a worker that may run in another folder."""
    data, model = network.data, network.model
    if data.folder is not None:
        data = data.model_copy(update={"folder": str(Path(data.folder).expanduser().absolute())})
    if model.checkpoint is not None:
        model = model.model_copy(update={"checkpoint": str(Path(model.checkpoint).expanduser().absolute())})
    return network.model_copy(update={"data": data, "model": model})


def _do(
    config: StudyConfig,
    tasks: Sequence[NetworkTask],
    executor: Executor | int,
    progress: ProgressCallback | None,
    measure: MeasurePaths,
    resources: Resources,
) -> list[Outcome]:
    """What came of each network: of all its work the first failure, if there was one."""
    work = _Work(config, tasks, measure, resources)
    told = None if progress is None else RunProgress(progress, work.jobs_of(), work.finished())
    first = work.first()
    if not first:
        return []
    for task in tasks:
        task.folder.error.unlink(missing_ok=True)  # it is tried again
    ended: dict[str, Outcome] = {}
    with closing(run_jobs(first, executor, told, following=work.following)) as outcomes:
        for outcome in outcomes:
            label = work.label_of(outcome.key)
            if outcome.error is not None:  # the message alone does not say where it happened
                write_text(work.folder_of(label).error, outcome.details or outcome.error)
            if label not in ended or ended[label].error is None:
                ended[label] = replace(outcome, key=label)
    return list(ended.values())


class _Work:
    """What is left to do for each network: its training, and then the blocks of paths."""

    def __init__(
        self, config: StudyConfig, tasks: Sequence[NetworkTask], measure: MeasurePaths, resources: Resources
    ) -> None:
        self._tasks = {task.label: task for task in tasks}
        self._measurings, self._measure, self._resources = config.measurings(), measure, resources
        self._left = {task.label: self._parts(task) for task in tasks}
        self._labels = {job.key: label for label, jobs in self._left.items() for job in jobs}

    def first(self) -> list[Job]:
        """Blocks of networks that are trained, then trainings: seed by seed, so that the first says something of every
        width, and those that take longest first."""
        trained = [job for label, task in self._tasks.items() if self._is_trained(task) for job in self._left[label]]
        untrained = [task for label, task in self._tasks.items() if self._left[label] and not self._is_trained(task)]
        untrained.sort(key=lambda task: (task.network.train.seed, -(task.network.model.width or 0)))
        return trained + [self._job(task.label, train_network, task) for task in untrained]

    def following(self, outcome: Outcome) -> Sequence[Job]:
        """What a training makes possible."""
        if outcome.error is not None or outcome.key not in self._tasks:
            return []
        return self._left[outcome.key]

    def jobs_of(self) -> dict[str, list[str]]:
        """Of each network, the keys of the jobs that are left."""
        return {
            label: [label] * bool(left and not self._is_trained(self._tasks[label])) + [job.key for job in left]
            for label, left in self._left.items()
        }

    def finished(self) -> list[str]:
        """Labels of the networks for which nothing is left."""
        return [label for label, jobs in self.jobs_of().items() if not jobs]

    def label_of(self, key: str) -> str:
        """The label of the network that a job is about, from the key of the job."""
        return self._labels.get(key, key)

    def folder_of(self, label: str) -> RunFolder:
        """The folder of a network."""
        return self._tasks[label].folder

    def _is_trained(self, task: NetworkTask) -> bool:
        return task.folder.is_trained(task.epochs)

    def _parts(self, task: NetworkTask) -> list[Job]:
        return [
            self._job(f"{task.label} | {one.hash()} {index}", measure_part, PartTask(task, one, index, self._measure))
            for one in self._measurings
            for index in self._missing(task, one)
        ]

    def _missing(self, task: NetworkTask, measuring: MeasuringConfig) -> Sequence[int]:
        """Blocks of paths that are left; all of them where the network is to be trained, unless the row is there."""
        missing = task.folder.missing_parts(measuring)
        return missing if self._is_trained(task) or not missing else range(len(blocks(measuring)))

    def _job(self, key: str, function: Any, argument: Any) -> Job:
        return Job(key, function, (argument,), cpus=self._resources.cpus, gpus=self._resources.gpus)


def claim(config: StudyConfig, folder: Path) -> None:
    """Write down whose folder this is, or make sure that it is this study's.

    Raises:
        StudyError: If it is another one's.
    """
    path = folder / CONFIGURATION
    if path.exists():
        _refuse_other_study(read_configuration(folder), config, folder)
    folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder)
    write_text(path, json.dumps(config.model_dump(mode="json"), indent=2) + "\n")


def read_configuration(folder: Path) -> StudyConfig:
    """The study that a folder holds.

    Raises:
        StudyError: If it holds none, or the file cannot be read.
    """
    path = folder / CONFIGURATION
    if not path.exists():
        raise StudyError(f"expected the folder of a study, found no {CONFIGURATION} in {folder}; run the study first")
    try:
        given: dict[str, Any] = parse_json(path.read_text(encoding="utf-8"))
        config = StudyConfig.parse(given)
    except (OSError, ValueError, StudyError) as error:
        raise StudyError(
            f"cannot read the configuration {path} of an earlier study: {error}; use another folder"
        ) from error
    _refuse_unidentified(config, path)
    return config


def _refuse_unidentified(config: StudyConfig, path: Path) -> None:
    """Older versions did not write down what images, weights and models were: what is done may be of other ones."""
    if not config.contents and (unknown := [one for one in config.networks() if one.is_named_only]):
        raise StudyError(
            f"{path} was written by an older version of Transect, which did not note what the data, weights and "
            f"models of its networks are (such as those of {unknown[0].folder()}); expected contents beside the "
            "settings: run the study in another folder, or look at this one with the version that made it"
        )


def _refuse_other_study(theirs: StudyConfig, ours: StudyConfig, folder: Path) -> None:
    """Networks and ways of measuring may be added or left out; a study that shares none is another one."""
    shared = {one.hash() for one in theirs.networks()} & {one.hash() for one in ours.networks()}
    lines = [] if shared else differences(_first(ours.networks()), _first(theirs.networks()))
    if theirs.name != ours.name:
        lines.insert(0, f"name: {theirs.name} there, {ours.name} here")
    if lines and (folder / RUNS).exists():
        raise StudyError(
            "\n".join([f"{folder} holds a study of another configuration:", *(f"  {line}" for line in lines)])
            + "\nUse another folder, or delete this one to start anew."
        )


def _first(networks: Sequence[NetworkConfig]) -> dict[str, Any]:
    return networks[0].identity()
