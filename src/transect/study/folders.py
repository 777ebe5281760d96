"""Where a study keeps what: one folder for each network, in it one file for each thing that is finished."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transect.errors import StudyError
from transect.storage.tables import SCHEMA_VERSION, read_table
from transect.study.columns import RUN_SCHEMA
from transect.study.config import MeasuringConfig, NetworkConfig
from transect.study.snapshots import snapshot_file
from transect.untrusted import parse_json, refuse

CONFIGURATION, RUNS = "study.json", "runs"
TABLE, PATH_TABLE, TIMING_TABLE = "table.parquet", "paths.parquet", "timings.parquet"
BLOCK = 64
"""Paths that are measured together, in one piece of work: part of the result in its last bits, so it is fixed."""


@dataclass(frozen=True)
class RunFolder:
    """The folder of one network.

    Attributes:
        path: The folder.
    """

    path: Path

    @property
    def settings(self) -> Path:
        """The settings of the network, for people and for ``study status``."""
        return self.path / "network.json"

    @property
    def evaluation(self) -> Path:
        """Errors and the like after each epoch that is measured; written when the training has ended."""
        return self.path / "evaluation.json"

    @property
    def error(self) -> Path:
        """The traceback of what failed last."""
        return self.path / "error.txt"

    def weights(self, epoch: int | str) -> Path:
        """The weights after an epoch, or the last ones."""
        return snapshot_file(self.path, epoch)

    def part(self, measuring: MeasuringConfig, index: int) -> Path:
        """The rows of one block of paths of a way of measuring; of other versions of the tables they are made again."""
        return self.path / "parts" / f"{measuring.hash()}-{index:04d}-v{SCHEMA_VERSION}.parquet"

    def is_trained(self, epochs: Collection[int | str]) -> bool:
        """Whether training has ended, and left the weights of these epochs."""
        if not self.evaluation.exists():
            return False
        found = self.read_evaluation()["epochs"]
        return all(str(epoch) in found for epoch in epochs)

    def read_evaluation(self) -> dict[str, Any]:
        """What :attr:`evaluation` holds.

        Raises:
            StudyError: If it is damaged.
        """
        try:
            found: dict[str, Any] = parse_json(self.evaluation.read_text(encoding="utf-8"))
            if not isinstance(found, dict) or not isinstance(found.get("epochs"), dict):
                refuse("it says nothing of epochs")
        except (OSError, ValueError) as error:
            raise StudyError(
                f"cannot read {self.evaluation}: {error}; delete the folder {self.path} to make this network again"
            ) from error
        return found

    @property
    def rows(self) -> Path:
        """Rows of this network that another machine has made, of which there are neither paths nor weights here."""
        return self.path / f"rows-v{SCHEMA_VERSION}.parquet"

    def read_rows(self) -> dict[str, dict[str, Any]]:
        """What :attr:`rows` holds, by the hash of the way of measuring.

        Raises:
            StudyError: If it is damaged.
        """
        found = read_table(self.rows, RUN_SCHEMA).to_pylist() if self.rows.exists() else []
        return {row["measuring"]: row for row in found}

    def missing_parts(self, measuring: MeasuringConfig) -> list[int]:
        """Which blocks of a way of measuring are not there yet; none where its row is."""
        if measuring.hash() in self.read_rows():
            return []
        return [index for index in range(len(blocks(measuring))) if not self.part(measuring, index).exists()]

    def is_finished(self, epochs: Collection[int | str], measurings: Sequence[MeasuringConfig]) -> bool:
        """Whether there is nothing left to do for this network."""
        left = [one for one in measurings if one.hash() not in self.read_rows()]
        return not left or (self.is_trained(epochs) and not any(self.missing_parts(one) for one in left))


def run_folder(folder: Path, network: NetworkConfig) -> RunFolder:
    """The folder of a network in that of its study."""
    return RunFolder(folder / RUNS / network.folder())


def blocks(measuring: MeasuringConfig) -> list[range]:
    """The paths of a way of measuring in blocks, by their index."""
    paths, first = measuring.paths.paths, measuring.measures.first_paths
    total = paths if first is None else min(paths, first)
    return [range(start, min(start + BLOCK, total)) for start in range(0, total, BLOCK)]
