"""Objects of a user's own code by name."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from transect.errors import InvalidInput, did_you_mean


@contextmanager
def current_folder() -> Iterator[None]:
    """Imports also look in the current folder, as those of ``python -m`` do."""
    before, folder = list(sys.path), os.getcwd()
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path[:] = before


def imported(place: str, attribute: str) -> Any:
    """What ``from place import attribute`` gives; the attribute may have dots.

    Raises:
        InvalidInput: There is no such module or attribute (the nearest ones are named), or importing it fails.
    """
    found: Any = _module(place)
    for part in attribute.split("."):
        if not hasattr(found, part):
            public = [name for name in dir(found) if not name.startswith("_")]
            raise InvalidInput(f"model: {place} has no {attribute!r}{did_you_mean(attribute, public)}.")
        found = getattr(found, part)
    return found


def _module(place: str) -> ModuleType:
    importlib.invalidate_caches()
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name is not None and (place == error.name or place.startswith(f"{error.name}.")):
            raise InvalidInput(
                f"model: there is no module {place!r}, neither in the current folder nor installed"
                f"{did_you_mean(place, (file.stem for file in Path().glob('*.py')))}; expected "
                "package.module:callable, as in an import, without .py."
            ) from error
        raise InvalidInput(f"model: importing {place} failed: {error}; install what it needs.") from error
    except Exception as error:  # whatever a user's file raises
        raise InvalidInput(f"model: importing {place} failed: {type(error).__name__}: {error}") from error
