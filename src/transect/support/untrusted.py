"""Files of strangers: what they declare is held against what is there before anything is read or worked out."""

from __future__ import annotations

import ast
import json
import math
import os
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np

_LONGEST_EXPRESSION, _DEEPEST_EXPRESSION = 10_000, 40
_MOST_TERMS, _MOST_BITS, _LARGEST_CONSTANT, _LARGEST_EXPONENT, _MOST_CHOICES = 128, 2048, 2**63, 8, 32
_BITS_OF_A_SYMBOL = 64
_NUMBERS, _SUMS, _PRODUCTS, _POWERS = {"Integer", "Rational"}, {"Add"}, {"Mul"}, {"Pow", "PowByNatural"}
_CHOICES, _QUOTIENTS = {"Max", "Min"}, {"Mod", "PythonMod", "FloorDiv", "CleanDiv", "CeilDiv"}
_OPERATORS = {ast.Add: "Add", ast.Sub: "Add", ast.Mult: "Mul", ast.Div: "Mul", ast.Pow: "Pow"} | {
    ast.FloorDiv: "FloorDiv",
    ast.Mod: "Mod",
}
_HEADER_OF_A_RECORD = 30  # bytes, at least


class Untrusted(ValueError):
    """A file declares what it does not hold, or what would take memory or time without bound; says what."""


def refuse(what: str) -> NoReturn:
    """Raise :class:`Untrusted`."""
    raise Untrusted(what)


