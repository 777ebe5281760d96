"""Digests of functions: two models of one digest compute the same, whatever their modules are called."""

from __future__ import annotations

import functools
import hashlib
import secrets
import sys
import sysconfig
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn

from transect.graph.node import Rows, Value
from transect.networks.network import Network

_PLAIN = (bool, int, str, bytes, type(None), range, torch.dtype, torch.device, torch.layout, torch.memory_format)
_INSTALLED = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
_OF_EVERY_CLASS = {"__module__", "__dict__", "__weakref__", "__doc__", "__firstlineno__", "_abc_impl"}


def fingerprint(model: Network | nn.Module | Callable[..., object]) -> str:
    """A digest of what a model, or a function, computes.

    Of a captured network it is that of its graph: operations, their arguments, constants bit by bit, dtypes, and what
    is computed from what. Names of modules and parameters do not matter.

    Of a module that cannot be captured, and of a function or class, it is that of all that makes it up: tensors,
    attributes, and the code of its user's classes and functions, with the values these read from around them; what is
    installed counts by its name and version. Where it holds something that nobody can look into, such as an open file,
    no two digests are equal.
    """
    writer = _Writer()
    if isinstance(model, Network):
        writer.graph(model)
    else:
        writer.write(model)
    return writer.digest.hexdigest()[:32]


class _Writer:
    """Writes values of any kind into a digest, each with its type, so that no two are written alike."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256()
        self._known: dict[int, tuple[int, Any]] = {}  # kept, so that no id is given twice
        self._places: dict[str, int] = {}

    def graph(self, network: Network) -> None:
        """Write a captured network: its values are known by their places, not by their names."""
        graph = network.graph
        self._places[graph.input.name] = 0
        self.write((network.input_shape, graph.dtype))
        for place, node in enumerate(graph.nodes, 1):
            self.write((node.operation, node.part, node.args, dict(node.kwargs)))
            self._places[node.name] = place
        self.write((graph.output, graph.output.shape, graph.output.row_dim))

    def write(self, value: Any) -> None:
        """Write a value and all that it is made of."""
        self._say(type(value).__qualname__)
        if isinstance(value, _PLAIN):
            self._say(repr(value))
        elif isinstance(value, float | complex):
            self._say(f"{value.real.hex()} {value.imag.hex()}")
        elif isinstance(value, Value | Rows):
            self._say(str(self._places[value.name]))
        elif isinstance(value, Tensor):
            self._tensor(value.detach())
        elif id(value) in self._known:
            self._say(f"again {self._known[id(value)][0]}")
        else:
            if not isinstance(value, tuple):  # whether two equal ones are one differs from process to process
                self._known[id(value)] = len(self._known), value
            parts = list(_parts(value))
            self._say(str(len(parts)))
            for part in parts:
                self.write(part)

    def _tensor(self, value: Tensor) -> None:
        dense = value.to_dense() if value.layout != torch.strided else value
        numbers = dense.resolve_conj().resolve_neg().cpu().contiguous().reshape(-1)
        self._say(f"{value.dtype} {tuple(value.shape)}")
        self.digest.update(numbers.view(torch.uint8).numpy().data)

    def _say(self, text: str) -> None:
        data = text.encode("utf-8", "backslashreplace")
        self.digest.update(f"{len(data)} ".encode() + data)


def _parts(value: Any) -> Iterator[Any]:
    """What a value that is no number, text or tensor is made of."""
    if isinstance(value, list | tuple):
        yield from value
    elif isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, set | frozenset):
        yield from sorted(map(repr, value))
    elif isinstance(value, types.ModuleType | types.BuiltinFunctionType) or _is_installed(value):
        yield _name(value)
    elif isinstance(value, types.FunctionType):
        outside = {name: found for name, found in _outside(value.__code__, value.__globals__)}
        yield from (value.__code__, value.__defaults__, value.__kwdefaults__, value.__closure__, outside)
    elif isinstance(value, types.CodeType):
        yield from (value.co_code, value.co_exceptiontable, value.co_consts, value.co_names, value.co_freevars)
    elif isinstance(value, types.CellType):
        with suppress(ValueError):  # it is empty
            yield value.cell_contents
    elif isinstance(value, types.MethodType):
        yield from (value.__func__, value.__self__)
    elif isinstance(value, staticmethod | classmethod | property | functools.partial):
        yield from (getattr(value, name, None) for name in ("__func__", "fget", "func", "args", "keywords"))
    elif isinstance(value, type):
        yield from (_name(value), value.__bases__)
        yield from (pair for pair in vars(value).items() if pair[0] not in _OF_EVERY_CLASS)
    elif isinstance(value, nn.Module):
        yield type(value)  # and hooks without the numbers that they were given in this process
        yield from (
            (name, list(part.values()) if name.endswith("_hooks") else part) for name, part in vars(value).items()
        )
    else:
        yield from _reduced(value)


def _outside(code: types.CodeType, names: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What a function reads from around it: globals, and attributes of modules of the user's."""
    for name in code.co_names:
        if name in names:
            yield name, names[name]
            if isinstance(names[name], types.ModuleType) and not _is_installed(names[name]):
                yield from ((f"{name}.{n}", vars(names[name])[n]) for n in code.co_names if n in vars(names[name]))
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _outside(constant, names)


def _reduced(value: Any) -> Iterator[Any]:
    """An object as what would make it again; where it cannot be taken apart, what nothing equals."""
    try:
        reduced = value.__reduce_ex__(4)
    except Exception:  # of whatever kind: objects say in many ways that they cannot be taken apart
        yield secrets.token_hex(16)
        return
    if isinstance(reduced, str):
        yield reduced
        return
    for part in reduced:
        yield list(part) if isinstance(part, Iterator) else part


def _is_installed(value: Any) -> bool:
    """Whether a module, class or function belongs to Python or to an installed package."""
    if isinstance(value, types.ModuleType):
        module: Any = value
    elif isinstance(value, type | types.FunctionType):
        module = sys.modules.get(value.__module__ or "")
    else:
        return False
    file = getattr(module, "__file__", None)
    return file.startswith(_INSTALLED) if file else getattr(module, "__name__", "") in sys.builtin_module_names


def _name(value: Any) -> str:
    module = value.__name__ if isinstance(value, types.ModuleType) else value.__module__ or ""
    version = getattr(sys.modules.get(module.partition(".")[0]), "__version__", "")
    return f"{module}.{getattr(value, '__qualname__', '')} {version}"
