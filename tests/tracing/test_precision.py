"""Reduced precision that a user has allowed for training reaches no trace; and it is put back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import nn

import transect
from transect.support.precision import full_precision

NEW_SETTINGS = hasattr(torch.backends, "fp32_precision")  # since PyTorch 2.9
new_settings = pytest.mark.skipif(not NEW_SETTINGS, reason="PyTorch has these settings since 2.9")


def settings() -> dict[str, Any]:
    """Everything that decides how precise products of float32 are, as it can be read."""
    backends = torch.backends
    found = {
        "autocast": torch.is_autocast_enabled("cpu"),
        "deterministic": backends.cudnn.deterministic,
        "benchmark": backends.cudnn.benchmark,
    }
    if not NEW_SETTINGS:
        return found | {"matmul": torch.get_float32_matmul_precision(), "conv": backends.cudnn.allow_tf32}
    parts = {"all": backends, "cudnn": backends.cudnn, "mkldnn": backends.mkldnn, "matmul": backends.cuda.matmul,
             "conv": backends.cudnn.conv, "rnn": backends.cudnn.rnn, "cpu matmul": backends.mkldnn.matmul,
             "cpu conv": backends.mkldnn.conv}  # fmt: skip
    return found | {name: part.fp32_precision for name, part in parts.items()}


@pytest.fixture(params=["as it is", "medium", pytest.param("everything tf32", marks=new_settings)])
def careless(request: pytest.FixtureRequest) -> Iterator[str]:
    """A user who has allowed less than full precision."""
    torch.backends.cudnn.benchmark = True
    if request.param == "medium":
        torch.set_float32_matmul_precision("medium")
    elif request.param == "everything tf32":
        torch.backends.fp32_precision = "tf32"
    yield request.param
    torch.backends.cudnn.benchmark = False
    if request.param == "medium":
        torch.set_float32_matmul_precision("highest")
    elif request.param == "everything tf32":
        torch.backends.fp32_precision = "none"


def test_everything_is_off_inside_and_put_back(careless: str):
    before = settings()
    with full_precision():
        inside = settings()
    assert settings() == before
    assert (inside["deterministic"], inside["benchmark"], inside["autocast"]) == (True, False, False)
    assert {value for name, value in inside.items() if name not in ("deterministic", "benchmark", "autocast")} <= {
        "ieee",
        "none",
        "highest",
        False,
    }


@pytest.mark.parametrize("precision", ["medium", "high", "highest"])
def test_the_older_settings_can_be_read_inside_where_they_could_before(precision: str):
    """``torch.compile`` reads them, and so may a function that is sampled."""
    torch.set_float32_matmul_precision(precision)
    try:
        with full_precision():
            assert torch.get_float32_matmul_precision() == "highest"
            assert not torch.backends.cudnn.allow_tf32
            assert not torch.backends.cuda.matmul.allow_tf32
        assert torch.get_float32_matmul_precision() == precision
        assert torch.backends.cudnn.allow_tf32
    finally:
        torch.set_float32_matmul_precision("highest")


def test_tf32_on_a_gpu_alone_is_put_back_alone():
    before = settings()
    torch.backends.cuda.matmul.allow_tf32 = True
    allowed = settings()
    try:
        with full_precision():
            assert not torch.backends.cuda.matmul.allow_tf32
        assert settings() == allowed
    finally:
        torch.backends.cuda.matmul.allow_tf32 = False
    assert {**settings(), "matmul": before["matmul"]} == before


def test_it_is_put_back_after_an_error(careless: str):
    before = settings()
    with pytest.raises(ZeroDivisionError), full_precision():
        raise ZeroDivisionError
    assert settings() == before


@new_settings
def test_a_part_that_follows_its_parent_still_does_afterwards():
    before = settings()
    torch.backends.fp32_precision = "tf32"
    try:
        with full_precision():
            pass
    finally:
        torch.backends.fp32_precision = "none"
    assert settings() == before


@contextmanager
def _medium() -> Iterator[None]:
    torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision("highest")


ALLOWED = {"medium": _medium, "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16)}


@pytest.fixture(scope="module")
def network_and_path() -> tuple[transect.Network, transect.Path]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(32, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 3))
    return transect.capture(model, torch.zeros(32), dtype=torch.float32), transect.Path(torch.randn(2, 32))


@pytest.mark.parametrize("allowed", ALLOWED)
def test_results_in_float32_are_what_they_are_without(network_and_path, allowed: str):
    network, path = network_and_path
    x = path.anchors.float()

    def everything() -> list[torch.Tensor]:
        found, estimated = transect.trace(network, path), transect.estimate(network, path)
        knots = torch.cat([run.t for run in transect.stream(network, path)])
        region = network.region(x[0])
        return [
            found.segments[0].t, found.segments[0].outputs, found.absolute_deviation(), knots, network(x), region(x),
            region.slope(x[1]), region.affine_map().jacobian, estimated.absolute_deviation(), estimated.flips,
        ]  # fmt: skip

    expected = everything()
    with ALLOWED[allowed]():
        found = everything()
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("allowed", ALLOWED)
def test_modules_are_captured_as_they_are_without(allowed: str):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(288, 64)).eval()
    x = torch.randn(5, 3, 8, 8)
    expected = transect.capture(model, x[0], dtype=torch.float32)(x)
    with ALLOWED[allowed]():
        found = transect.capture(model, x[0], dtype=torch.float32)(x)
    assert torch.equal(found, expected)


@pytest.mark.parametrize("first_out", [0, 1])
def test_precision_is_kept_until_the_last_of_two_threads_leaves(careless: str, first_out: int):
    before, arrived, leave = settings(), threading.Barrier(3), [threading.Event() for _ in range(2)]
    left, seen = [threading.Event() for _ in range(2)], []

    def inside(which: int) -> None:
        with full_precision():
            arrived.wait(10)
            leave[which].wait(10)
            seen.append(settings())
        left[which].set()

    threads = [threading.Thread(target=inside, args=(which,)) for which in range(2)]
    for thread in threads:
        thread.start()
    arrived.wait(10)
    for which in (first_out, 1 - first_out):
        leave[which].set()
        assert left[which].wait(10)
    for thread in threads:
        thread.join()
    assert seen[0] == seen[1]
    assert settings() == before


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_two_threads_tracing_at_once_give_the_same_bits_as_one_after_the_other(dtype: torch.dtype):
    torch.manual_seed(0)
    modules = [nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(216, 4)).eval() for _ in range(4)]
    path = transect.Path(torch.randn(3, 1, 8, 8))

    def bits(module: nn.Module) -> list[bytes]:
        trace = transect.trace(module, path, dtype=dtype)
        return [part.numpy().tobytes() for one in trace.segments for part in (one.t, one.outputs, one.flips.unit)]

    one_by_one = [bits(module) for module in modules]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(bits, modules)) == one_by_one
