"""Put the tables of the benchmarks' results into the documentation.

    python docs/update_tables.py [PAGE ...]

Between ``<!-- NAME:begin -->`` and ``<!-- NAME:end -->`` of a page stands what ``benchmarks/NAME.py --table`` prints of
``benchmarks/results/NAME.json``; a page whose tables are up to date is left alone.
Names of pages, such as ``performance``, leave the others alone, whose benchmarks may still be running.
"""

from __future__ import annotations

import argparse
import importlib
import sys

from pages import ROOT, update

BENCHMARKS = {path.stem for path in (ROOT / "benchmarks").glob("*.py")}


def main() -> None:
    """Update every page, or those that are named."""
    pages = {page.stem: page for page in sorted((ROOT / "docs").glob("*.md"))}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="*", metavar="PAGE", help=f"all by default: {', '.join(pages)}")
    wanted = parser.parse_args().pages or list(pages)
    if unknown := [name for name in wanted if name not in pages]:
        parser.error(f"expected pages of {', '.join(pages)}, got {', '.join(unknown)}")
    sys.path.insert(0, str(ROOT / "benchmarks"))
    for name in wanted:
        update(pages[name], _table)


def _table(name: str) -> str | None:
    return importlib.import_module(name).table() if name in BENCHMARKS else None


if __name__ == "__main__":
    main()
