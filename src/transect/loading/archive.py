"""Saved programs of ``torch.export`` (``.pt2``) read as data.

``torch.export.load`` is not made for files of strangers: it unpickles, evaluates expressions and the source of guards,
imports what trees of arguments name, writes names into source text that it runs, and opens compiled libraries. Here a
file is read first, every string in it is held against what a program of ATen operations needs, and what passed is
written into a new archive in memory. Only that one is given to torch.
"""

from __future__ import annotations

import io
import json
import math
import os
import pickle
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from transect.errors import InvalidInput, refuse_for_memory
from transect.terminal import quiet
from transect.untrusted import Untrusted, check_records, is_size, refuse

_PROGRAM, _OLD_PROGRAM = "models/model.json", "serialized_exported_program.json"
_JSON = (_PROGRAM, "data/weights/model_weights_config.json", "data/constants/model_constants_config.json")
_PICKLED = ("data/weights/model.pt", "data/constants/model.pt", "data/sample_inputs/model.pt")
_NUMBERS = re.compile(r"data/(weights/weight|constants/tensor)_\d+")  # bytes of tensors, as they are
_MARKS = ("archive_format", "archive_version", "byteorder", ".data/version")
_EXPANDED = 2**26  # numbers by which a tensor that repeats its bytes may be larger than they are
_LEFT_OUT = ("guards_code", "treespec_namedtuple_fields", "torch_fn", "source_fn_stack", "from_node", "custom")

_PLAIN = re.compile(r"[\w .,:+*/<>\[\]-]*")
_NAME = re.compile(r"\w*")
_ANY = re.compile(r".*", re.DOTALL)
_PATTERNS = {
    "name": _NAME,
    "as_name": _NAME,
    "forward_arg_names": _NAME,
    "path_name": re.compile(r"(weight|tensor)_\d+"),
    "target": re.compile(
        r"torch\.ops\.aten\.(?!(save|from_file|warn|_print)\.)\w+\.[A-Za-z]\w*|torch\.sym_\w+|math\.(floor|ceil|trunc)|"
        r"torch\.ops\.higher_order\.wrap_with_set_grad_enabled|"
        r"_operator\.(getitem|add|sub|mul|floordiv|truediv|mod|pow|neg|eq|ne|lt|le|gt|ge|and_|or_|not_)"
    ),
    "nn_module_stack": re.compile(r"[\w.,:;@<>$\[\] -]*"),
    "stack_trace": _ANY,  # shown, never run
    "as_string": _ANY,  # an argument, given as it is
}
_TREES = (None, "builtins.tuple", "builtins.list", "builtins.dict")


def load_program(path: str | os.PathLike[str]) -> ExportedProgram:
    """A program saved by ``torch.export.save``; nothing in the file is unpickled or run.

    Raises:
        InvalidInput: There is no such file, it is damaged, of another version of torch, or it holds what a program of
            ATen operations does not need and what loading could run.
    """
    path = Path(path)
    if not path.is_file():
        raise InvalidInput(f"model: there is no file {path}.")
    try:
        with quiet():
            return torch.export.load(_copy_of_data(path))
    except _Old as error:
        raise InvalidInput(
            f"model: {path} was saved by a version of torch before 2.8, whose programs cannot be read without "
            "unpickling; save it again with a newer one, or give the model itself instead, as package.module:callable."
        ) from error
    except _Unsafe as error:
        raise InvalidInput(
            f"model: {path} was not loaded: {error}. Only programs of ATen operations on tensors are loaded; "
            "if the file is your own, give the model itself instead, as package.module:callable."
        ) from error
    except Exception as error:  # whatever torch raises on a file that is not what it writes
        refuse_for_memory(error)
        why = f": {error}" if isinstance(error, Untrusted) else ""
        raise InvalidInput(
            f"model: {path} is damaged, or was not saved by torch.export.save of this version of torch "
            f"({torch.__version__}){why}."
        ) from error


