"""A user's module stays as it was: buffers and attributes that a forward pass changes are put back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping, MutableSequence, MutableSet
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from transect.graph.calling import Called, own_name

_OF_MODULES = frozenset(("_parameters", "_buffers", "_modules", "forward"))


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
    """The same for plain attributes alone."""
    attributes = [_Attributes(module) for module in model.modules() if not isinstance(module, Called)]
    try:
        yield
    finally:
        with torch.no_grad():
            for kept in attributes:
                kept.put_back()


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


class _Attributes:
    """Plain attributes of one module: which objects they are, and what containers and tensors among them hold."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._values = {name: value for name, value in vars(module).items() if name not in _OF_MODULES}
        self._contents = {name: _content(value) for name, value in self._values.items()}

    def put_back(self) -> None:
        now = vars(self._module)
        for name in now.keys() - self._values.keys() - _OF_MODULES:
            del now[name]
        for name, value in self._values.items():
            now[name] = value
            _refill(value, self._contents[name])


def _content(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, MutableMapping):
        return dict(value)
    return list(value) if isinstance(value, MutableSequence | MutableSet) else None


def _refill(value: Any, content: Any) -> None:
    if isinstance(value, Tensor):
        if _differs(value, content):
            value.data = content
    elif isinstance(value, MutableMapping) and not _same(value.items(), content.items()):
        value.clear()
        value.update(content)
    elif isinstance(value, MutableSequence) and not _same(value, content):
        value[:] = content
    elif isinstance(value, MutableSet) and not _same(value, content):
        value.clear()
        for one in content:
            value.add(one)


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
