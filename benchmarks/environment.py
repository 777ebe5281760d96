"""The environment a benchmark ran in, and its results as JSON beside it."""

from __future__ import annotations

import json
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

import transect


def environment() -> dict[str, Any]:
    """Machine, versions and threads."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transect": transect.__version__,
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
    return (f"{e['processor']}, {e['cores']} cores, {e['threads']} threads; Python {e['python']}, torch {e['torch']}, "
            f"transect {e['transect']}; {e['date'][:10]}")  # fmt: skip


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
