"""Put the tables of the benchmarks' results into the documentation.

    python docs/update_tables.py [PAGE ...]

Between ``<!-- NAME:begin -->`` and ``<!-- NAME:end -->`` of a page stands what ``benchmarks/NAME.py --table`` prints of
``benchmarks/results/NAME.json``; ``measures`` is the list of the package. A page that is up to date is left alone.
Names of pages, such as ``performance``, leave the others alone, whose benchmarks may still be running.
"""

from __future__ import annotations

import argparse
import importlib
import sys

from pages import ROOT, update

from transect.measures import MEASURES

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


def measures_table() -> str:
    """The list of measures, as Markdown."""
    head = ["| name | definition | unit | one for each | an estimate has it | after |", "|---|---|---|---|---|---|"]
    lines = []
    for one in MEASURES:
        definition, estimated = one.definition.replace("|", "\\|"), "yes" if one.estimated else "no"
        lines.append(f"| `{one.name}` | {definition} | {one.unit} | {one.per} | {estimated} | {one.source} |")
    return "\n".join([*head, *lines])


def _table(name: str) -> str | None:
    if name == "measures":
        return measures_table()
    return importlib.import_module(name).table() if name in BENCHMARKS else None


if __name__ == "__main__":
    main()
