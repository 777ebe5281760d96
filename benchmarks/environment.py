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


def write_results(name: str, rows: list[dict[str, Any]], folder: Path = Path("benchmarks/results")) -> Path:
    """Write ``name.json``: the environment and one entry a case."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    temporary = path.with_suffix(".json.part")
    temporary.write_text(json.dumps({"environment": environment(), "rows": rows}, indent=2) + "\n")
    os.replace(temporary, path)
    return path


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
