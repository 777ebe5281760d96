"""The command line: what it offers, how it fails, and that help does not wait for torch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import transect.demo
from transect import cli
from transect._version import __version__
from transect.errors import StudyError


@pytest.fixture
def calls(monkeypatch):
    """What the demo was called with, in place of the demo."""
    made = []
    monkeypatch.setattr(transect.demo, "run_demo", lambda *given: made.append(given[:3]))
    return made


def command(*words: str) -> int:
    """Exit code of ``transect words``, run in this process."""
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    return int(ended.value.code or 0)


def in_a_process(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-c", "from transect.cli import main; main()", *words]
    return subprocess.run(program, capture_output=True, text=True, env=os.environ | environment)


def test_the_version_is_that_of_the_package():
    ended = in_a_process("--version")
    assert (ended.returncode, ended.stdout.strip()) == (0, __version__)


def test_help_names_the_commands_and_their_options():
    assert "demo" in in_a_process("--help").stdout
    text = in_a_process("demo", "--help", COLUMNS="100").stdout
    assert all(word in text for word in ("--seeds", "--out", "--workers", "[default: 3]", "[default: demo]"))


def test_help_does_not_import_torch():
    program = "import sys; from transect.cli import app; app('demo --help', result_action='return_value')"
    command = [sys.executable, "-c", f"{program}; print('torch' in sys.modules)"]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.stdout.splitlines()[-1] == "False", ended.stderr


@pytest.mark.parametrize("module", ["transect.study.run", "transect.measuring"])
def test_worker_processes_do_not_import_what_draws(module: str):
    program = f"import sys, {module}; print([name for name in ('matplotlib', 'scipy.signal') if name in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ended.stdout.strip() == "[]", ended.stderr


def test_the_demo_is_called_with_the_options(calls, monkeypatch):
    monkeypatch.setattr(cli, "_cores", lambda: 7)
    assert command("demo", "--seeds", "5", "--out", "some where", "--workers", "5") == 0
    assert command("demo") == 0
    assert calls == [(5, Path("some where"), 5), (3, Path("demo"), 7)]


@pytest.mark.parametrize("words", [["--seeds", "0"], ["--workers", "0"], ["--seeds", "two"], ["--sedes", "2"]])
def test_options_that_make_no_sense_are_refused(calls, words, capsys):
    assert command("demo", *words) != 0
    said = capsys.readouterr()
    assert words[0].lstrip("-") in (said.out + said.err).lower()
    assert not calls


def raising(error):
    def run_demo(*_):
        raise error

    return run_demo


@pytest.mark.parametrize(
    "error",
    [StudyError("demo holds [another] study\nUse another folder."), PermissionError(13, "Permission denied", "x")],
)
def test_our_errors_are_one_message_without_a_traceback(monkeypatch, capsys, error):
    monkeypatch.setattr(transect.demo, "run_demo", raising(error))
    assert command("demo") == 1
    said = capsys.readouterr()
    assert all(line in said.err for line in str(error).splitlines())
    assert type(error).__name__ in said.err
    assert "Traceback" not in said.err + said.out


def test_bugs_keep_their_traceback(monkeypatch):
    monkeypatch.setattr(transect.demo, "run_demo", raising(ZeroDivisionError("a bug")))
    with pytest.raises(ZeroDivisionError, match="a bug"):
        cli.main(["demo"])


def test_an_interruption_says_what_is_kept_and_how_to_go_on(monkeypatch, capsys):
    monkeypatch.setattr(transect.demo, "run_demo", raising(KeyboardInterrupt()))
    assert command("demo", "--out", "folder") == 130
    said = capsys.readouterr().err
    assert "Finished runs are kept in folder" in said
    assert "the same command goes on" in said
