"""What depends on constants alone is worked out once, for real; what depends on the number of samples is refused.

Every traced model is compared with itself, in float64, one point at a time; every refused one is refused by that name.
"""

from __future__ import annotations

import copy
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import transect
from support.exactness import Call, assert_exact
from transect.errors import OutOfMemory, UnsupportedModel
from transect.graph.export import BATCHES

T = torch.tensor
MASK = T([1, 0, 1, 1, 0, 1]).bool()
ONES, ROOT = torch.ones(6), torch.eye(6) + torch.arange(36.0).reshape(6, 6).sin() / 8


CONSTANT = {
    "a number read from a buffer": (lambda s, h: torch.relu(h) / s.n.item(), {"n": T(3)}),
    "a number read from a weight": (lambda s, h: torch.relu(h) * s.layer.bias[0].item(), {}),
    "a size": (lambda s, h: torch.relu(h)[:, : int(s.n)], {"n": T(3)}),
    "a size that is a tensor": (lambda s, h: torch.relu(h)[:, : s.n.max() + 1], {"n": T([3, 1])}),
    "a size of a view": (lambda s, h: torch.relu(h).view(-1, s.n, 2).amax(2), {"n": T(3)}),
    "sizes of parts": (lambda s, h: torch.relu(torch.cat(h.split(s.n.tolist(), 1)[::-1], 1)), {"n": T([1, 2, 3])}),
    "a list": (lambda s, h: torch.relu(h)[:, s.n.tolist()], {"n": T([3, 1])}),
    "an array": (lambda s, h: torch.relu(h)[:, s.n.numpy()], {"n": T([3, 1])}),
    "a number of places": (lambda s, h: torch.relu(h) * torch.full((h.shape[0], 6), len(s.m.nonzero())), {"m": MASK}),
    "a mask": (lambda s, h: torch.relu(h)[:, s.m], {"m": MASK}),
    "a mask of last dimensions": (lambda s, h: torch.relu(h[..., s.v > 2.5]), {"v": torch.arange(6.0)}),
    "a mask written to": (lambda s, h: _written(h, s.m, torch.relu(h)[:, s.m] * 2), {"m": MASK}),
    "numbers that a mask selects": (lambda s, h: torch.relu(h) * torch.masked_select(s.v, s.m).sum(),
                                    {"m": MASK, "v": torch.arange(6.0)}),
    "distinct numbers": (lambda s, h: torch.relu(h)[:, torch.unique(s.n)], {"n": T([3, 1, 3])}),
    "an order": (lambda s, h: torch.relu(h)[:, s.v.argsort(descending=True)], {"v": T([3.0, 1, 2, 5, 4, 0])}),
    "repetitions": (lambda s, h: torch.relu(h).repeat_interleave(s.n, 1), {"n": T([1, 0, 2, 1, 3, 1])}),
    "a branch": (lambda s, h: torch.relu(h) if s.n > 2 else h.abs(), {"n": T(3.0)}),
    "a norm as a number": (lambda s, h: torch.relu(h) / s.layer.weight.norm().item(), {}),
    "a list of quotients": (lambda s, h: torch.relu(h) * max((s.layer.bias / s.layer.weight.norm()).tolist()), {}),
    "whole numbers that divide": (lambda s, h: torch.relu(h) / s.n, {"n": T([3, 7, 1, 9, 2, 5])}),
    "a number from what was written to": (lambda s, h: torch.relu(h) * _filled(torch.zeros(6), s.v).sum().item(),
                                          {"v": torch.arange(6.0)}),
    "a branch on a norm": (lambda s, h: h.abs() if (s.layer.weight.norm() > 99).all() else torch.relu(h), {}),
    "whether two are equal": (lambda s, h: torch.relu(h) if torch.equal(s.n, s.n + 0) else h, {"n": T(3.0)}),
    "edges of a graph": (lambda s, h: torch.relu(h)[:, s.e[0][s.e[0] != s.e[1]]], {"e": T([[0, 1, 3], [0, 2, 1]])}),
    "degrees": (lambda s, h: torch.relu(h) / torch.bincount(s.e, minlength=6).clamp(min=1), {"e": T([0, 1, 2, 3, 3])}),
    "a constant that is written to": (lambda s, h: torch.relu(h) * (3 if _plus(torch.zeros(6), s.v).sum() > 1 else 1),
                                      {"v": torch.arange(6.0)}),
    "ones of every sample": (lambda s, h: torch.relu(h) * h.new_ones(h.shape[0], 1), {}),
    "a mean of ones": (lambda s, h: torch.relu(h) * torch.ones(h.shape[0], 6).mean(0), {}),
    "no places at all": (lambda s, h: torch.relu(torch.stack([h[:, s.e[0][s.e[1] == i]].sum(1) for i in range(3)], 1)),
                         {"e": T([[0, 1, 3], [0, 2, 2]])}),
    "messages over edges": (lambda s, h: torch.relu(h.new_zeros(h.shape[0], int(s.e.max()) + 1).index_add(
        1, s.e[1], h[:, s.e[0]] / torch.bincount(s.e[1])[s.e[1]].sqrt())), {"e": T([[0, 1, 3, 2], [0, 2, 1, 2]])}),
    "a mask that is written by": (lambda s, h: torch.relu(h) * _masked(s.v.clone(), s.m), {"v": ONES, "m": MASK}),
    "an array and back": (lambda s, h: torch.relu(h) * torch.from_numpy(2 * s.v.numpy()).to(h), {"v": ONES}),
    "classes": (lambda s, h: torch.relu(h @ functional.one_hot(s.n).to(h)), {"n": T([3, 1, 0, 2, 2, 1])}),
    "an inverse": (lambda s, h: torch.relu(h @ torch.linalg.inv(s.w)), {"w": ROOT}),
    "singular vectors": (lambda s, h: torch.relu(h) * torch.linalg.svd(s.w).S, {"w": ROOT}),
    "a loop over a buffer": (lambda s, h: sum(torch.relu(h * w) for w in s.v if w > 1), {"v": torch.arange(4.0)}),
    "memory that is filled": (lambda s, h: _written(torch.empty_like(h), slice(None), torch.relu(h)), {}),
}  # fmt: skip


