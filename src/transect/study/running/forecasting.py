"""What a study would take, before it is run: a few steps of each kind of training and a look at a path, timed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from transect.errors import StudyError
from transect.measuring import forecast
from transect.measuring.rows import one_thread
from transect.study.config import DataConfig, MeasuringConfig, NetworkConfig, StudyConfig, short_hash
from transect.study.data.dataset import DataSet
from transect.study.data.load import load_data
from transect.study.identity import identified
from transect.study.models import build_model
from transect.study.running.folders import CONFIGURATION, blocks, run_folder
from transect.study.running.measuring import paths_around
from transect.study.running.sweep import read_configuration
from transect.study.training.hardware import placed
from transect.study.training.steps import make_optimizer

_BATCHES, _ENOUGH_SECONDS = 5, 0.3
_PATHS_LOOKED_AT = 3


@dataclass(frozen=True)
class RunForecast:
    """What one network would take, on one core of this machine.

    Attributes:
        label: Its name.
        finished: Whether nothing is left to do.
        train_seconds: Of training; None where the model was not built.
        measure_seconds: Of measuring it in all ways. It is timed before training, when networks have fewer regions.
    """

    label: str
    finished: bool
    train_seconds: float | None
    measure_seconds: float | None

    @property
    def seconds(self) -> float | None:
        """Of both."""
        if self.train_seconds is None or self.measure_seconds is None:
            return None
        return self.train_seconds + self.measure_seconds


def forecast_study(
    config: StudyConfig,
    folder: Path | None = None,
    cache: Path | None = None,
    told: Callable[[str], None] | None = None,
    build: bool = True,
) -> Iterator[RunForecast]:
    """Forecast what every network of a study would take; those alike but for their seeds are timed once.

    Args:
        config: The study.
        folder: Its folder, to know what is finished.
        cache: Folder of the data cache.
        told: Hears of the network that is looked at next.
        build: Whether models of the user may be built, which runs their code.

    Yields:
        One forecast a network, in the order of the study.

    Raises:
        StudyError: If the data or the paths cannot be made; data that are not there are not downloaded.
    """
    config = _identified_as_it_lies(config, cache, build)
    known: dict[str, tuple[float | None, float | None]] = {}
    data: dict[DataConfig, DataSet] = {}
    made = {} if folder is None else _networks_of(folder, build)
    for network, label in config.labels():
        key = _alike(network)
        if network.model.is_users and not build:
            known[key] = None, None
        elif key not in known:
            if told is not None:
                told(label)
            data[network.data] = data.get(network.data) or load_data(network.data, cache)
            with one_thread():
                seconds = _train_seconds(network, data[network.data])
                known[key] = seconds, _measure_seconds(config, network, data[network.data])
        there = made.get(_looked_at(network, build).hash())
        yield RunForecast(label, there is not None and _is_finished(config, there, folder), *known[key])


def _identified_as_it_lies(config: StudyConfig, cache: Path | None, build: bool) -> StudyConfig:
    """The study with digests; nothing is downloaded to find them."""
    data = tuple(one.model_copy(update={"download": False}) for one in config.data)
    try:
        return identified(config.model_copy(update={"data": data}), cache, build)
    except StudyError as error:
        if any(one.download for one in config.data):
            raise StudyError(f"{error}. It is set: the run downloads, a forecast of it does not") from error
        raise


def _is_finished(config: StudyConfig, network: NetworkConfig, folder: Path | None) -> bool:
    return folder is not None and run_folder(folder, network).is_finished(config.epochs(), config.measurings())


def _networks_of(folder: Path, build: bool) -> dict[str, NetworkConfig]:
    """What a folder was made for, by the hash of what is looked at."""
    there = read_configuration(folder).networks() if (folder / CONFIGURATION).exists() else ()
    return {_looked_at(network, build).hash(): network for network in there}


def _looked_at(network: NetworkConfig, build: bool) -> NetworkConfig:
    """Without the structure of its model, which only building it would tell."""
    contents = {name: digest for name, digest in network.contents.items() if build or name != "structure"}
    return network.model_copy(update={"contents": contents})


def _alike(network: NetworkConfig) -> str:
    settings = network.identity()
    for section, key in (("train", "seed"), ("train", "order_seed"), ("data", "noise_seed"), ("data", "label_noise")):
        settings[section].pop(key)
    return short_hash(settings)


def _train_seconds(network: NetworkConfig, data: DataSet) -> float:
    if network.model.checkpoint is not None:
        return 0.0
    model = build_model(network.model, data.input_shape, data.classes, seed=0)
    optimizer = make_optimizer(model, network.train)
    batch = data.prepare(data.train.inputs[: network.train.batch_size])
    labels = data.train.labels[: network.train.batch_size]
    with placed(model, torch.device("cpu")):
        a_batch = _batch_seconds(model, optimizer, batch, labels)
    return a_batch * math.ceil(len(data.train) / network.train.batch_size) * network.train.epochs


def _batch_seconds(model: nn.Module, optimizer: Optimizer, batch: Tensor, labels: Tensor) -> float:
    seconds: list[float] = []
    while len(seconds) <= _BATCHES or (sum(seconds) < _ENOUGH_SECONDS and len(seconds) < 100):
        began = time.perf_counter()
        optimizer.zero_grad()
        cross_entropy(model(batch), labels).backward()
        optimizer.step()
        seconds.append(time.perf_counter() - began)
    return float(torch.tensor(seconds[1:]).median())  # the first one allocates


def _measure_seconds(config: StudyConfig, network: NetworkConfig, data: DataSet) -> float:
    model = build_model(network.model, data.input_shape, data.classes, seed=0).eval()
    return sum(_seconds_of(model, one, data) for one in config.measurings())


def _seconds_of(model: nn.Module, measuring: MeasuringConfig, data: DataSet) -> float:
    total = sum(map(len, blocks(measuring)))
    few = measuring.paths.model_copy(update={"paths": min(_PATHS_LOOKED_AT, total)})
    found = forecast(model, paths_around(data, few), count=total)
    exact = measuring.measures.method == "exact" and found.exact_seconds is not None
    return (found.exact_seconds if exact and found.exact_seconds is not None else found.estimate_seconds).value
