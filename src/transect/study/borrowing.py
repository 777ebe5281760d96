"""Networks that another study has trained already."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from transect.errors import StudyError
from transect.storage.atomic import replacing
from transect.study.config import StudyConfig
from transect.study.folders import RUNS, RunFolder, run_folder


def borrow_networks(config: StudyConfig, folder: Path, others: Sequence[Path]) -> int:
    """Copy the networks of a study that lie trained in the folders of others: they are not trained again.

    A network is the same if everything that its training depends on is.

    Args:
        config: The study.
        folder: Its folder.
        others: Folders of other studies.

    Returns:
        How many were copied.

    Raises:
        StudyError: If one of the folders holds no study.
    """
    for other in others:
        if not (other / RUNS).is_dir():
            raise StudyError(f"expected the folder of a study to take networks from, found no {RUNS}/ in {other}")
    copied = 0
    for network in config.networks():
        mine = run_folder(folder, network)
        found = (run_folder(other, network) for other in others)
        lender = next((one for one in found if one.is_trained(config.epochs())), None)
        if lender is not None and not mine.is_trained(config.epochs()):
            _copy(lender, mine, config.epochs())
            copied += 1
    return copied


def _copy(lender: RunFolder, mine: RunFolder, epochs: Sequence[int | str]) -> None:
    weights = [lender.weights(epoch) for epoch in epochs]
    for file in (*weights, lender.settings, lender.evaluation):  # the last one says that the others are there
        if file.exists():  # a network from a checkpoint has no weights of its own
            with replacing(mine.path / file.name) as temporary:
                shutil.copyfile(file, temporary)
