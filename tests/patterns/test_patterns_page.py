"""What the documentation shows is what happens."""

from __future__ import annotations

import doctest
from pathlib import Path


def test_the_examples_of_the_page_on_patterns_run():
    page = Path(__file__).parents[2] / "docs" / "patterns.md"
    failed, tried = doctest.testfile(str(page), module_relative=False)
    assert failed == 0
    assert tried > 15
