"""Saved programs of ``torch.export`` (``.pt2``) read as data.

``torch.export.load`` is not made for files of strangers: it unpickles, evaluates expressions and the source of guards,
imports what trees of arguments name, writes names into source text that it runs, and opens compiled libraries. Here a
file is read first, every string in it is held against what a program of ATen operations needs, and what passed is
written into a new archive in memory. Only that one is given to torch.
"""

from __future__ import annotations

import ast
import io
import json
import os
import pickle
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from transect.errors import InvalidInput

_PROGRAM, _OLD_PROGRAM = "models/model.json", "serialized_exported_program.json"
_JSON = (_PROGRAM, "data/weights/model_weights_config.json", "data/constants/model_constants_config.json")
_PICKLED = ("data/weights/model.pt", "data/constants/model.pt", "data/sample_inputs/model.pt")
_NUMBERS = re.compile(r"data/(weights/weight|constants/tensor)_\d+")  # bytes of tensors, as they are
_MARKS = ("archive_format", "archive_version", "byteorder", ".data/version")
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
_FUNCTIONS = frozenset(
    "Symbol Integer Rational Add Mul Pow Max Min Mod PythonMod FloorDiv CleanDiv CeilDiv PowByNatural".split()
)
_EXPRESSIONS = (ast.Expression, ast.Call, ast.Name, ast.Load, ast.Constant, ast.keyword, ast.BinOp, ast.UnaryOp,
                ast.operator, ast.unaryop)  # fmt: skip
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
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InvalidInput(
            f"model: {path} is damaged, or was not saved by torch.export.save of this version of torch "
            f"({torch.__version__}): {first}"
        ) from error


class _Old(Exception):
    """The file is of the form that torch wrote before it had archives of records."""


class _Unsafe(Exception):
    """The file holds what could run."""


def _copy_of_data(path: Path) -> io.BytesIO:
    copy = io.BytesIO()
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(copy, "w") as rebuilt:
        if _OLD_PROGRAM in archive.namelist():
            raise _Old
        root = archive.namelist()[0].partition("/")[0]
        if f"{root}/{_PROGRAM}" not in archive.namelist():
            raise ValueError(f"it has no {_PROGRAM}")
        for name in archive.namelist():
            for contents in _record(name.removeprefix(f"{root}/"), archive, name):
                rebuilt.writestr(name, contents)
    copy.seek(0)
    return copy


def _record(record: str, archive: zipfile.ZipFile, name: str) -> Iterator[bytes]:
    """What a record becomes in the copy: nothing for what is not needed."""
    if record in _JSON:
        yield json.dumps(_checked(json.loads(archive.read(name)))).encode()
    elif record in _PICKLED:
        yield _tensors_only(record, archive.read(name))
    elif record in _MARKS or _NUMBERS.fullmatch(record):
        yield archive.read(name)


def _tensors_only(record: str, pickled: bytes) -> bytes:
    if not pickled:
        return pickled
    try:
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
        allowed = _is_size(text)
    elif key in ("in_spec", "out_spec"):
        allowed = _is_tree(json.loads(text)[1])
    else:
        allowed = _PATTERNS.get(key, _PLAIN).fullmatch(text) is not None
    if not allowed:
        what = "the operation" if key == "target" else f"as {key or 'key'}"
        raise _Unsafe(f"it uses {what} {text[:80]!r}, which loading could run")
    return text


def _is_size(text: str) -> bool:
    """Whether an expression only computes a size from symbols and whole numbers."""
    nodes = list(ast.walk(ast.parse(text, mode="eval")))
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    called = {node.func.id for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    texts = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return (
        all(isinstance(node, _EXPRESSIONS) for node in nodes)
        and all(isinstance(node.func, ast.Name) for node in nodes if isinstance(node, ast.Call))
        and called <= _FUNCTIONS
        and all(re.fullmatch(r"[su]\d+", name) for name in names - called)
        and all(re.fullmatch(r"[A-Za-z]\w*", part) for part in texts)
    )


def _is_tree(tree: dict[str, Any]) -> bool:
    """Whether arguments or results are nested in tuples, lists and dictionaries only."""
    context = tree["context"]
    plain = context in (None, "null") or bool(re.fullmatch(r'\[("\w+"(, )?)*\]', context))
    return plain and tree["type"] in _TREES and all(map(_is_tree, tree["children_spec"]))
