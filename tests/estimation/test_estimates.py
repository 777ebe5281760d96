"""What an estimate says of itself, and what it refuses."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import transect
from transect.errors import InvalidInput, NotEstimated


def _path(*shape: int, anchors: int = 3) -> transect.Path:
    generator = torch.Generator().manual_seed(0)
    return transect.Path(torch.randn(anchors, *shape, generator=generator, dtype=torch.float64))


def _smooth() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 20), nn.GELU(), nn.Linear(20, 3))


def _bent(dtype: torch.dtype = torch.float32) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 100), nn.ReLU(), nn.Linear(100, 3)).to(dtype)


def _refusal(**options: Any) -> str:
    given = {"model": torch.sin, "path": _path(4)} | options
    with pytest.raises(InvalidInput) as caught:
        transect.estimate(given.pop("model"), given.pop("path"), **given)
    return str(caught.value)


def test_a_smooth_module_has_deviation_and_variation_and_says_why_no_flips():
    found = transect.estimate(_smooth(), _path(4))
    exact = transect.estimate(_smooth().double(), _path(4), rtol=1e-6)
    assert found.function == "module, outputs only"
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.absolute_deviation(), exact.absolute_deviation(), rtol=1e-2, atol=1e-6)
    with pytest.raises(InvalidInput, match=r"(?s)flips: the module cannot be captured.*gelu"):
        _ = found.flips
    with pytest.raises(InvalidInput, match="flips: "):
        found.interval("flips")
    assert "flips not counted" in repr(found)


def test_a_function_of_arrays():
    def function(x: Tensor) -> np.ndarray:
        return np.sin(x.numpy()).sum((1, 2))

    found = transect.estimate(function, _path(2, 3))
    assert found.function == "callable"
    assert found.absolute_deviation().shape == (2, 1)
    with pytest.raises(InvalidInput, match="not a module, so its units cannot be seen"):
        _ = found.flips_by_operation


def test_what_it_was_made_of():
    path = _path(4)
    network = transect.capture(_bent(), torch.zeros(4))
    for model, kind, dtype in ((network, "captured network", torch.float64), (_bent(), "module", torch.float32)):
        found = transect.estimate(model, path)
        assert (found.function, found.dtype, found.path) == (kind, dtype, path)
        assert "estimated from" in repr(found)
    assert transect.estimate(_bent(), path, dtype=torch.float64).dtype == torch.float64
    assert isinstance(transect.estimate(network, [path, path]), list)


def test_modules_in_half_precision_are_sampled_in_single():
    assert transect.estimate(_bent(torch.float16), _path(4)).dtype == torch.float32


def test_few_flips_are_not_extrapolated():
    found = transect.estimate(_bent(), _path(4))
    assert torch.equal(found.few_flips, found.flips_lower < 50)
    assert torch.equal(found.flips[found.few_flips], found.flips_lower[found.few_flips].double())


def test_names_and_shapes_are_those_of_a_trace():
    model, path = _bent(torch.float64), _path(4)
    found, exact = transect.estimate(model, path), transect.trace(model, path)
    for name in ("mean_deviation", "absolute_deviation", "deviation_norm", "total_variation", "arc_length"):
        one, other = getattr(found, name)(), getattr(exact, name)()
        assert one.shape == other.shape
        torch.testing.assert_close(one, other, rtol=3e-2, atol=1e-3)
        torch.testing.assert_close(found.per_path(one), one.sum(0))
        assert found.interval(name).shape == (*one.shape, 2)
    assert found.flips.shape == exact.flips.shape
    assert found.flips_by_operation.shape == exact.flips_by_operation.shape
    deviation = found.absolute_deviation()
    torch.testing.assert_close(found.across_outputs(deviation), deviation.norm(dim=1))
    torch.testing.assert_close(found.per_length(found.flips), found.flips.sum() / path.length)
    std = torch.tensor([1.0, 2.0, 4.0])
    torch.testing.assert_close(found.normalised_deviation(std), found.mean_deviation() / std.double())
    centred = found.normalised_deviation(2.0, centred=True)
    torch.testing.assert_close(centred, found.centred_deviation() / path.lengths.unsqueeze(1) / 2)


@pytest.mark.parametrize(
    "name", ["segments", "crossings", "regions", "density", "slope_similarity", "linear_crossings"]
)
def test_what_samples_do_not_show_is_refused(name: str):
    found = transect.estimate(nn.Sequential(nn.Linear(4, 3), nn.ReLU()), _path(4))
    with pytest.raises(NotEstimated, match=rf"estimate\.{name}: .*transect\.trace"):
        getattr(found, name)
    assert not hasattr(found, name)


@pytest.mark.parametrize("function", [torch.sin, nn.Sequential(nn.Linear(4, 3), nn.GELU())], ids=["callable", "module"])
def test_a_smooth_function_is_never_advised_to_be_traced(function: Any):
    found = transect.estimate(function, _path(4))
    for name in ("crossings", "flips"):
        with pytest.raises((NotEstimated, InvalidInput), match="units cannot be seen") as caught:
            getattr(found, name)
        assert "trace" not in str(caught.value)


def test_it_can_be_pickled_and_has_no_other_names():
    found = transect.estimate(torch.sin, _path(4))
    again = pickle.loads(pickle.dumps(found))
    assert torch.equal(again.absolute_deviation(), found.absolute_deviation())
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = found.nonsense


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf"), "fine", None])
@pytest.mark.parametrize("name", ["rtol", "atol"])
def test_tolerances_are_checked(name: str, value: Any):
    assert _refusal(**{name: value}).startswith(f"{name}: expected a number of at least 0")


def test_arguments_are_checked():
    assert "max_samples: expected a whole number of at least 17, got 16" in _refusal(max_samples=16)
    assert "budget: expected a whole number of at least 1" in _refusal(budget=0)
    assert "outputs: expected indices below 4, got [4]" in _refusal(outputs=[4])
    assert "path: expected a transect.Path" in _refusal(path=torch.zeros(2, 4))
    assert "model: expected a captured network, a torch.nn.Module or a function" in _refusal(model=3)
    network = transect.capture(_bent(), torch.zeros(4))
    assert "captured in torch.float64" in _refusal(model=network, dtype=torch.float32)
    assert "path 0: its anchors have shape (5,), but the network takes" in _refusal(model=network, path=_path(5))
    assert "path 1: its anchors have shape (5,), but those of path 0 are" in _refusal(path=[_path(4), _path(5)])
    assert "with model.to(torch.float64)" in _refusal(model=_smooth(), dtype=torch.float64)
    assert "between: expected" in _refusal(between=(0, 9))


def test_outputs_of_functions_are_checked():
    assert "a row of outputs for each of 3 points" in _refusal(model=lambda x: x.sum())
    assert "a row of outputs for each of 3 points" in _refusal(model=lambda x: x[:2])
    assert "expected one tensor or array of real numbers" in _refusal(model=lambda x: "no")
    assert "it is random, or mixes the samples" in _refusal(model=lambda x: x - x.mean(0))
    assert "it is random, or mixes the samples" in _refusal(model=torch.rand_like)
    message = _refusal(model=lambda x: (x - x[:, :1]) / (x[:, :1] - 1.5), path=transect.Path([[1.0, 0], [2.0, 0]]))
    assert "NaN or infinite at t = 0.5 of segment 0" in message


def test_modules_that_mix_the_samples_are_not_called_instead():
    class Centred(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(x - x.mean(0))

    assert "mixes the samples of a batch" in _refusal(model=Centred())
    noisy = nn.Sequential(nn.Linear(4, 50), nn.GELU(), nn.Dropout(), nn.Linear(50, 3))
    assert "model.eval()" in _refusal(model=noisy)


def test_measures_and_scales_are_checked():
    found = transect.estimate(torch.sin, _path(4))
    with pytest.raises(InvalidInput, match="measure: expected one of flips, mean_deviation, absolute_deviation"):
        found.interval("crossings")
    with pytest.raises(InvalidInput, match="std: expected positive"):
        found.normalised_deviation(0.0)
