"""Pages with parts that scripts make: what stands between ``<!-- NAME:begin -->`` and ``<!-- NAME:end -->``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from transect.plots.style import render
from transect.tables.files import replacing, write_text

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "docs" / "figures"
_PART = re.compile(r"(?P<begin><!-- (?P<name>[\w-]+):begin -->\n).*?(?P<end><!-- (?P=name):end -->)", re.DOTALL)


def update(path: Path, text_of: Callable[[str], str | None]) -> None:
    """Rewrite a page where one of its parts has another text now, and say whether.

    Args:
        path: The page.
        text_of: From the name of a part to its text; None leaves it as it is.
    """
    old = path.read_text()
    new = filled(old, text_of)
    if new != old:
        write_text(path, new)
    print(f"{path.relative_to(ROOT)}: {'updated' if new != old else 'nothing to change'}")


def filled(page: str, text_of: Callable[[str], str | None]) -> str:
    """The page with its parts made anew."""

    def fill(part: re.Match[str]) -> str:
        text = text_of(part["name"])
        return part.group() if text is None else f"{part['begin']}{text}\n{part['end']}"

    return _PART.sub(fill, page)


def save(figure: Figure, name: str, says: str) -> str:
    """Write a figure of the pages, and give its line in Markdown.

    Args:
        figure: What to write.
        name: Of the file, without an ending.
        says: What it shows, for those who do not see it.
    """
    with replacing(FIGURES / f"{name}.png") as temporary:
        temporary.write_bytes(render(figure, "png"))
    return f"![{says}](figures/{name}.png)"


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table in Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