class _Old(Exception):
    """The file is of the form that torch wrote before it had archives of records."""


class _Unsafe(Exception):
    """The file holds what could run."""


def _copy_of_data(path: Path) -> io.BytesIO:
    copy = io.BytesIO()
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(copy, "w") as rebuilt:
        check_records(archive, path.stat().st_size)
        if _OLD_PROGRAM in archive.namelist():
            raise _Old
        root = archive.namelist()[0].partition("/")[0]
        if f"{root}/{_PROGRAM}" not in archive.namelist():
            refuse(f"it has no {_PROGRAM}")
        for name in archive.namelist():
            for contents in _record(name.removeprefix(f"{root}/"), archive, name):
                rebuilt.writestr(name, contents)
    copy.seek(0)
    return copy


def _record(record: str, archive: zipfile.ZipFile, name: str) -> Iterator[bytes]:
    """What a record becomes in the copy: nothing for what is not needed."""
    if record in _JSON:
        found = _checked(json.loads(archive.read(name)))
        if record != _PROGRAM:
            _check_tensors(found["config"], archive, name.rpartition("/")[0])
        yield json.dumps(found).encode()
    elif record in _PICKLED:
        yield _tensors_only(record, archive.read(name))
    elif record in _MARKS or _NUMBERS.fullmatch(record):
        yield archive.read(name)


def _check_tensors(config: dict[str, Any], archive: zipfile.ZipFile, folder: str) -> None:
    """Hold that tensors are no larger than the bytes that are there for them: what has none is made of zeros."""
    for tensor, about in config.items():
        sizes = [size["as_int"] for size in about["tensor_meta"]["sizes"]]
        there = archive.getinfo(f"{folder}/{about['path_name']}").file_size
        if min(sizes, default=0) < 0 or math.prod(sizes) > (there + _EXPANDED if there else 0):
            refuse(f"its tensor {tensor[:80]!r} of shape {str(sizes)[:80]} has only {there:,} bytes")


def _tensors_only(record: str, pickled: bytes) -> bytes:
    if not pickled:
        return pickled
    try:
        with zipfile.ZipFile(io.BytesIO(pickled)) as inner:
            check_records(inner, len(pickled))
        found = torch.load(io.BytesIO(pickled), weights_only=True)
    except pickle.UnpicklingError as error:
        raise _Unsafe(f"{record} in it holds pickled Python objects, and not only tensors") from error
    written = io.BytesIO()
    torch.save(found, written)
    return written.getvalue()


def _checked(value: Any, key: str = "") -> Any:
    """The same JSON without what is not needed, every string in it checked."""
    if isinstance(value, dict):
        return {_string(name, ""): _checked(part, name) for name, part in value.items() if name not in _LEFT_OUT}
    if isinstance(value, list):
        return [_checked(part, key) for part in value]
    if key == "use_pickle" and value:
        raise _Unsafe("it holds pickled Python objects, and not only tensors")
    return _string(value, key) if isinstance(value, str) else value


def _string(text: str, key: str) -> str:
    if key == "expr_str":
        allowed = is_size(text)
    elif key in ("in_spec", "out_spec"):
        allowed = _is_tree(json.loads(text)[1])
    else:
        allowed = _PATTERNS.get(key, _PLAIN).fullmatch(text) is not None
    if not allowed:
        what = "the operation" if key == "target" else f"as {key or 'key'}"
        grows = ", or which could grow without bound" if key == "expr_str" else ""
        raise _Unsafe(f"it uses {what} {text[:80]!r}, which loading could run{grows}")
    return text


def _is_tree(tree: dict[str, Any]) -> bool:
    """Whether arguments or results are nested in tuples, lists and dictionaries only."""
    context = tree["context"]
    plain = context in (None, "null") or bool(re.fullmatch(r'\[("\w+"(, )?)*\]', context))
    return plain and tree["type"] in _TREES and all(map(_is_tree, tree["children_spec"]))
