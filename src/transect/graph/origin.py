"""Where a node of an exported graph comes from: the module that made it and the line of the user's source."""

from __future__ import annotations

import os
import re
from pathlib import Path

import torch
from torch import fx

from transect.graph.calling import Called, own_name

_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<function>\S+)\n\s*(?P<text>[^\n]*)')
# Torch, and not torchvision, which lies beside it; and what calls the user's module here.
_NOT_THE_USERS = tuple(str(Path(file).parent) + os.sep for file in (torch.__file__, __file__))


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
