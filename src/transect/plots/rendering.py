"""A figure as the bytes of a file, the same every time."""

from __future__ import annotations

import io
from typing import Literal, get_args

from matplotlib.figure import Figure

from transect.errors import check_one_of
from transect.plots.style import house_style

Format = Literal["png", "svg"]
_DOTS_PER_INCH = 160
_UNDATED: dict[Format, dict[str, str | None]] = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}


def render(figure: Figure, file_format: Format) -> bytes:
    """Draw a figure to the bytes of an image file.

    Equal figures give equal bytes (one version of matplotlib, one machine): no date, no version, fixed ids.

    Args:
        figure: What to draw.
        file_format: ``"png"`` (160 dots an inch) or ``"svg"`` (text as outlines, so that it looks alike everywhere).

    Returns:
        Contents of the file.

    Raises:
        InvalidInput: If the format is another one.
    """
    check_one_of("file_format", file_format, get_args(Format))
    buffer = io.BytesIO()
    with house_style():
        figure.savefig(buffer, format=file_format, dpi=_DOTS_PER_INCH, metadata=_UNDATED[file_format])
    return buffer.getvalue()
