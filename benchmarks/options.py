"""The options that benchmarks of several cases have in common."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from environment import read_rows


def parser(description: str | None, cases: Iterable[str], one: bool = False) -> argparse.ArgumentParser:
    """A parser with ``--cases``, ``--only-missing`` and ``--table``.

    Args:
        description: Of the script.
        cases: Names for ``--cases`` to choose from, by default all of them.
        one: Whether the script takes ``--one CASE`` from :func:`processes.run_alone`.
    """
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = list(cases)
    made.add_argument("--cases", nargs="*", choices=names, default=names, metavar="NAME")
    made.add_argument("--only-missing", action="store_true", help="leave rows that are there alone")
    made.add_argument("--table", action="store_true", help="print the rows as Markdown and do nothing else")
    if one:
        made.add_argument("--one", help=argparse.SUPPRESS)
    return made


def wanted(name: str, options: argparse.Namespace) -> list[str]:
    """The chosen cases; with ``--only-missing`` those that have no row yet."""
    found = read_rows(name) if options.only_missing else {}
    return [case for case in options.cases if case not in found]
