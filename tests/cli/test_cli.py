"""The command line: what it offers, how it fails, and that help does not wait for torch."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import transect.cli.demo
from transect._version import __version__
from transect.cli import main as cli
from transect.errors import (
    FolderInUse,
    InvalidInput,
    MissingDependency,
    ScaleWarning,
    StudyError,
    UnsupportedModel,
)
from transect.support.text import is_controlling


@pytest.fixture
def calls(monkeypatch):
    """What the demo was called with, in place of the demo."""
    made = []
    monkeypatch.setattr(transect.cli.demo, "run_demo", lambda *given: made.append(given[:3]))
    return made


def command(*words: str) -> int:
    """Exit code of ``transect words``, run in this process."""
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    return int(ended.value.code or 0)


def in_a_process(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-c", "from transect.cli.main import main; main()", *words]
    return subprocess.run(program, capture_output=True, text=True, env=os.environ | environment)


def test_the_version_is_that_of_the_package():
    ended = in_a_process("--version")
    assert (ended.returncode, ended.stdout.strip()) == (0, __version__)


def test_help_names_the_commands_and_their_options():
    assert "demo" in in_a_process("--help").stdout
    text = in_a_process("demo", "--help", COLUMNS="100").stdout
    assert all(word in text for word in ("--seeds", "--out", "--workers", "[default: 3]", "[default: demo]"))


def test_help_does_not_import_torch():
    program = "import sys; from transect.cli.main import app; app('demo --help', result_action='return_value')"
    command = [sys.executable, "-c", f"{program}; print('torch' in sys.modules)"]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.stdout.splitlines()[-1] == "False", ended.stderr


@pytest.mark.parametrize("module", ["transect.study.running.run", "transect.measuring"])
def test_worker_processes_do_not_import_what_draws(module: str):
    program = f"import sys, {module}; print([name for name in ('matplotlib', 'scipy.signal') if name in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ended.stdout.strip() == "[]", ended.stderr


def test_the_demo_is_called_with_the_options(calls, monkeypatch):
    monkeypatch.setattr(cli, "_cores", lambda: 7)
    assert command("demo", "--seeds", "5", "--out", "some where", "--workers", "5") == 0
    assert command("demo") == 0
    assert calls == [(5, Path("some where"), 5), (3, Path("demo"), 7)]


@pytest.mark.parametrize(
    "words", [["--seeds", "0"], ["--seeds", "99999999999"], ["--workers", "0"], ["--seeds", "two"], ["--sedes", "2"]]
)
def test_options_that_make_no_sense_are_refused(calls, words, capsys):
    assert command("demo", *words) != 0
    said = capsys.readouterr()
    assert words[0].lstrip("-") in (said.out + said.err).lower()
    assert not calls


@pytest.mark.parametrize(
    "words", [["--cpus", "nan"], ["--cpus", "inf"], ["--cpus", "-1"], ["--gpus", "nan"], ["--workers", "1000000"]]
)
def test_shares_of_a_machine_are_numbers_that_it_can_have(words, capsys):
    assert command("study", "run", "demo", *words) == 2
    assert words[0] in capsys.readouterr().err


def raising(error):
    def run_demo(*_):
        raise error

    return run_demo


@pytest.mark.parametrize(
    "error",
    [StudyError("demo holds [another] study\nUse another folder."), PermissionError(13, "Permission denied", "x")],
)
def test_our_errors_are_one_message_without_a_traceback(monkeypatch, capsys, error):
    monkeypatch.setattr(transect.cli.demo, "run_demo", raising(error))
    assert command("demo") == 1
    said = capsys.readouterr()
    assert all(line in said.err for line in str(error).splitlines())
    assert type(error).__name__ in said.err
    assert "Traceback" not in said.err + said.out


def test_bugs_keep_their_traceback(monkeypatch):
    monkeypatch.setattr(transect.cli.demo, "run_demo", raising(ZeroDivisionError("a bug")))
    with pytest.raises(ZeroDivisionError, match="a bug"):
        cli.main(["demo"])


def test_an_interruption_says_what_is_kept_and_how_to_go_on(monkeypatch, capsys):
    monkeypatch.setattr(transect.cli.demo, "run_demo", raising(KeyboardInterrupt()))
    assert command("demo", "--out", "folder") == 130
    said = capsys.readouterr().err
    assert "Finished runs are kept in folder" in said
    assert "the same command goes on" in said


LOUD = "[bold]\x1b]0;title\x07\u202e"
LOUD_MODELS = f"""
import torch
from torch import nn