def parse_json(text: str) -> Any:
    """The values of a JSON text.

    Raises:
        Untrusted: It is none, is nested too deeply, or has numbers of thousands of digits.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Untrusted("it is no JSON, or damaged") from error


def regular_file(path: str | os.PathLike[str]) -> Path:
    """The path of a file with something in it: no folder, no device that gives bytes for ever.

    Raises:
        Untrusted: It is none.
    """
    path = Path(path)
    if not path.is_file():
        refuse(
            "it is a folder" if path.is_dir() else "it is no regular file" if path.exists() else "there is no such file"
        )
    return path if path.stat().st_size else refuse("it is empty")


def check_records(archive: zipfile.ZipFile, size: int) -> None:
    """Hold that a zip archive is as torch writes one: records side by side, as long as they say, each once.

    Args:
        archive: The archive.
        size: Bytes of its file.

    Raises:
        Untrusted: A record is compressed (and could become as long as it likes), overlaps another, has the name of
            another or one that leads elsewhere.
    """
    records = sorted(archive.infolist(), key=lambda record: record.header_offset)
    if len({record.filename for record in records}) < len(records):
        refuse("two of its records have one name")
    ends = [record.header_offset for record in records[1:]] + [size]
    for record, end in zip(records, ends, strict=True):
        if record.compress_type != zipfile.ZIP_STORED or record.file_size != record.compress_size:
            refuse(
                f"its record {record.filename[:80]!r} is compressed, {record.compress_size:,} bytes that say they are "
                f"{record.file_size:,}; torch writes records as they are"
            )
        if record.header_offset < 0 or record.header_offset + _HEADER_OF_A_RECORD + record.file_size > end:
            refuse(f"its record {record.filename[:80]!r} is longer than its place in the file")
        if ".." in record.filename.split("/") or record.filename.startswith("/") or "\\" in record.filename:
            refuse(f"the name of its record {record.filename[:80]!r} leads elsewhere")


def read_array(path: str | os.PathLike[str], shape: Sequence[int]) -> np.ndarray:
    """An array of real numbers as ``numpy.save`` writes one, of the shape that is wanted and with no objects in it.

    Raises:
        Untrusted: The file holds something else, or less than it declares; nothing of it was read then.
        OSError: It cannot be read.
    """
    path = regular_file(path)
    with open(path, "rb") as file:
        declared, fortran, dtype = _array_header(file)
        if dtype.kind not in "iuf":
            refuse(f"expected real numbers of shape {tuple(shape)}, found values of type {str(dtype)[:80]}")
        if declared != tuple(shape):
            refuse(f"expected real numbers of shape {tuple(shape)}, found {dtype} of shape {_shape(declared)}")
        length, there = dtype.itemsize * math.prod(declared), path.stat().st_size - file.tell()
        if length != there:
            refuse(f"its header declares {length:,} bytes of numbers, and {there:,} follow")
        numbers = np.fromfile(file, dtype, math.prod(declared))
    return numbers.reshape(declared, order="F" if fortran else "C")


def _array_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    start = file.read(4)
    if start[:2] == b"PK":
        refuse("it is a zip archive, such as numpy.savez writes for several arrays; save the one with numpy.save")
    file.seek(0)
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        return read(file)
    except Exception as error:  # whatever numpy and its parser raise
        raise Untrusted("it is damaged, or was not written by numpy.save") from error


def _shape(sizes: Sequence[int]) -> str:
    return str(tuple(sizes)) if len(str(sizes)) < 80 else f"of {len(sizes)} sizes"


def is_size(text: str) -> bool:
    """Whether an expression computes a size from symbols and whole numbers, and nothing in it can grow without bound.

    Multiplied out it has few terms of few digits; exponents are small constants. Nothing is evaluated to tell.
    """
    try:
        tree = ast.parse(text, mode="eval").body if len(text) <= _LONGEST_EXPRESSION else None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    try:
        return tree is not None and bool(_grown(tree, 0))
    except Untrusted:
        return False


def _grown(node: ast.expr, depth: int) -> tuple[int, int]:
    """At most how many terms, and bits of a value, an expression has when it is multiplied out."""
    if depth > _DEEPEST_EXPRESSION:
        refuse("it is nested too deeply")
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.UAdd | ast.USub):
        return _grown(node.operand, depth + 1)
    if isinstance(node, ast.BinOp):
        return _combined(_OPERATORS.get(type(node.op), ""), [node.left, node.right], depth)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return _symbol(node) if node.func.id == "Symbol" else _called(node, node.func.id, depth)
    if isinstance(node, ast.Name) and re.fullmatch(r"[su]\d{1,9}", node.id):
        return 1, _BITS_OF_A_SYMBOL
    return 1, _constant(node).bit_length()


def _called(node: ast.Call, name: str, depth: int) -> tuple[int, int]:
    return refuse("it has named arguments") if node.keywords else _combined(name, node.args, depth)


def _combined(name: str, parts: Sequence[ast.expr], depth: int) -> tuple[int, int]:
    if name in _NUMBERS:
        return 1, max(_constant(part).bit_length() for part in parts or refuse("a number without digits"))
    if name in _POWERS:
        base, exponent = parts if len(parts) == 2 else refuse("a power of another form")
        grown, times = _grown(base, depth + 1), _exponent(exponent)
        return _bounded(grown[0] ** times, grown[1] * times)
    grown_parts = [_grown(part, depth + 1) for part in parts]
    terms, bits = zip(*grown_parts, strict=True) if parts else refuse("an operation on nothing")
    if name in _PRODUCTS:
        return _bounded(math.prod(terms), sum(bits))
    if name in _SUMS:
        return _bounded(sum(terms), max(bits) + len(bits).bit_length())
    if name in _QUOTIENTS or (name in _CHOICES and sum(terms) <= _MOST_CHOICES):
        return _bounded(1 if name in _QUOTIENTS else sum(terms), max(bits))
    return refuse("an operation that sizes do not need")


def _bounded(terms: int, bits: int) -> tuple[int, int]:
    return (terms, bits) if terms <= _MOST_TERMS and bits <= _MOST_BITS else refuse("it grows beyond bounds")


def _symbol(node: ast.Call) -> tuple[int, int]:
    name = node.args[0].value if len(node.args) == 1 and isinstance(node.args[0], ast.Constant) else None
    assumed = all(part.arg and isinstance(part.value, ast.Constant) for part in node.keywords)
    if not assumed or not isinstance(name, str) or not re.fullmatch(r"[A-Za-z]\w{0,99}", name):
        refuse("a symbol of another form")
    return 1, _BITS_OF_A_SYMBOL


def _constant(node: ast.expr) -> int:
    inner = node.operand if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) else node
    value = inner.value if isinstance(inner, ast.Constant) else None
    if type(value) is not int or value >= _LARGEST_CONSTANT:
        refuse("a constant that is no whole number of 63 bits")
    return value


def _exponent(node: ast.expr) -> int:
    """A small whole number, or one half and the like: their size."""
    parts = node.args if isinstance(node, ast.Call) and getattr(node.func, "id", "") in _NUMBERS else [node]
    values = [_constant(part) for part in parts]
    return max(values) if values and max(values) <= _LARGEST_EXPONENT else refuse("an exponent that is not small")
