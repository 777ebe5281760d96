"""What a file that is not to be trusted would do."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


class Harm:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[..., None], tuple[str]]:
        return os.mkdir, (str(self.folder),)
