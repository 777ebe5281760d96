"""What reaches a terminal: our words, with nothing in them that it would obey, and none of torch's."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from transect.support.text import visible


class Terminal(Console):
    """A console for texts of strangers: nothing in them is markup, and what a terminal would obey is spelt out.

    Args:
        stderr: Whether to write to the standard error.
    """

    def __init__(self, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As ``rich`` does: everything that is printed, drawn or updated passes here."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)


@contextmanager
def quiet() -> Iterator[None]:
    """What torch would log or warn of of a module or file goes into our error instead."""
    here = threading.get_ident()

    def of_others(record: logging.LogRecord) -> bool:
        return record.thread != here or not record.name.startswith("torch")

    torchs = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] == "torch"]
    places: list[logging.Filterer] = [logging.getLogger(name) for name in torchs]
    places += [*logging.getLogger("torch").handlers, *logging.root.handlers]  # for loggers that are made meanwhile
    for place in places:
        place.addFilter(of_others)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for place in places:
            place.removeFilter(of_others)
