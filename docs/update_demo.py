"""Put a finished demo into the documentation: its figure, and its table and verdict between the markers of the README.

make demo && .venv/bin/python docs/update_demo.py demo
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from datetime import date
from pathlib import Path

import torch
from pages import FIGURES, ROOT, markdown_table, update

import transect
from transect.analysis.judging import judge_claims
from transect.study.columns import RUN_SCHEMA
from transect.tables.curves import Curves
from transect.tables.files import read_table
from transect.tables.grouping import select

COLUMNS = {
    "train_error": ("train error", "{:.3f}"),
    "test_error": ("test error", "{:.3f}"),
    "absolute_deviation": ("absolute deviation", "{:.1f}"),
    "logit_std": ("logit std", "{:.2f}"),
    "scaled_deviation": ("deviation / std", "{:.2f}"),
    "crossings": ("crossings a path", "{:,.0f}"),
    "density": ("density", "{:.2f}"),
}


def main() -> None:
    """Rewrite the block and copy the figure."""
    demo = Path(sys.argv[1] if len(sys.argv) > 1 else "demo")
    FIGURES.mkdir(exist_ok=True)
    shutil.copyfile(demo / "figure.png", FIGURES / "demo.png")
    update(ROOT / "README.md", {"demo": _block(demo)}.get)


def _block(demo: Path) -> str:
    rows = read_table(demo / "table.parquet", RUN_SCHEMA)
    curves = Curves.of(rows, "train", list(COLUMNS))
    heads = ["width", *(heading for heading, _ in COLUMNS.values())]
    widths = enumerate(curves.widths)
    cells = [[width, *(_cell(curves, column, place) for column in COLUMNS)] for place, width in widths]
    machine = f"{date.today()}, {_processor()}, {os.cpu_count()} cores; Python {platform.python_version()}"
    versions = f"torch {torch.__version__}, transect {transect.__version__}"
    seeds = ", ".join(str(seed) for seed in curves.seeds)
    return "\n".join(
        [
            f"`make demo`, means over seeds {seeds}, paths around training samples; peaks in bold.",
            "",
            markdown_table(heads, cells),
            "",
            "```text",
            judge_claims(select(rows, split="train")).summary(),
            "```",
            "",
            f"Made {machine}, {versions}.",
        ]
    )


def _cell(curves: Curves, column: str, place: int) -> str:
    mean = curves.mean(column)
    text = COLUMNS[column][1].format(mean[place])
    peaked = column in ("test_error", "absolute_deviation", "scaled_deviation", "density")
    return f"**{text}**" if peaked and place == mean.argmax() else text


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main()
