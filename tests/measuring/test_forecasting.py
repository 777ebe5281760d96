"""Forecasts against what then comes."""

from __future__ import annotations

import logging
import sys
import time

import pytest

from support.measured import convolutional, mlp, path, paths, smooth
from transect import forecast, measure
from transect.errors import InvalidInput
from transect.support.guesses import Guess, mean_of


def holds(guess, value):
    return guess.low <= value <= guess.high


def test_crossings_and_memory():
    models = {"mlp": mlp(60), "cnn": convolutional()}
    found = forecast(models, paths(20))
    table = measure(models, paths(20), progress=False)
    assert holds(found.crossings, table.column("path_crossings").sum())
    assert (found.models, found.paths, found.workers) == (2, 20, 1)
    assert 2**27 < found.bytes < 2**29
    assert "2 models on 20 paths: about " in str(found)
    assert 'with method="estimate"; up to about 256 MiB' in str(found)


def test_of_some_paths_for_many():
    few, many = forecast(mlp(60), paths(12), count=400), paths(400)
    assert holds(few.crossings, measure(mlp(60), many, progress=False).column("path_crossings").sum())


@pytest.mark.slow
def test_time_within_a_factor():
    """Rough: the machine may be busy. What is asked is that nobody is misled by an order of magnitude."""
    model, given = mlp(200), paths(40)
    found = forecast(model, given)
    began = time.perf_counter()
    measure(model, given, progress=False)
    seconds = time.perf_counter() - began
    assert found.exact_seconds.low / 5 < seconds < found.exact_seconds.high * 5


def test_what_cannot_be_traced_has_its_estimate_only():
    found = forecast(smooth(), paths(3), count=10, workers=2)
    assert (found.crossings, found.exact_seconds) == (None, None)
    assert found.estimate_seconds.low > 0
    assert str(found).startswith("1 model on 10 paths: ")
    assert str(found).endswith("MiB in each of 2 processes")


def test_guesses():
    known = [Guess(1.0, 0.5, 2.0), Guess(3.0, 2.5, 4.0)]
    assert mean_of(known, of=2) == Guess(2.0, 1.5, 3.0)
    half = (
        6.313751514675043  # Student's t, 95 % point, 1 degree of freedom, times standard deviation sqrt 2 over sqrt 2
    )
    wide = mean_of(known, of=None)
    assert (wide.low, wide.high) == (0.0, pytest.approx(3.0 + half))
    assert mean_of(known[:1], of=9) == Guess(1.0, 0.0, 3.0)
    assert Guess(2.0, 1.0, 4.0).times(3.0, 2.0) == Guess(6.0, 1.5, 24.0)


def test_errors():
    with pytest.raises(InvalidInput, match="paths: a forecast would use them up; give a list of some of them"):
        forecast(mlp(), iter(paths(2)))
    with pytest.raises(InvalidInput, match="count: expected a whole number of at least 1, got 0"):
        forecast(mlp(), path(0), count=0)
    with pytest.raises(InvalidInput, match="workers: expected a whole number of at least 1, got 0"):
        forecast(mlp(), path(0), workers=0)


@pytest.fixture
def logged():
    """The lines of the log (pytest's own plugin is switched off)."""
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    logger = logging.getLogger("transect")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield lines
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


def test_the_log_hears_of_long_work_before_and_of_all_work_after(logged, monkeypatch, tmp_path):
    measure({"a": mlp()}, paths(4))
    assert logged == ["Measurements(4 rows; 1 model: a; exact)"]
    monkeypatch.setattr(sys.modules["transect.measuring.measure"], "_LONG", 0.0)
    measure({"a": mlp()}, paths(4), out=tmp_path)
    assert logged[1].startswith("Forecast: 1 model on 4 paths: about ")
    assert logged[2:] == [
        f"Measurements(4 rows; 1 model: a; exact) in {tmp_path / 'table.parquet'} (0 rows kept from before)"
    ]
    measure({"a": mlp()}, paths(4), out=tmp_path)
    assert len(logged) == 4  # what is kept needs no forecast
