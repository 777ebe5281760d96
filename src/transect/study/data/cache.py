"""Where data sets are kept between runs."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def default_cache_folder() -> Path:
    """Folder for data that can be made again: ``$XDG_CACHE_HOME/transect``, or what the platform uses instead."""
    if folder := os.environ.get("XDG_CACHE_HOME"):
        return Path(folder) / "transect"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "transect" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "transect"
    return Path.home() / ".cache" / "transect"
