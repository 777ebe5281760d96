"""Where a node of an exported graph, or an error, comes from: the module and the line of the user's source."""

from __future__ import annotations

import linecache
import os
import re
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import torch
from torch import fx, nn

from transect.graph.calling import Called, own_name

_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<function>\S+)\n\s*(?P<text>[^\n]*)')
# Torch, and not torchvision, which lies beside it; and what calls the user's module here.
_NOT_THE_USERS = tuple(str(Path(file).parent) + os.sep for file in (torch.__file__, __file__))
_LIBRARY = sysconfig.get_path("stdlib") + os.sep
_PACKAGES = tuple({sysconfig.get_path(kind) + os.sep for kind in ("purelib", "platlib")})  # they may lie inside it


def module_path(node: fx.Node) -> str:
    """Path and class of the deepest module, such as ``layer1.0.relu (ReLU)``; empty outside every module."""
    stack = [entry for entry in node.meta.get("nn_module_stack", {}).values() if isinstance(entry, tuple)]
    if not stack:
        return ""
    path, kind = stack[-1]
    if _name(stack[0][1]) == Called.__name__:
        if len(stack) == 1:
            return ""
        path = own_name(path)
    return f"{path or 'model'} ({_name(kind)})"


def _name(kind: object) -> str:
    return kind.__name__ if isinstance(kind, type) else str(kind).rpartition(".")[2]


def source_line(node: fx.Node) -> str:
    """``file:line: text`` of the deepest frame in the user's own files, or an empty string."""
    frames = [match for match in _FRAME.finditer(node.meta.get("stack_trace") or "")]
    outside = [frame for frame in frames if not frame["file"].startswith(_NOT_THE_USERS)]
    if not outside:
        return ""
    deepest = outside[-1]
    return f"{deepest['file']}:{deepest['line']}: {deepest['text'].strip()}"


def raised_at(error: BaseException, called: Called) -> tuple[str, str]:
    """The deepest module that an error was raised in, as path and class, and ``file:line: text`` of the user's source.

    Each is an empty string where there is none.
    """
    frames = [found for raised in _chain(error) for found in traceback.walk_tb(raised.__traceback__)]
    names = {id(vars(module)): name for name, module in called.model.named_modules()}
    modules = [frame.f_locals.get("self") for frame, _ in frames]
    inside = [module for module in modules if isinstance(module, nn.Module) and id(vars(module)) in names]
    lines = [(frame.f_code.co_filename, line) for frame, line in frames if _is_the_users(frame)]
    module = f"{names[id(vars(inside[-1]))] or 'model'} ({type(inside[-1]).__name__})" if inside else ""
    return module, "{}:{}: {}".format(*lines[-1], linecache.getline(*lines[-1]).strip()) if lines else ""


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what caused it, the cause last."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_the_users(frame: FrameType) -> bool:
    file = frame.f_code.co_filename
    packaged = file.startswith(_PACKAGES) or not file.startswith(_LIBRARY)
    return packaged and not file.startswith((*_NOT_THE_USERS, "<string>", "<frozen"))