def _written(y: Tensor, where: Tensor | slice, what: Tensor) -> Tensor:
    y = y.clone()
    y[:, where] = what
    return y


def _filled(y: Tensor, v: Tensor) -> Tensor:
    y[2:5] = v[2:5]
    y[0].add_(2)
    return y


def _masked(w: Tensor, mask: Tensor) -> Tensor:
    w[mask] = 2.0
    w[~mask] *= 3
    return w


def _plus(y: Tensor, v: Tensor) -> Tensor:
    y += v
    return y


@pytest.mark.parametrize("name", CONSTANT)
def test_constants_are_worked_out_for_real(name: str):
    function, buffers = CONSTANT[name]
    assert_exact(Call(function, **buffers))


OF_SAMPLES = {
    "divided by their number": lambda s, h: torch.relu(h) / h.shape[0],
    "times a power of it": lambda s, h: torch.relu(h) * h.shape[0] ** 0.5,
    "its inverse": lambda s, h: torch.relu(h) * (1.0 / len(h)),
    "all numbers of the batch": lambda s, h: torch.relu(h) / h.numel(),
    "a threshold": lambda s, h: torch.relu(h - h.shape[0]),
    "a clamp": lambda s, h: h.clamp(max=h.shape[0]),
    "a sum of ones": lambda s, h: torch.relu(h) / torch.ones(h.shape[0], 6).sum(0),
    "a running sum of ones": lambda s, h: torch.relu(h) * torch.ones(h.shape[0], 1).cumsum(0),
    "places in the batch": lambda s, h: torch.relu(h) + torch.arange(h.shape[0])[:, None],
    "a sum of places": lambda s, h: torch.relu(h) * torch.arange(h.shape[0]).sum(),
    "an identity of its size": lambda s, h: torch.eye(h.shape[0]) @ torch.relu(h),
    "so many columns": lambda s, h: torch.relu(h)[:, : h.shape[0]],
    "so many copies": lambda s, h: torch.relu(h)[:, None].repeat(1, h.shape[0], 1).sum(1),
    "a branch": lambda s, h: torch.relu(h) if h.shape[0] > 2 else h,
    "a branch at a larger number": lambda s, h: torch.relu(h) if h.shape[0] < 50 else h,
    "a branch at the number exported": lambda s, h: torch.relu(h) if h.shape[0] == BATCHES[0] else h,
    "a branch at another": lambda s, h: torch.relu(h) if h.shape[0] != 23 else h,
    "a branch at all numbers": lambda s, h: torch.relu(h) if h.numel() > 60 else h,
    "a branch at a million": lambda s, h: torch.relu(h) if h.shape[0] > 10**6 else h,
    "a branch at every fourth": lambda s, h: torch.relu(h) if h.shape[0] % 4 else h,
    "no more than so many": lambda s, h: _at_most(torch.relu(h), 500),
}


