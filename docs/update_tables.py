"""Put the tables of the benchmarks' results into the documentation.

    python docs/update_tables.py

Between ``<!-- NAME:begin -->`` and ``<!-- NAME:end -->`` of a page stands what ``benchmarks/NAME.py --table`` prints of
``benchmarks/results/NAME.json``; a page whose tables are up to date is left alone.
"""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
_MARKED = re.compile(r"(?P<begin><!-- (?P<name>\w+):begin -->\n).*?(?P<end><!-- (?P=name):end -->)", re.DOTALL)
BENCHMARKS = {path.stem for path in (ROOT / "benchmarks").glob("*.py")}


def main() -> None:
    """Update every page."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    for page in sorted((ROOT / "docs").glob("*.md")):
        old = page.read_text()
        new = _MARKED.sub(_filled, old)
        if new != old:
            page.write_text(new)
        print(f"{page.relative_to(ROOT)}: {'updated' if new != old else 'nothing to change'}")


def _filled(found: re.Match[str]) -> str:
    if found["name"] not in BENCHMARKS:
        return found.group()
    return f"{found['begin']}{importlib.import_module(found['name']).table()}\n{found['end']}"


if __name__ == "__main__":
    main()
