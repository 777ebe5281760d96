"""A user's module stays as it was: buffers and attributes that a forward pass changes are put back."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, MutableMapping, MutableSequence, MutableSet
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from transect.graph.calling import Called, own_name

_OF_MODULES = frozenset(("_parameters", "_buffers", "_modules"))
_DEPTH = 4  # of containers and objects in one another, from a module on


@contextmanager
def state_kept(model: nn.Module) -> Iterator[Callable[[], list[str]]]:
    """For the time of a block, what a forward pass changes in a module and its submodules is only lent.

    Buffers are put back, and so are plain attributes: what a module keeps of the batch in hand (a grid, a mask, a list
    of activations) would be wrong for the next one. What it hands out tells the names of the buffers changed so far.
    """
    buffers = [
        _Buffer(own_name(f"{path}.{name}"), module, name, buffer, buffer.detach().clone())
        for path, module in model.named_modules()
        for name, buffer in module._buffers.items()
        if buffer is not None
    ]
    with attributes_kept(model):
        try:
            yield lambda: [buffer.path for buffer in buffers if buffer.changed()]
        finally:
            with torch.no_grad():
                for buffer in buffers:
                    buffer.put_back()


@contextmanager
def attributes_kept(model: nn.Module) -> Iterator[None]:
    """The same for plain attributes alone, and for buffers and submodules that come into being."""
    kept: dict[int, tuple[Any, Any]] = {}
    for module in model.modules():
        if not isinstance(module, Called):
            _keep(module, kept, _DEPTH)
    try:
        yield
    finally:
        with torch.no_grad():
            for value, content in kept.values():
                _put_back(value, content)


@dataclass(frozen=True)
class _Buffer:
    path: str
    module: nn.Module
    name: str
    tensor: Tensor
    numbers: Tensor

    def changed(self) -> bool:
        return self.module._buffers.get(self.name) is not self.tensor or _differs(self.tensor, self.numbers)

    def put_back(self) -> None:
        self.module._buffers[self.name] = self.tensor
        if _differs(self.tensor, self.numbers):
            self.tensor.resize_(self.numbers.shape).copy_(self.numbers)


def _keep(value: Any, kept: dict[int, tuple[Any, Any]], depth: int) -> None:
    """Note what a value holds, and what that holds: containers in containers, and attributes of plain objects."""
    if depth == 0 or id(value) in kept:
        return
    content = _content(value)
    if content is not None:
        kept[id(value)] = value, content
    parts = content.values() if isinstance(content, dict) else content if isinstance(content, list) else ()
    if isinstance(value, nn.Module):
        for name in _OF_MODULES & content.keys():  # entries that come into being are no attributes, and go all the same
            kept[id(content[name])] = content[name], frozenset(content[name])
    for part in value if isinstance(value, tuple) else parts:
        _keep(part, kept, depth - 1)


def _content(value: Any) -> Any:
    if isinstance(value, Tensor):
        return None if isinstance(value, nn.Parameter) else value.detach().clone()
    if isinstance(value, MutableMapping):
        return dict(value)
    if isinstance(value, MutableSequence | MutableSet):
        return list(value)
    return dict(vars(value)) if isinstance(value, nn.Module) or _is_plain(value) else None


def _is_plain(value: Any) -> bool:
    """Whether a value is an object of a user's own class, or a namespace."""
    root = type(value).__module__.partition(".")[0]
    own = isinstance(value, SimpleNamespace) or (root != "torch" and root not in sys.stdlib_module_names)
    return own and hasattr(value, "__dict__") and not callable(value)


def _put_back(value: Any, content: Any) -> None:
    if isinstance(content, Tensor):
        if _differs(value, content):
            value.data = content
        return
    held: Any = value if isinstance(value, MutableMapping | MutableSequence | MutableSet) else vars(value)
    if isinstance(content, frozenset):
        for name in held.keys() - content:
            del held[name]
    elif not _same(*((kept.items() if isinstance(content, dict) else kept) for kept in (held, content))):
        held.clear()
        if isinstance(content, dict):
            held.update(content)
        for part in content if isinstance(content, list) else ():
            held.add(part) if isinstance(held, MutableSet) else held.append(part)


def _same(now: Any, before: Any) -> bool:
    """Whether containers hold the same objects; they may not be comparable."""
    flat = [[part for entry in held for part in (entry if isinstance(entry, tuple) else (entry,))]
            for held in (now, before)]  # fmt: skip
    return len(flat[0]) == len(flat[1]) and all(one is other for one, other in zip(*flat, strict=True))


def _differs(now: Tensor, before: Tensor) -> bool:
    if now.shape != before.shape:
        return True
    if now.layout != torch.strided:  # sparse ones are as good as never changed in place, and cannot be compared
        return False
    return not bool(torch.equal(now, before) or ((now == before) | (now != now) & (before != before)).all())


def stored_numbers(tensor: Tensor) -> Tensor:
    """The numbers that a tensor holds: all of them, or those that a sparse one stores."""
    if tensor.layout == torch.strided:
        return tensor
    return tensor.coalesce().values() if tensor.layout == torch.sparse_coo else tensor.values()
