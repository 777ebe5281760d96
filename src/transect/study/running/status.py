"""How far a study is: what is done, what is being done, what has failed; from its folder alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from transect.study.config import StudyConfig
from transect.study.running.folders import RunFolder, State, blocks, read_states, run_folder
from transect.study.running.sweep import read_configuration

Condition = Literal["done", "running", "failed", "waiting"]


@dataclass(frozen=True)
class RunStatus:
    """How far one network is.

    Attributes:
        label: Its name.
        condition: ``failed`` stays until it is tried again.
        trained: Whether it is trained.
        blocks_done: Blocks of paths that are measured.
        blocks: Of how many.
        states: What workers are doing with it at the moment.
        error: The last line of what failed; empty where nothing did.
        folder: Where its files are; the whole traceback is in ``error.txt``.
        width: Its base width; 0 where it has none.
        seconds: Of work on it so far, where it is done.
    """

    label: str
    condition: Condition
    trained: bool
    blocks_done: int
    blocks: int
    states: tuple[State, ...]
    error: str
    folder: Path
    width: int
    seconds: float


@dataclass(frozen=True)
class StudyStatus:
    """How far a study is.

    Attributes:
        name: Name of the study.
        runs: Its networks, in their order.
    """

    name: str
    runs: tuple[RunStatus, ...]

    def count(self, condition: Condition) -> int:
        """How many networks are in a condition."""
        return sum(run.condition == condition for run in self.runs)

    @property
    def seconds_left(self) -> float | None:
        """About how much longer, with as many workers as now: each network as long as a done one of the nearest width.

        None where nothing is done yet, or nobody is working.
        """
        done = [run for run in self.runs if run.condition == "done" and run.seconds > 0]
        workers = sum(len(run.states) for run in self.runs)
        if not done or not workers:
            return None
        left = [run for run in self.runs if run.condition in ("running", "waiting")]
        return sum(max(_expected(run, done) - _spent(run), 0.0) for run in left) / workers


def study_status(folder: Path) -> StudyStatus:
    """Look at the folder of a study; it may be in the making, by this or another machine.

    Raises:
        StudyError: If it holds no study.
    """
    config = read_configuration(folder)
    runs = [
        _status(config, label, run_folder(folder, network), network.model.width or 0)
        for network, label in config.labels()
    ]
    return StudyStatus(config.name, tuple(runs))


def _status(config: StudyConfig, label: str, folder: RunFolder, width: int) -> RunStatus:
    measurings = config.measurings()
    trained = folder.is_trained(config.epochs())
    total = sum(len(blocks(one)) for one in measurings)
    finished = folder.is_finished(config.epochs(), measurings)
    missing = sum(len(folder.missing_parts(one)) for one in measurings) if trained or finished else total
    states = tuple(read_states(folder.path))
    error = _last_line(folder.error)
    condition: Condition = "waiting"
    if finished:
        condition = "done"
    elif states:
        condition = "running"
    elif error:
        condition = "failed"
    seconds = _seconds(folder) if finished and trained else 0.0
    return RunStatus(label, condition, trained, total - missing, total, states, error, folder.path, width, seconds)


def _last_line(path: Path) -> str:
    if not path.exists():
        return ""
    lines = path.read_text(encoding="utf-8").strip().splitlines()
    return lines[-1] if lines else "it failed without a word"


def _seconds(folder: RunFolder) -> float:
    """Of training, and between the end of it and that of the last block: measuring has no clock of its own."""
    parts = [path.stat().st_mtime for path in folder.path.glob("parts/*.parquet")]
    ended = folder.evaluation.stat().st_mtime
    return float(folder.read_evaluation()["train_seconds"]) + max([part - ended for part in parts] or [0.0])


def _expected(run: RunStatus, done: Sequence[RunStatus]) -> float:
    nearest = min(done, key=lambda other: abs(other.width - run.width))
    alike = [other.seconds for other in done if other.width == nearest.width]
    return sum(alike) / len(alike)


def _spent(run: RunStatus) -> float:
    return max([state.seconds for state in run.states] or [0.0])