NAME = {LOUD!r}

def net(bend=nn.ReLU):
    model = nn.Sequential()
    model.add_module(NAME + "first", nn.Linear(2, 3))
    model.add_module(NAME + "bend", bend())
    return model

def smooth():
    return net(nn.GELU)

def broken():
    raise ValueError(NAME)

class Refusing(nn.Module):
    def forward(self, x):
        raise RuntimeError(NAME)
"""
NET = ("loud_models:net", "--shape", "2")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("check", *NET, "--operations"), 0),
        (("check", *NET, "--json"), 0),
        (("check", "loud_models:smooth", "--shape", "2"), 1),
        (("check", "loud_models:smooth", "--shape", "2", "--json"), 1),
        (("check", "loud_models:broken", "--shape", "2"), 2),
        (("check", "loud_models:Refusing", "--shape", "2"), 2),
        (("check", *NET, "--weights", "loud.pt"), 2),
        (("check", *NET, "--weights", f"{LOUD}.pt"), 2),
        (("check", *NET, "--output", LOUD), 2),
        (("check", LOUD, "--shape", "2"), 2),
        (("check", f"{LOUD}.pt2"), 2),
        (("check", *NET, "--arguments", LOUD), 2),
        (("check", *NET, "--dtype", LOUD), 2),
        (("check", *NET, f"--{LOUD}"), 2),
        ((LOUD,), 2),
        (("trace", *NET, "--from", "a.npy", "--to", "b.npy", "--out", LOUD), 0),
        (("trace", *NET, "--from", "a.npy", "--to", f"{LOUD}.npy"), 2),
        (("trace", "loud_models:smooth", "--shape", "2", "--from", "a.npy", "--to", "b.npy"), 1),
        (("study", "run", f"{LOUD}.toml"), 1),
        (("study", "run", "keys.toml", "--dry-run"), 1),
        (("study", "run", "values.toml", "--dry-run"), 1),
        (("study", "status", LOUD), 1),
        (("study", "plot", LOUD), 1),
        (("study", "compare", LOUD, LOUD), 1),
        (("study", "export", LOUD, "--to", LOUD), 1),
    ],
)
def test_no_name_of_a_stranger_makes_a_terminal_do_anything(tmp_path, monkeypatch, capsys, words, code):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    Path("loud_models.py").write_text(LOUD_MODELS)
    torch.save({f"{LOUD}.weight": torch.ones(3)}, "loud.pt")
    for name in ("a", "b"):
        np.save(f"{name}.npy", np.full(2, ord(name), float))
    Path("keys.toml").write_text(f"[model]\n{json.dumps(LOUD)} = 3\n")
    Path("values.toml").write_text(f"title = {json.dumps(LOUD)}\n[data]\nname = {json.dumps(LOUD)}\n")
    assert command(*words) == code
    said = "".join(capsys.readouterr())
    assert not [letter for letter in said if is_controlling(letter) and letter != "\n"]
    assert "Traceback" not in said
    assert "[bold]" in said


def test_errors_and_warnings_of_the_library_are_spelt_out_too():
    for kind in (InvalidInput, StudyError, UnsupportedModel, MissingDependency, FolderInUse, ScaleWarning):
        assert str(kind(f"a {LOUD}\nb")) == "a [bold]\\x1b]0;title\\x07\\u202e\nb"
        assert str(pickle.loads(pickle.dumps(kind(LOUD)))) == "[bold]\\x1b]0;title\\x07\\u202e"


def test_a_lack_of_memory_is_one_message(monkeypatch, capsys):
    for error in (MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")):
        monkeypatch.setattr(transect.cli.demo, "run_demo", raising(error))
        assert command("demo") == 1
        assert "there is not enough memory" in capsys.readouterr().err