def _at_most(h: Tensor, rows: int) -> Tensor:
    assert h.shape[0] <= rows
    return h


@pytest.mark.parametrize("name", OF_SAMPLES)
@pytest.mark.parametrize("example", [torch.zeros(4), torch.ones(2, 4)])
def test_what_depends_on_the_number_of_samples_is_refused_by_name(name: str, example: Tensor):
    with pytest.raises(UnsupportedModel, match=r"samples|batch"):
        transect.capture(Call(OF_SAMPLES[name]).eval(), example)


def test_branches_that_do_the_same_are_no_matter():
    """Larger batches are gone through in parts, by another way of writing the same."""
    assert_exact(Call(lambda s, h: torch.relu(h) if h.shape[0] <= 100 else h.clamp(min=0)))


def test_memory_that_is_not_all_written_is_refused():
    half = Call(lambda s, h: _written(torch.empty_like(h), slice(0, 3), torch.relu(h)[:, :3]))
    with pytest.raises(UnsupportedModel, match="never wrote"):
        transect.capture(half.eval(), torch.zeros(4))


def test_a_zero_example_hides_nothing():
    """At zero the two branches agree; that torch.export follows one of them shows at random points only."""

    class Hidden(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            sign = 1.0 if not isinstance(x, torch.Tensor) or type(x) is not Tensor else -1.0  # another one in an export
            return torch.relu(x) * sign

    with pytest.raises(transect.errors.VerificationError, match="random points"):
        transect.capture(Hidden().eval(), torch.zeros(4))


class Keeping(nn.Module):
    """Keeps something of every batch in plain attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.calls, self.kept, self.cache, self.last = nn.Linear(4, 6), 0, [], {}, None

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        h = self.last = self.more = torch.relu(self.layer(x))
        self.kept.append(h)
        self.cache["h"] = h
        return h


def test_plain_attributes_are_as_they_were():
    model = Keeping().eval()
    transect.capture(model, torch.zeros(4))
    assert (model.calls, model.kept, model.cache, model.last) == (0, [], {}, None)
    assert not hasattr(model, "more")
    made = model(torch.ones(2, 4))
    transect.capture(model, torch.zeros(4))
    assert model.calls == 1
    assert model.kept == [made]
    assert model.last is made
    assert model.cache["h"] is made


@dataclass
class State:
    calls: int = 0
    kept: list[Tensor] = field(default_factory=list)
    named: dict[str, list[Tensor]] = field(default_factory=dict)


def test_state_in_objects_and_nested_containers_is_as_it_was():
    class Stateful(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.state, self.last = nn.Linear(4, 6), State(), deque([1], maxlen=2)
            self.nested, self.pair = {"a": [[]]}, ([], SimpleNamespace(h=None))

        def forward(self, x: Tensor) -> Tensor:
            h = torch.relu(self.layer(x))
            if "scale" not in self._buffers:
                self.register_buffer("scale", torch.ones(6).to(h))
            self.state.calls += 1
            for kept in (self.state.kept, self.state.named.setdefault("h", []), self.last, self.nested["a"][0],
                         self.pair[0]):  # fmt: skip
                kept.append(h)
            self.pair[1].h = h
            return h * self.scale

    model = Stateful().eval()
    assert_exact(model)
    assert model.state == State()
    assert (list(model.last), model.last.maxlen, model.nested, model.pair[0]) == ([1], 2, {"a": [[]]}, [])
    assert model.pair[1].h is None
    assert not model._buffers


CACHES: dict[str, Callable[[], Any]] = {"dictionary": dict, "ordered": OrderedDict, "default": lambda: defaultdict(int)}


@pytest.mark.parametrize("cache", CACHES)
@pytest.mark.parametrize("whole", [False, True], ids=["number", "shape"])
@pytest.mark.parametrize("warm", [(), (1, 3, 7)], ids=["empty", "used"])
def test_caches_by_the_number_of_samples(cache: str, whole: bool, warm: tuple[int, ...]):
    class Positions(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.inside = nn.Linear(4, 6), SimpleNamespace(cache=CACHES[cache]())

        def forward(self, x: Tensor) -> Tensor:
            known, key = self.inside.cache, (x.shape if whole else x.shape[0], x.dtype)
            if key not in known:
                known[key] = torch.arange(4).to(x).expand(x.shape[0], -1)
            return torch.relu(self.layer(x + known[key]))

    torch.manual_seed(0)
    model = Positions().eval()
    for rows in warm:
        model(torch.zeros(rows, 4))
    assert_exact(model)
    assert len(model.inside.cache) == len(warm)


class Cached(nn.Module):
    """Makes a grid for the batch in hand, and keeps it for the next batch of that size."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.grid = nn.Linear(4, 6), None

    def forward(self, x: Tensor) -> Tensor:
        if self.grid is None or self.grid.shape[0] != x.shape[0] or self.grid.dtype != x.dtype:
            self.grid = torch.linspace(-1, 1, 4, dtype=x.dtype).expand(x.shape[0], -1).contiguous()
        return torch.relu(self.layer(x + self.grid))


@pytest.mark.parametrize("rows", [None, 1, 64, *BATCHES])
def test_what_a_model_keeps_of_one_batch_is_not_taken_for_the_next(rows: int | None):
    model = Cached().eval()
    if rows:
        model(torch.zeros(rows, 4))
    before = model.grid
    assert_exact(copy.deepcopy(model))
    transect.capture(model, torch.zeros(4))
    assert model.grid is before
    assert model(torch.zeros(5, 4)).shape == (5, 6)


class Sparse(nn.Module):
    def __init__(self, compressed: bool, product: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        dense = (torch.rand(6, 6) > 0.5).float()
        self.layer, self.product = nn.Linear(6, 6), product
        self.register_buffer("adjacency", dense.to_sparse_csr() if compressed else dense.to_sparse())

    def forward(self, x: Tensor) -> Tensor:
        return self.product(self.adjacency, torch.relu(self.layer(x)).T).T


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support")
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("product", [torch.sparse.mm, torch.matmul, lambda a, b: a @ b])
def test_products_with_sparse_buffers(compressed: bool, product: Callable[[Tensor, Tensor], Tensor]):
    model = Sparse(compressed, product).eval()
    network, x = transect.capture(model, torch.zeros(6)), torch.randn(5, 6)
    torch.testing.assert_close(network(x).float(), model(x))
    assert model.adjacency.layout == (torch.sparse_csr if compressed else torch.sparse_coo)


def test_parameters_made_under_inference_mode():
    with torch.inference_mode():
        model = nn.Sequential(nn.Linear(4, 6), nn.ReLU()).eval()
    x = torch.randn(3, 4)
    torch.testing.assert_close(transect.capture(model, torch.zeros(4))(x).float(), model(x))
    assert model[0].weight.is_inference()


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")])
def test_a_lack_of_memory_is_called_that(error: Exception, monkeypatch: pytest.MonkeyPatch):
    def fail(*given: object, **named: object) -> None:
        raise error

    monkeypatch.setattr(torch.export, "export", fail)
    with pytest.raises(OutOfMemory, match="not enough memory"):
        transect.capture(nn.Linear(4, 2).eval(), torch.zeros(4))


@pytest.mark.parametrize("rows", [1, 2, 3, 4])
def test_so_is_one_while_the_example_is_tried(rows: int):
    class Large(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            if x.shape[0] == rows and not torch.compiler.is_exporting():
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
            return torch.relu(x)

    with pytest.raises(OutOfMemory, match="not enough memory"):
        transect.capture(Large().eval(), torch.zeros(4))
