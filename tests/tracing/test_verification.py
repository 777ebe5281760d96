"""Verification covers every path, and on request every region: a fault put into a trace is found, wherever it is."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

import transect
from transect.engine.rows import Flips
from transect.errors import InvalidInput, VerificationError
from transect.tracing import packs as pack


class Clipped(nn.Module):
    """Two hinges, a window and a sum of three branches."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 12), nn.Linear(12, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.first(x)
        return self.last(nn.functional.hardtanh(h) + torch.relu(h - 0.3) + h.unflatten(1, (6, 2)).amax(2).repeat(1, 2))


def seeded(build: type[nn.Module] = Clipped) -> nn.Module:
    torch.manual_seed(5)
    return build().eval()


def some_paths(count: int, anchors: int = 4, seed: int = 7) -> list[transect.Path]:
    generator = torch.Generator().manual_seed(seed)
    made = [torch.randn(anchors, 6, generator=generator, dtype=torch.float64) for _ in range(count)]
    return [transect.Path(points, closed=True) for points in made]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("budget", [None, 60, 700])
@pytest.mark.parametrize("keep", ["all", "measures"])
def test_every_region_of_every_path_is_compared(dtype: torch.dtype, budget: int | None, keep: str):
    network = transect.capture(seeded(), torch.zeros(6), dtype=dtype)
    for trace in transect.trace(network, some_paths(5), keep=keep, verify="all", budget=budget):
        regions = int(trace.regions.sum())
        assert trace.verification.regions == regions > 20
        assert trace.verification.pieces == regions * sum(network.units)
        assert trace.verification.module_dtype == str(dtype).removeprefix("torch.")
        assert trace.verification.within_rounding == 0


def test_the_module_is_evaluated_in_double_precision_and_left_as_it_was():
    module = seeded()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    trace = transect.trace(module, some_paths(1)[0], verify="all")
    assert trace.verification.module_dtype == "float64"
    assert trace.verification.module_error < 1e-14 * trace.verification.scale * 100
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert module.first.weight.dtype == torch.float32


def test_a_module_with_islands_of_single_precision_is_compared_in_its_own_dtype():
    class Island(Clipped):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x.float().to(self.first.weight.dtype))

    found = transect.trace(seeded(Island), some_paths(1)[0], verify="all").verification
    assert found.module_dtype == "float32"
    assert 0 < found.module_error < 1e-4 * found.scale


def test_a_program_without_its_module_says_that_none_was_compared():
    network = dataclasses.replace(transect.capture(seeded(), torch.zeros(6)), called=None)
    found = transect.trace(network, some_paths(1)[0], verify="all").verification
    assert found.module_dtype is None
    assert found.regions > 0


def test_a_module_that_was_trained_on_after_its_capture_is_noticed():
    module = seeded()
    network = transect.capture(module, torch.zeros(6))
    with torch.no_grad():
        module.last.bias[1] += 1e-4
    with pytest.raises(VerificationError, match="your module as it is now"):
        transect.trace(network, some_paths(1)[0], verify="all")
    transect.trace(network, some_paths(1)[0], verify="all", outputs=[0, 2])  # these two are as they were


def tampered(monkeypatch: pytest.MonkeyPatch, change) -> None:
    """The engine's runs, changed on their way to the trace."""
    honest = pack.overlapping_runs
    monkeypatch.setattr(pack, "overlapping_runs", lambda *given: (change(run) for run in honest(*given)))


def without_flip(run, which: int):
    kept = torch.arange(len(run.flips)) != which
    return dataclasses.replace(
        run, flips=Flips(*(getattr(run.flips, f.name)[kept] for f in dataclasses.fields(run.flips)))
    )


@pytest.mark.parametrize("which", [0, 11, -1])
def test_a_single_flip_that_is_lost_is_found(monkeypatch: pytest.MonkeyPatch, which: int):
    tampered(monkeypatch, lambda run: without_flip(run, which % len(run.flips)))
    path = some_paths(1, anchors=3)[0]
    transect.trace(seeded(), path, verify=True)  # random points cannot see it: the outputs are right
    with pytest.raises(VerificationError, match="is not on piece"):
        transect.trace(seeded(), path, verify="all")


def test_a_single_knot_that_is_lost_is_found(monkeypatch: pytest.MonkeyPatch):
    """Its neighbours are joined by a line, which the function is not."""

    def without_knot(run):
        kept = torch.arange(len(run.t)) != int(run.knots()[3])
        place = kept.cumsum(0) - 1
        rest = {name: getattr(run, name)[kept] for name in ("segment", "t", "outputs", "t_error")}
        return dataclasses.replace(run, **rest, flips=dataclasses.replace(run.flips, knot=place[run.flips.knot]))

    tampered(monkeypatch, without_knot)
    with pytest.raises(VerificationError, match=r"differ by|is not on piece"):
        transect.trace(seeded(), some_paths(1, anchors=3)[0], verify="all")


@pytest.mark.parametrize("wrong", [0, 23, 39])
def test_no_path_is_vouched_for_by_another(monkeypatch: pytest.MonkeyPatch, wrong: int):
    """One small path among many large ones, walked together with them, is wrong by a thousandth of its own outputs."""
    paths = some_paths(40, anchors=3)
    scale = 1e-6
    paths[wrong] = transect.Path(paths[wrong].anchors * scale, closed=True)
    module = seeded()
    module.first.bias.data.zero_()
    module.last.bias.data.zero_()

    def bent(run):
        own = (run.segment >= 3 * wrong) & (run.segment < 3 * wrong + 3)
        return dataclasses.replace(run, outputs=torch.where(own.unsqueeze(1), run.outputs * 1.001, run.outputs))

    network = transect.capture(module, torch.zeros(6))
    monkeypatch.setattr("transect.tracing.walk._SCALES_TOGETHER", 1e9)  # all in one pack
    transect.trace(network, paths)
    tampered(monkeypatch, bent)
    with pytest.raises(VerificationError, match=r"relative \d\.\de-0[34]"):
        transect.trace(network, paths)


def test_every_path_has_points_of_its_own():
    traces = transect.trace(seeded(), some_paths(30, anchors=3))
    assert all(trace.verification.points >= 2 for trace in traces)
    assert len({trace.verification.scale for trace in traces}) == 30


def test_what_cannot_be_asked_for_is_refused():
    with pytest.raises(InvalidInput, match="expected one of True, False, all"):
        transect.trace(seeded(), some_paths(1)[0], verify="some")
