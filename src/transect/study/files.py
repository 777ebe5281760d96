"""Study files: TOML, with a section each for data, model, train, paths and measures."""

from __future__ import annotations

import glob
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transect.errors import StudyError, did_you_mean
from transect.study.checks import check_study
from transect.study.config import StudyConfig
from transect.support.untrusted import Untrusted, regular_file


def demo_study(seeds: int = 3) -> StudyConfig:
    """The poster's figure on MNIST-1D, in a few minutes on two cores.

    4,000 signals with 20 % wrong labels, an MLP 40-h-h-10 of nine widths on both sides of the interpolation threshold
    (between 52 and 110 units), large batches and a learning rate to match: few steps, which is where small networks
    spend their time. 32 closed paths around training samples and as many around test samples.

    Args:
        seeds: Number of seeds, counted from 0; each costs about two minutes of one core.
    """
    return StudyConfig.parse(
        {
            "name": "demo",
            "data": {"name": "mnist1d", "train_samples": 4000, "test_samples": 4000, "label_noise": 0.2},
            "model": {"name": "mlp", "width": [12, 18, 27, 38, 52, 72, 110, 180, 300]},
            "train": {
                "optimizer": "sgd",
                "learning_rate": 0.07,
                "momentum": 0.9,
                "batch_size": 200,
                "epochs": 200,
                "seed": list(range(seeds)),
            },
            "paths": {"kind": "shift_scale_circle", "split": ["train", "test"], "paths": 32, "anchors": 8},
        }
    )


_MAGIC = "*?["


def ready_studies() -> dict[str, Path]:
    """The study files that come with the package, by name: of an installed one, or of its repository."""
    package = Path(__file__).parents[1]
    folders = (package / "ready_studies", package.parents[1] / "studies")
    folder = next((one for one in folders if one.is_dir()), package)
    return {file.stem: file for file in sorted(folder.glob("*.toml"), key=lambda file: file.stem)}


def study_file(name: str | os.PathLike[str]) -> Path:
    """A study file: the one at that place, or else the ready one of that name.

    Raises:
        StudyError: There is neither; names the ready one that is meant, if one is near.
    """
    path, ready = Path(name), ready_studies()
    is_results = path.is_dir() and path.name in ready  # such as those of the demo, which lie in a folder of its name
    if (path.exists() and not is_results) or path.suffix or path.parent != Path():
        return path
    if path.name not in ready:
        meant = did_you_mean(path.name, ready, most=1)
        raise StudyError(f"there is no study file {path.name}{meant}. The ready ones are {', '.join(ready)}")
    return ready[path.name]


def read_study(path: str | os.PathLike[str]) -> StudyConfig:
    """Read a study file.

    In a section (or in each of several, ``[[paths]]``), a list stands for several values, and the study is the grid of
    all of them. A pattern in ``model.checkpoint`` stands for the files that fit it. Paths of folders and files are
    those of the folder from which the study is run.

    Args:
        path: The TOML file, or the name of a ready one (:func:`ready_studies`).

    Returns:
        The study, named as its file where it has no name.

    Raises:
        StudyError: If the file cannot be read, is not TOML, has an unknown key (the nearest valid one is named) or a
            wrong value; lists all.
    """
    path = study_file(path)
    try:
        given = tomllib.loads(regular_file(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, Untrusted) as error:
        raise StudyError(f"cannot read the study file {path}: {error}") from error
    except (ValueError, RecursionError) as error:  # also of numbers of thousands of digits
        why = error if isinstance(error, tomllib.TOMLDecodeError) else "a value in it is too long, or nested too deeply"
        raise StudyError(f"{path} is not TOML: {why}") from error
    try:
        study = StudyConfig.parse({"name": path.stem} | _with_files(given))
        check_study(study)
    except StudyError as error:
        raise StudyError(f"{path}: {error}") from error
    return study


def _with_files(given: dict[str, Any]) -> dict[str, Any]:
    """The same, patterns of checkpoints replaced by the files that fit."""
    model = given.get("model")
    sections = model if isinstance(model, list) else [model]
    if not any(isinstance(section, Mapping) and "checkpoint" in section for section in sections):
        return given
    return given | {"model": [_matched(section) for section in sections]}


def _matched(section: Any) -> Any:
    if not isinstance(section, Mapping) or "checkpoint" not in section:
        return section
    patterns = section["checkpoint"] if isinstance(section["checkpoint"], list) else [section["checkpoint"]]
    return {**section, "checkpoint": [file for pattern in patterns for file in _files(pattern)]}


def _files(pattern: Any) -> list[Any]:
    if not isinstance(pattern, str) or not any(sign in pattern for sign in _MAGIC):
        return [pattern]
    found = sorted(glob.glob(os.path.expanduser(pattern), recursive=True))
    if not found:
        raise StudyError(f"model.checkpoint: no file fits {pattern!r}")
    return found
