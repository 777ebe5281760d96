"""A folder belongs to one process at a time, and a dead owner blocks it no longer than is stated."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from transect.errors import FolderInUse
from transect.tables import ownership
from transect.tables.ownership import LOCK, SECONDS_TO_SILENCE, owned

HOLD = """
import sys, time
from transect.tables.ownership import owned
with owned(sys.argv[1]):
    print("mine", flush=True)
    time.sleep(60)
"""


def note_of_another_machine(folder, silent: float) -> None:
    (folder / LOCK).write_text(json.dumps({"host": "elsewhere", "process": 7, "since": "noon\x1b[2J", "token": "x"}))
    then = time.time() - silent
    os.utime(folder / LOCK, (then, then))


def test_a_second_owner_is_refused_with_who_and_since_when_until_the_first_is_killed(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "mine\n"
    with pytest.raises(FolderInUse, match=rf"process {process.pid} on {socket.gethostname()} since \d{{4}}-"):
        owned(tmp_path).__enter__()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with owned(tmp_path) as mine:  # the note of the dead is still there, and young
        mine.confirm()
    assert (tmp_path / LOCK).read_text() == ""


def test_two_threads_of_one_process_are_two_owners(tmp_path):
    refused = []

    def second():
        try:
            with owned(tmp_path):
                pass
        except FolderInUse as error:
            refused.append(str(error))

    with owned(tmp_path):
        other = threading.Thread(target=second)
        other.start()
        other.join()
    assert f"process {os.getpid()} on" in refused[0]
    second()
    assert len(refused) == 1


def test_an_owner_on_another_machine_holds_as_long_as_it_gives_signs_of_life(tmp_path):
    note_of_another_machine(tmp_path, SECONDS_TO_SILENCE - 20)
    with pytest.raises(FolderInUse, match=r"process 7 on elsewhere since noon\[2J .*free 120 s after its last sign"):
        owned(tmp_path).__enter__()
    note_of_another_machine(tmp_path, SECONDS_TO_SILENCE + 20)
    with owned(tmp_path) as mine:
        mine.confirm()


@pytest.mark.parametrize("lock", ["", "nonsense", "[]", '{"host": 3}', "\0" * 9999])
def test_a_lock_file_of_nonsense_blocks_nobody_for_ever(tmp_path, lock):
    (tmp_path / LOCK).write_text(lock)
    os.utime(tmp_path / LOCK, (0, 0))
    with owned(tmp_path) as mine:
        mine.confirm()


def test_without_locks_of_the_system_the_note_decides(tmp_path, monkeypatch):
    def missing(descriptor, blocking):
        raise OSError("this file system has no locks")

    monkeypatch.setattr(ownership, "lock_descriptor", missing)
    with owned(tmp_path), pytest.raises(FolderInUse):
        owned(tmp_path).__enter__()
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    note = {"host": socket.gethostname(), "process": dead.pid, "since": "now", "token": "y"}
    (tmp_path / LOCK).write_text(json.dumps(note))
    with owned(tmp_path) as mine:
        mine.confirm()


def test_signs_of_life_are_given_and_a_lost_folder_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(ownership, "_SECONDS_BETWEEN_SIGNS", 0.01)
    with owned(tmp_path / "a") as mine:
        os.utime(tmp_path / "a" / LOCK, (0, 0))
        end = time.monotonic() + 10
        while (tmp_path / "a" / LOCK).stat().st_mtime == 0:
            assert time.monotonic() < end
            time.sleep(0.01)
        mine.confirm()
        note_of_another_machine(tmp_path / "a", 5)
        with pytest.raises(FolderInUse, match="taken over by process 7 on elsewhere"):
            mine.confirm()
        shutil.rmtree(tmp_path / "a")
        with pytest.raises(FolderInUse, match="was deleted"):
            mine.confirm()
