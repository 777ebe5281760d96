"""The environment a benchmark ran in, and its results as JSON beside it."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

import transect


def environment() -> dict[str, Any]:
    """Machine, versions and threads; the GPU where there is one."""
    gpu = {"gpu": torch.cuda.get_device_name()} if torch.cuda.is_available() else {}
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transect": transect.__version__,
        **gpu,
    }


RESULTS = Path(__file__).parent / "results"


def read_rows(name: str) -> dict[str, dict[str, Any]]:
    """The rows of ``name.json`` by case, each with its environment; none where there is no file."""
    path = RESULTS / f"{name}.json"
    return {row["case"]: row for row in json.loads(path.read_text())["rows"]} if path.exists() else {}


def write_row(name: str, row: dict[str, Any]) -> Path:
    """Put one case into ``name.json``, in the place of an older one, with the environment it was made in."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    rows = read_rows(name) | {row["case"]: row | {"environment": environment()}}
    path = RESULTS / f"{name}.json"
    temporary = path.with_suffix(".json.part")
    temporary.write_text(json.dumps({"rows": list(rows.values())}, indent=2) + "\n")
    os.replace(temporary, path)
    return path


def described(row: dict[str, Any]) -> str:
    """Machine, versions and day of a row, in one line."""
    e = row["environment"]
    machine = ", ".join(
        [e["processor"], f"{e['cores']} cores", f"{e['threads']} threads", *filter(None, [e.get("gpu")])]
    )
    return f"{machine}; Python {e['python']}, torch {e['torch']}, transect {e['transect']}; {e['date'][:10]}"


def markdown(
    name: str,
    columns: Sequence[str],
    cells: Callable[[dict[str, Any]], Iterable[str]],
    order: Iterable[str] = (),
    summary: Callable[[list[dict[str, Any]]], str] | None = None,
) -> str:
    """The rows of ``name.json`` as a table in Markdown, and where they were made.

    Args:
        name: Of the benchmark.
        columns: Headings.
        cells: What a row has in them.
        order: Cases that come first, in this order.
        summary: A sentence about all rows, below the table.
    """
    found = read_rows(name)
    if not found:
        return f"Not measured yet; `python benchmarks/{name}.py` does it."
    rows = [found[case] for case in dict.fromkeys([*order, *found]) if case in found]
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    lines += [f"| {' | '.join(cells(row))} |" for row in rows]
    said = ["", summary(rows)] if summary else []
    return "\n".join([*lines, *said, "", *dict.fromkeys(map(described, rows))])


def resident_bytes(field: str) -> int:
    """``VmRSS`` (now) or ``VmHWM`` (peak) of this process; Linux only."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"no {field} in /proc/self/status on {sys.platform}")


def reset_peak() -> None:
    """Let ``VmHWM`` count from now on."""
    Path("/proc/self/clear_refs").write_text("5")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()
