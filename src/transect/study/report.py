"""What a study leaves for people: the figure and the verdict, beside its tables."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from transect.plots import render, width_sweep
from transect.storage.atomic import replacing, write_text
from transect.storage.tables import read_table
from transect.study.verdict import Verdict, judge

FIGURE, VERDICT = "figure", "verdict.txt"


@dataclass(frozen=True)
class Report:
    """A study, reported.

    Attributes:
        verdict: The verdict, paths around training samples.
        files: What was written: the figure as PNG and as SVG, the verdicts for either split as text.
    """

    verdict: Verdict
    files: tuple[Path, ...]


def report_study(table: str | os.PathLike[str], folder: str | os.PathLike[str], title: str | None = None) -> Report:
    """Judge a study by its run table, draw its figure, and write both into a folder, each file atomically.

    Args:
        table: Parquet file of the run table, as :func:`transect.study.sweep.run_study` returns it.
        folder: Where to write ``figure.png``, ``figure.svg`` and ``verdict.txt``.
        title: Title of the figure; made from the table where None.

    Returns:
        The verdict and the files.

    Raises:
        StudyError: If the table cannot be read, or has too few widths to judge.
    """
    folder, rows = Path(folder), read_table(table)
    verdicts = [judge(rows, split) for split in ("train", "test")]
    figure = width_sweep(rows, split="train", title=title)
    pictures = [
        _write_bytes(folder / f"{FIGURE}.png", render(figure, "png")),
        _write_bytes(folder / f"{FIGURE}.svg", render(figure, "svg")),
    ]
    return Report(verdicts[0], (*pictures, _write_verdicts(folder / VERDICT, verdicts)))


def _write_verdicts(path: Path, verdicts: Sequence[Verdict]) -> Path:
    write_text(path, "\n\n\n".join(verdict.summary() for verdict in verdicts) + "\n")
    return path


def _write_bytes(path: Path, contents: bytes) -> Path:
    with replacing(path) as temporary:
        temporary.write_bytes(contents)
    return path
