"""Figures as files: the same bytes every time, in every process."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import xml.etree.ElementTree
from pathlib import Path

import matplotlib
import pytest

from support.sweep_tables import sweep
from transect.errors import InvalidInput
from transect.plots import render, width_sweep

SCRIPT = """
import hashlib, sys
sys.path.insert(0, sys.argv[1])
from support.sweep_tables import sweep
from transect.plots import render, width_sweep
print(hashlib.sha256(render(width_sweep(sweep()), sys.argv[2])).hexdigest())
"""


@pytest.mark.parametrize("file_format", ["png", "svg"])
def test_another_process_draws_the_same_bytes(file_format):
    ours = hashlib.sha256(render(width_sweep(sweep()), file_format)).hexdigest()
    command = [sys.executable, "-c", SCRIPT, str(Path(__file__).parents[1]), file_format]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == ours


def test_the_files_are_what_they_say():
    figure = width_sweep(sweep())
    assert render(figure, "png").startswith(b"\x89PNG\r\n")
    root = xml.etree.ElementTree.fromstring(render(figure, "svg"))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"


def test_drawing_does_not_depend_on_the_settings_of_the_user_and_leaves_them_alone():
    ours = render(width_sweep(sweep()), "svg")
    with matplotlib.rc_context({"font.size": 30.0, "lines.linewidth": 9.0}):
        assert render(width_sweep(sweep()), "svg") == ours
        assert matplotlib.rcParams["font.size"] == 30.0


def test_another_format_is_refused():
    with pytest.raises(InvalidInput, match=r"expected one of png, svg, got 'gif'"):
        render(width_sweep(sweep()), "gif")


def test_a_title_is_text_and_no_formula():
    strange = "5 $ and \\frac{$ and 7 $"
    assert len(render(width_sweep(sweep(), title=strange), "png")) > 10_000
    assert render(width_sweep(sweep(), title="a $x$"), "png") != render(width_sweep(sweep(), title="a x"), "png")
