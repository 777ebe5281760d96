"""What people write with places, windows, selections and one number a sample: exact, or refused by name."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import transect
from support.exactness import Call, assert_exact
from transect.errors import UnsupportedModel

T, INFINITY = torch.tensor, float("inf")
LIMITS = T([0.1, 0.2, 0.3, 0.05, 0.0, 0.4])
PLACES, ORDER, MASK = T([1, 2, 0, 2, 5, 4]), T([5, 4, 3, 2, 1, 0]), T([1, 0, 1, 1, 0, 1]).bool()
ROWS = torch.randn(3, 6, generator=torch.Generator().manual_seed(0))

Function = Callable[[nn.Module, Tensor], Tensor]


def _reduced(how: str, base: str, include: bool) -> Function:
    def function(s: nn.Module, h: Tensor) -> Tensor:
        start = torch.full_like(h, 0.3) if base == "constant" else h.flip(1)
        return torch.relu(start.scatter_reduce(1, s.i.expand_as(h), h, how, include_self=include) - 0.1)

    return function


def _put(change: Callable[[Tensor, nn.Module], None]) -> Function:
    def function(s: nn.Module, h: Tensor) -> Tensor:
        y = h.clone()
        change(y, s)
        return y

    return function


def _set(y: Tensor, mask: Tensor, value: float | Tensor) -> None:
    y[mask] = value


def _scaled(y: Tensor, mask: Tensor) -> None:
    y[mask] *= 0.1


def _index_reduced(how: str, include: bool, dim: int = 1) -> Function:
    def function(s: nn.Module, h: Tensor) -> Tensor:
        x = h if dim == 1 else h.view(-1, 2, 3)
        index = s.i if dim == 1 else s.i[:3]
        return torch.relu(torch.full_like(x, 0.2).index_reduce(dim, index, x, how, include_self=include) - 0.1).flatten(
            1
        )

    return function


def _masked(number: float) -> Function:
    return lambda s, h: h.masked_fill(s.m, number)


WAYS: dict[str, tuple[Function, dict[str, Tensor]]] = {
    # one number a sample
    "a ReLU of differences": (lambda s, h: torch.relu(h[:, 0] - h[:, 1]), {}),
    "a size": (lambda s, h: (h[:, 0] - h[:, 1]).abs(), {}),
    "the largest": (lambda s, h: h.max(1).values, {}),
    "the larger of two": (lambda s, h: torch.maximum(h[:, 0], h[:, 1]), {}),
    "between limits": (lambda s, h: h.sum(1).clamp(-0.5, 0.5), {}),
    "one at a time": (lambda s, h: torch.stack([torch.relu(h[:, i]) for i in range(3)], 1), {}),
    "beside all others": (lambda s, h: torch.relu(h) + torch.relu(h[:, 0])[:, None], {}),
    # infinite constants
    "masked by minus infinity": (lambda s, h: _masked(-INFINITY)(s, h).amax(1, keepdim=True), {"m": MASK}),
    "masked by infinity": (lambda s, h: _masked(INFINITY)(s, h).amin(1, keepdim=True), {"m": MASK}),
    "selected beside infinity": (lambda s, h: torch.where(s.m, h, -INFINITY).max(1).values, {"m": MASK}),
    "another mask a channel": (lambda s, h: _masked(-INFINITY)(s, h).view(-1, 2, 3).amax(2),
                               {"m": T([1, 0, 0, 0, 1, 0]).bool()}),
    "beside a column of it": (lambda s, h: torch.cat([h, h.new_full((h.shape[0], 2), -INFINITY)], 1).amax(1), {}),
    "at least minus infinity": (lambda s, h: torch.relu(torch.maximum(h, T(-INFINITY))), {}),
    "an additive mask": (lambda s, h: (h + torch.where(s.m, 0.0, -INFINITY)).amax(1), {"m": MASK}),
    "a mask in a buffer": (lambda s, h: (h + s.b).amax(1), {"b": torch.where(MASK, 0.0, -INFINITY)}),
    "infinite limits in buffers": (lambda s, h: torch.clamp(h, s.low, s.high),
                                   {"low": torch.where(MASK, -INFINITY, -0.2), "high": 0.3 / (~MASK).float()}),
    "infinity that nothing reads": (lambda s, h: torch.relu(h), {"b": T([-INFINITY])}),
    "windows of a padded row": (lambda s, h: functional.pad(h, (1, 1), value=-INFINITY).unfold(1, 3, 1).amax(2), {}),
    "infinity scaled": (lambda s, h: (2 * h.masked_fill(s.m, -INFINITY) / 3 + 1).amax(1), {"m": MASK}),
    "infinity turned round": (lambda s, h: (h.masked_fill(s.m, INFINITY) * -2).amax(1), {"m": MASK}),
    # constants of the shape of activations
    "times ones": (lambda s, h: torch.ones_like(h) * torch.relu(h), {}),
    "divided by twos": (lambda s, h: torch.relu(h) / torch.full_like(h, 2.0), {}),
    "times negative ones": (lambda s, h: -torch.ones_like(h[:, 0]) * torch.relu(h[:, 0] - h[:, 1]), {}),
    "times places": (lambda s, h: torch.ones_like(h).cumsum(1) * torch.relu(h), {}),
    "ones chosen": (lambda s, h: torch.where(torch.ones_like(h, dtype=torch.bool), torch.relu(h), h), {}),
    "a product of matrices with ones": (lambda s, h: torch.ones_like(h[:, None]) @ torch.relu(h)[:, :, None], {}),
    "an einsum with ones": (lambda s, h: torch.einsum("bi,bi->b", torch.ones_like(h), torch.relu(h)), {}),
    "a loss of ranks": (lambda s, h: functional.margin_ranking_loss(h[:, 0], h[:, 1], torch.ones_like(h[:, 0]),
                                                                    reduction="none"), {}),
    # new first dimensions
    "stacked in front": (lambda s, h: torch.stack([h, h.flip(1), 0.5 - h]).max(0).values, {}),
    "stacked with a constant": (lambda s, h: torch.stack([h, torch.zeros_like(h)]).amax(0), {}),
    "stacked and turned": (lambda s, h: torch.stack([torch.relu(h), h]).permute(1, 0, 2).flatten(1), {}),
    "joined in front": (lambda s, h: torch.cat([torch.relu(h)[None], 0.5 - h[None]]).amax(0), {}),
    "mean of a stack": (lambda s, h: torch.stack([torch.relu(h), 2 * h]).mean(0), {}),
    # constant places
    "scattered": (lambda s, h: torch.relu(torch.zeros_like(h).scatter(1, s.i.expand_as(h), h)), {"i": ORDER}),
    "a number scattered": (lambda s, h: torch.relu(h).scatter(1, s.i[:2].expand(h.shape[0], -1), 1.5), {"i": ORDER}),
    "added up at places": (lambda s, h: torch.relu(torch.ones_like(h).scatter_add(1, s.i.expand_as(h), h)),
                           {"i": PLACES}),
    "index_add": (lambda s, h: torch.relu(torch.zeros_like(h).index_add(1, s.i, h, alpha=2)), {"i": PLACES}),
    "index_add to a batch of zeros": (lambda s, h: torch.relu(h.new_zeros(h.shape[0], 9).index_add(1, s.i, h)),
                                      {"i": PLACES}),
    "index_copy": (lambda s, h: torch.relu(torch.zeros_like(h).index_copy(1, s.i, h)), {"i": ORDER}),
    "taken along": (lambda s, h: torch.relu(h.take_along_dim(s.i[None], 1)), {"i": PLACES}),
    **{f"scatter_reduce {how} {base} {include}": (_reduced(how, base, include), {"i": PLACES})
       for how in ("sum", "mean", "amax", "amin") for base, include in (("constant", True), ("values", False))},
    **{f"index_reduce {how} {include} {dim}": (_index_reduced(how, include, dim), {"i": PLACES})
       for how in ("mean", "amax", "amin") for include, dim in ((True, 1), (False, 1), (False, -1))},
    # products and distances
    "a Kronecker product": (lambda s, h: torch.relu(torch.kron(s.c[:1], h) - torch.kron(h, s.c[1])), {"c": ROWS}),
    "distances from rows": (lambda s, h: torch.cdist(s.c, h[:, None], p=1).flatten(1), {"c": ROWS}),
    "distances of activations": (lambda s, h: torch.cdist(h.view(-1, 2, 3), 1 - h.view(-1, 3, 2).mT, p=1).flatten(1),
                                 {}),
    "largest distances to rows": (lambda s, h: torch.cdist(h, s.c, p=INFINITY), {"c": ROWS}),
    "einsum with an ellipsis": (lambda s, h: torch.relu(torch.einsum("...i,ji->...j", h, s.c)), {"c": ROWS}),
    "einsum without a result": (lambda s, h: torch.relu(torch.einsum("bi,ij", h, s.c.T)), {"c": ROWS}),
    "einsum of three": (lambda s, h: torch.relu(torch.einsum("bi,ji,j->bj", h, s.c, s.c[:, 0])), {"c": ROWS}),
    "einsum of a diagonal": (lambda s, h: torch.relu(torch.einsum("bii->bi", h[:, :4].view(-1, 2, 2))), {}),
    "a bilinear form": (lambda s, h: torch.relu(functional.bilinear(h, s.o.expand(h.shape[0], -1), s.w)),
                        {"o": ROWS[0, :2], "w": ROWS.repeat(1, 2).view(3, 6, 2)}),
    "a matrix times a vector": (lambda s, h: torch.relu(torch.mv(h, s.c[0])), {"c": ROWS}),
    "a linear layer with a vector": (lambda s, h: functional.linear(torch.relu(h), s.c[0]), {"c": ROWS}),
    "distances to rows": (lambda s, h: torch.cdist(h, s.c, p=1), {"c": ROWS}),
    "distances of rows": (lambda s, h: torch.cdist(h.view(-1, 2, 3), s.c[:, :3], p=1).flatten(1), {"c": ROWS}),
    "fmax": (lambda s, h: torch.fmax(h, h.flip(1)), {}),
    "fmin with a number": (lambda s, h: torch.fmin(h, T(0.1)), {}),
    # limits that are activations
    "at least another": (lambda s, h: torch.clamp(h, min=h.flip(1)), {}),
    "between two others": (lambda s, h: torch.clamp(h, h.flip(1) - 1, h.flip(1) + 1), {}),
    "at most the mean": (lambda s, h: h.clamp(max=h.mean(1, keepdim=True)), {}),
    # selections whose pieces meet
    "three pieces": (lambda s, h: torch.where(h > 1, 1 + 0.3 * (h - 1), torch.where(h < 0, 0.1 * h, h)), {}),
    "four pieces": (lambda s, h: torch.where(h < -1, 0 * h - 1,
                    torch.where(h < 0, h, torch.where(h < 2, 2 * h, 4 + 0.5 * (h - 2)))), {}),
    "clamped by selections": (lambda s, h: torch.where(h < -1, -1.0, torch.where(h > 1, 1.0, h)), {}),
    "clamped by masks": (lambda s, h: h * ((h > -1) & (h < 1)) + 1.0 * (h >= 1) - 1.0 * (h <= -1), {}),
    "clamped by one mask": (lambda s, h: torch.where((h > -1) & (h < 1), h, torch.where(h >= 1, 1.0, -1.0)), {}),
    "a soft threshold": (lambda s, h: torch.sign(h) * torch.relu(h.abs() - 0.2), {}),
    "a soft threshold by a clamp": (lambda s, h: h.sign() * (h.abs() - 0.2).clamp(min=0), {}),
    "a soft threshold a unit": (lambda s, h: 2 * h.sgn() * torch.relu(h.abs() - s.t), {"t": LIMITS}),
    "another a channel": (lambda s, h: _soft(h.view(-1, 2, 3), s.t[:2, None]).flatten(1), {"t": LIMITS}),
    "one by a maximum": (lambda s, h: h.sign() * torch.maximum(h.abs() - s.t, torch.zeros_like(h)), {"t": LIMITS}),
    "one by selections": (lambda s, h: torch.where(h > s.t, h - s.t, torch.where(h < -s.t, h + s.t, 0.0)),
                          {"t": LIMITS}),
    "one by its sign": (lambda s, h: torch.copysign(torch.relu(h.abs() - s.t), h), {"t": LIMITS}),
    "a size with constant signs": (lambda s, h: torch.copysign(h, s.t - 0.15), {"t": LIMITS}),
    "limits a unit": (lambda s, h: torch.where(h > s.t, s.t.expand_as(h), torch.where(h < -s.t, -s.t, h)),
                      {"t": LIMITS}),
    "a mask and a constant one": (lambda s, h: h * ((h > 0) & s.m), {"m": MASK}),
    "a mask or a constant one": (lambda s, h: h.masked_fill(torch.logical_or(h < 0, s.m), 0), {"m": MASK}),
    "either of them": (lambda s, h: torch.where((h > 0) ^ s.m, h, 0), {"m": MASK}),
    "masks as whole numbers": (lambda s, h: h * torch.bitwise_and((h > 0).int(), s.m.int()), {"m": MASK}),
    "written where negative": (_put(lambda y, s: _set(y, y < 0, 0.0)), {}),
    "written twice": (_put(lambda y, s: (_set(y, y < 0, 0.0), _set(y, y > 1, T(1.0)))), {}),
    "scaled where negative": (_put(lambda y, s: _scaled(y, y < 0)), {}),
    "written where a mask allows it": (_put(lambda y, s: _set(y, ~(y > 0) & s.m, 0.0)), {"m": MASK}),
    "written in a part": (_put(lambda y, s: _set(y[:, 1:4], y[:, 1:4] < 0, 0.0)), {}),
    "written into zeros": (lambda s, h: _into(torch.zeros_like(h), h > 0, h), {}),
    "a step times its number": (lambda s, h: h * torch.heaviside(h, h.new_zeros(())), {}),
    "a soft threshold of nothing": (lambda s, h: torch.relu(functional.softshrink(h, 0.0)), {}),
}  # fmt: skip


@pytest.mark.parametrize("name", WAYS)
def test_every_way_of_writing_is_exact(name: str):
    function, buffers = WAYS[name]
    assert_exact(Call(function, **buffers))


def _soft(h: Tensor, reach: Tensor) -> Tensor:
    return h.sign() * torch.relu(h.abs() - reach)


def _into(y: Tensor, mask: Tensor, h: Tensor) -> Tensor:
    y[mask] = h[mask]
    return y


def test_a_selection_of_several_pieces_is_one_unit():
    four, _ = WAYS["four pieces"]
    network = transect.capture(Call(four).eval(), torch.zeros(4))
    assert (network.units, network.program.pieces) == ((6,), (4,))
    soft, buffers = WAYS["a soft threshold a unit"]
    network = transect.capture(Call(soft, **buffers).eval(), torch.zeros(4))
    assert (network.units, network.program.pieces) == ((6,), (3,))


@pytest.mark.parametrize("name", ["a soft threshold a unit", "limits a unit", "either of them", "written twice"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_selections_with_pieces_of_their_own_a_unit(name: str, dtype: torch.dtype):
    """Values and patterns in every region, and the affine map of one."""
    function, buffers = WAYS[name]
    network = transect.capture(Call(function, **buffers).eval(), torch.zeros(4), dtype=dtype)
    path = transect.Path(3 * torch.randn(3, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64))
    trace = transect.trace(network, path, verify="all")
    assert int(trace.crossings.sum()) > 0
    point = path.anchors[1].to(dtype) + 0.1
    region, twin = network.region(point), copy.deepcopy(network.called.model).double()
    jacobian = torch.autograd.functional.jacobian(lambda x: twin(x[None])[0], point.double())
    torch.testing.assert_close(region.affine_map().jacobian.double(), jacobian, rtol=0, atol=1e-6)


REFUSED: dict[str, tuple[Function, str]] = {
    "a hard threshold": (lambda s, h: torch.where(h.abs() > 0.2, h, 0.0 * h), "jump|do not meet"),
    "a jump of a selection": (lambda s, h: torch.where(h > 0, h + 1, h), "jump|do not meet"),
    "pieces of which two do not meet": (lambda s, h: torch.where(h > 1, h, torch.where(h < 0, 0.1 * h, 2 * h)), "jump"),
    "a sign that meets nothing": (lambda s, h: torch.sign(h) * torch.relu(h.abs() + 0.2), "jump"),
    "infinity that bends": (lambda s, h: torch.relu(h.masked_fill(h.new_ones(6).bool(), -INFINITY)), "infinite"),
    "infinity without infinity": (
        lambda s, h: (2 * (y := h.masked_fill(h.new_ones(6).bool(), -INFINITY)) - y).amax(1),
        "cancel",
    ),
    "no times infinity": (lambda s, h: (0 * h.masked_fill(h.new_ones(6).bool(), -INFINITY)).amax(1), "meet a zero"),
    "infinity times an activation": (lambda s, h: (h * T([INFINITY])).amax(1), "infinite"),
    "ones for every sample": (lambda s, h: torch.relu(h) * torch.ones_like(h).cumsum(0), "samples"),
    "places that are computed": (lambda s, h: h.new_zeros(h.shape[0], 6).scatter(1, h.argsort(1), h), "."),
    "two activations multiplied": (lambda s, h: torch.einsum("bi,bi->b", h, h.flip(1)), "by one another"),
    "samples added up": (lambda s, h: torch.einsum("bi->i", h).expand(h.shape[0], -1), "samples"),
    "a smooth distance": (lambda s, h: torch.cdist(h[:, None], h.new_ones(1, 3, 6)), "_cdist_forward"),
    "one to many points": (lambda s, h: torch.cdist(h, ROWS.repeat(20, 1)), "_cdist_forward"),
    "one of another order": (lambda s, h: torch.cdist(h, ROWS, p=3), "_cdist_forward"),
    "a hard threshold a unit": (lambda s, h: torch.where(h.abs() > LIMITS + 0.1, h, 0.0 * h), "jump|do not meet"),
    "a jump written": (_put(lambda y, s: _set(y, y.abs() < 0.2, 0.0)), "jump"),
    "a constant with signs": (lambda s, h: torch.copysign(LIMITS + 1, h), "jump"),
    "a jump of one unit": (
        lambda s, h: torch.where(h > 0, h, (LIMITS > 0.35).float().expand_as(h)),
        "jump|do not meet",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_jumps_or_mixes_is_refused_by_name(name: str):
    function, words = REFUSED[name]
    with pytest.raises(UnsupportedModel, match=words):
        transect.capture(Call(function).eval(), torch.zeros(4))


def images(function: Callable[[nn.Module, Tensor], Tensor], **buffers: Any) -> nn.Module:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.convolution = nn.Conv2d(1, 2, 3)
            for name, value in buffers.items():
                self.register_buffer(name, value)

        def forward(self, x: Tensor) -> Tensor:
            return function(self, torch.relu(self.convolution(x.view(-1, 1, 6, 6)))).flatten(1)

    return Model()


GRID = torch.rand(1, 5, 5, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize(
    "model",
    [
        images(lambda s, h: functional.max_pool2d(functional.pad(h, (1, 1, 1, 1), value=-INFINITY), 2)),
        images(lambda s, h: functional.grid_sample(h, s.g.expand(h.shape[0], -1, -1, -1),
                                                   align_corners=False) - 0.2, g=GRID),
        images(lambda s, h: functional.grid_sample(h, s.g.repeat(h.shape[0], 1, 1, 1), padding_mode="reflection",
                                                   align_corners=True), g=GRID),
        images(lambda s, h: functional.grid_sample(h, functional.affine_grid(
            s.t.expand(h.shape[0], -1, -1), list(h.shape), align_corners=False), align_corners=False),
            t=T([[[0.8, 0.1, 0.0], [0.0, 0.9, 0.1]]])),
        images(lambda s, h: torch.relu(functional.unfold(h, 2) - 0.1)),
        *(images(lambda s, h, pad=pad: functional.grid_sample(h, s.g.expand(h.shape[0], -1, -1, -1), mode="bicubic",
                                                              padding_mode=pad, align_corners=False), g=GRID)
          for pad in ("zeros", "border", "reflection")),
    ],
    ids=["padded by infinity", "on a grid", "reflected", "an affine grid", "windows",
         "cubic", "cubic to the border", "cubic reflected"],
)  # fmt: skip
def test_images(model: nn.Module):
    assert_exact(model, 36)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_instance_norms_with_running_statistics(dims: int):
    torch.manual_seed(0)
    kind = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)[dims - 1]
    norm = kind(2, affine=dims > 1, track_running_stats=True)
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    shape = (2, 3, *(1,) * (dims - 1))
    assert_exact(nn.Sequential(nn.Unflatten(1, shape), norm, nn.ReLU(), nn.Flatten()), 6)
    with pytest.raises(UnsupportedModel, match="running statistics"):
        transect.capture(nn.Sequential(nn.Unflatten(1, shape), kind(2)).eval(), torch.zeros(6))
