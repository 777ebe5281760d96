"""Several processes: the same table, and what happens when one dies."""

from __future__ import annotations

import os
import re

import pytest
import torch
from torch import nn

import transect
from support.measured import INPUTS, Marked, convolutional, mlp, path, paths
from transect import measure
from transect.errors import InvalidInput, MeasuringError
from transect.jobs import Outcome
from transect.measuring import pool


def rows(table):
    return table.drop_columns(["seconds"])


def test_two_workers_make_the_same_table_in_the_same_order(tmp_path):
    class Local(nn.Module):  # cannot be pickled, and need not be: workers get the captured operations
        def __init__(self):
            super().__init__()
            self.layers = mlp(9, 4)

        def forward(self, x):
            return self.layers(x).abs()

    network = transect.capture(mlp(30, 2), torch.zeros(INPUTS), output="2")
    models = {"cnn": convolutional(), "local": Local().eval(), "captured": network}
    alone = measure(models, paths(9), together=2, progress=False)
    two = measure(models, iter(paths(9)), together=2, workers=2, out=tmp_path / "out", progress=False)
    assert rows(two.table).equals(rows(alone.table))


class MortalWorkers:
    """Does jobs at once, but dies of those whose paths are told, so many times each."""

    def __init__(self, deaths):
        self.deaths, self.waiting = deaths, []

    def __call__(self, size, retries):
        self.size, self.retries = size, retries
        return self

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.dismiss()

    def gather(self):
        pass

    def is_busy(self):
        return bool(self.waiting)

    def has_room(self):
        return len(self.waiting) < self.size

    def give(self, job):
        self.waiting.append(job)

    def hear(self):
        job = self.waiting.pop()  # the last first: rows do not come in order
        if self.deaths.get(job.key, 0):
            self.deaths[job.key] -= 1
            return [(job, Outcome(job.key, error="its worker process died (killed)", died=True))]
        return [(job, Outcome(job.key, result=job.function(*job.args, report=None)))]

    def dismiss(self):
        self.waiting = []


def test_a_lost_worker_is_replaced_once_and_no_row_is_lost(monkeypatch, tmp_path):
    given, arguments = paths(4), {"workers": 2, "together": 1, "progress": False}
    monkeypatch.setattr(pool, "LocalExecutor", MortalWorkers({"model 'm', path 0": 1, "model 'm', path 2": 1}))
    found = measure({"m": mlp()}, given, **arguments)
    assert rows(found.table).equals(rows(measure({"m": mlp()}, given, together=1, progress=False).table))
    monkeypatch.setattr(pool, "LocalExecutor", MortalWorkers({"model 'm', path 2": 2}))
    with pytest.raises(
        MeasuringError, match=r"model 'm', path 2: its worker process died \(killed\) \(2 times\)"
    ) as caught:
        measure({"m": mlp()}, given, out=tmp_path, **arguments)
    assert re.fullmatch(
        r"[123] finished rows are kept in .*; the same call goes on from there\.", *caught.value.__notes__
    )


@pytest.mark.slow
def test_true_deaths_and_errors_in_workers(tmp_path, monkeypatch):
    monkeypatch.setenv("TRANSECT_TEST_PARENT", str(os.getpid()))
    marks = [tmp_path / name for name in ("once", "always", "raises")]
    for mark in marks:
        mark.mkdir()

    def run(model):
        return measure(model, paths(2), method="estimate", workers=2, together=1, progress=False)

    assert len(run(Marked(marks[0], "die", 1))) == 2
    assert len(list(marks[0].iterdir())) == 1
    with pytest.raises(
        MeasuringError, match=r"model 'Marked', path \d: its worker process died \(.*SIGKILL.*\(2 times\)"
    ):
        run(Marked(marks[1], "die", 100))
    with pytest.raises(MeasuringError, match=r"(?s)model 'Marked', path \d: LookupError: seven is missing.*Traceback"):
        run(Marked(marks[2], "raise", 100))


def test_what_cannot_be_sent_is_refused():
    class Smooth(nn.Module):
        def forward(self, x):
            return torch.tanh(x)

    with pytest.raises(InvalidInput, match=r"(?s)model 'Smooth': it cannot be captured.*Define its class.*workers=1"):
        measure(Smooth().eval(), paths(2), method="estimate", workers=2, together=1, progress=False)
    assert len(measure(Smooth().eval(), path(0), method="estimate", progress=False)) == 1


def test_errors_of_workers_keep_their_type(monkeypatch):
    monkeypatch.setattr(pool, "LocalExecutor", MortalWorkers({}))
    with pytest.raises(InvalidInput, match=r"model 'a', paths \d to \d: outputs: expected indices below 3"):
        measure({"a": mlp()}, paths(4), outputs=[7], together=2, workers=2, progress=False)


def test_processes_make_no_sense_of_less_than_one_or_text():
    for workers in (0, 1.5, "two", True):
        with pytest.raises(InvalidInput, match="workers: expected a whole number of at least 1"):
            measure(mlp(), path(0), workers=workers)
