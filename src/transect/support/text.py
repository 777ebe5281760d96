"""Texts of strangers (names in files, names of files) where people and file systems meet them."""

from __future__ import annotations

import re
import unicodedata

_SEPARATORS = frozenset('/\\:*?"<>|')
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # devices of Windows
_LONGEST_FILE_NAME = 200  # bytes: file systems take 255, and endings are added


def is_controlling(letter: str) -> bool:
    """Whether a terminal obeys a character, or hides it, in place of showing it."""
    return unicodedata.category(letter) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def visible(text: str) -> str:
    """A text for a terminal: what it would obey in place of showing it, but for line breaks, is spelt out."""
    if text.isprintable():
        return text
    return "".join(ascii(one)[1:-1] if is_controlling(one) and one != "\n" else one for one in text)


def size_in_memory(count: float) -> str:
    """A number of bytes as people read it: ``1,234 MiB``, or bytes where it is less than one."""
    return f"{count / 2**20:,.0f} MiB" if count >= 2**20 else f"{count:,.0f} byte{'' if count == 1 else 's'}"


def is_file_name(name: str) -> bool:
    """Whether a text names one file in a folder, on every system: no way to another folder, no device, not too long."""
    return (
        bool(name)
        and not any(letter in _SEPARATORS or is_controlling(letter) for letter in name)
        and name == name.strip()
        and not name.startswith((".", "-", "~"))
        and not name.endswith(".")
        and _RESERVED.fullmatch(name) is None
        and len(name.encode()) <= _LONGEST_FILE_NAME
    )
