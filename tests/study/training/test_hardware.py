"""Devices and arithmetic: what is chosen, and that everything is restored."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from support.training_samples import fresh, images
from transect.errors import StudyError
from transect.study.config import TrainConfig
from transect.study.training.hardware import (
    in_precision,
    placed,
    refuse_impossible_precision,
    reproducible_arithmetic,
    resolved_device,
    seeded_layers,
)

CPU = torch.device("cpu")


def test_devices_without_cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolved_device(TrainConfig(device="auto")) == resolved_device(TrainConfig(device="cpu")) == CPU
    with pytest.raises(StudyError, match="finds no CUDA device"):
        resolved_device(TrainConfig(device="cuda"))


def test_devices_with_cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    found = [resolved_device(TrainConfig(device=name)) for name in ("auto", "cuda", "cpu")]
    assert found == [torch.device("cuda", 1), torch.device("cuda", 1), CPU]


def test_tf32_needs_cuda():
    with pytest.raises(StudyError, match="tf32"):
        refuse_impossible_precision(TrainConfig(precision="tf32"), CPU)
    refuse_impossible_precision(TrainConfig(precision="tf32"), torch.device("cuda", 0))
    refuse_impossible_precision(TrainConfig(precision="bfloat16"), CPU)


@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16"])
def test_tf32_is_on_only_where_it_is_asked_for_and_settings_are_restored(precision):
    def settings():
        matmul, convolution = torch.backends.cuda.matmul, torch.backends.cudnn
        return matmul.allow_tf32, convolution.allow_tf32, convolution.deterministic, convolution.benchmark

    def failing():
        with reproducible_arithmetic(TrainConfig(precision=precision), torch.device("cuda")):
            assert settings() == (precision == "tf32", precision == "tf32", True, False)
            raise ZeroDivisionError

    before = settings()
    with pytest.raises(ZeroDivisionError):
        failing()
    assert settings() == before
    with reproducible_arithmetic(TrainConfig(precision=precision), CPU):
        assert settings() == before


def test_bfloat16_computes_in_it_and_leaves_weights_and_gradients_in_float32():
    model, batch = nn.Linear(40, 10), torch.randn(7, 40, generator=torch.Generator().manual_seed(0))
    low = in_precision(model, TrainConfig(precision="bfloat16"), CPU)(batch)
    low.float().sum().backward()
    assert low.dtype == torch.bfloat16
    assert model.weight.dtype == model.weight.grad.dtype == torch.float32
    torch.testing.assert_close(low.float(), model(batch), rtol=2e-2, atol=2e-2)
    assert in_precision(model, TrainConfig(), CPU) is model


class Viewing(nn.Sequential):
    """Reads its convolution's output in the one layout that allows it."""

    def forward(self, x):
        """Flattens without a copy."""
        return self[1](self[0](x).view(len(x), -1))


def test_layouts_change_only_for_models_that_take_any_and_are_restored():
    data, own = images(), Viewing(nn.Conv2d(3, 2, 3), nn.Linear(72, 10))
    ours = fresh("resnet18", data)
    batch = data.prepare(data.train.inputs)
    expected = ours.eval()(batch)
    with placed(ours, CPU), placed(own, CPU):
        assert ours.stem.conv.weight.is_contiguous(memory_format=torch.channels_last)
        assert not ours.stem.conv.weight.is_contiguous()
        torch.testing.assert_close(ours(batch), expected)
        own(batch).sum().backward()
    assert ours.stem.conv.weight.is_contiguous()
    video = nn.Sequential(nn.Conv3d(1, 1, 3))
    with placed(video, CPU):
        assert video[0].weight.is_contiguous()


@pytest.mark.parametrize(("width", "batch_norm"), [(1, False), (3, True), (4, False), (9, True)])
def test_a_step_of_a_placed_network_has_the_gradients_of_any_layout(width, batch_norm):
    """On processors without AVX-512 strided 1 x 1 convolutions with channels last give wrong ones, or crash."""
    data = images(side=32)
    model = fresh("resnet18", data, width, batch_norm).eval()  # statistics of batches magnify what float32 rounds
    batch = data.prepare(data.train.inputs)
    strided = [part for part in model.modules() if isinstance(part, nn.Conv2d) and part.stride == (2, 2)]
    pointwise = [part for part in strided if part.kernel_size == (1, 1)]
    assert len(pointwise) == 3

    def gradients():
        cross_entropy(model(batch), data.train.labels).backward()
        found = [weight.grad.clone() for weight in model.parameters()]
        model.zero_grad()
        return found

    def never_last(module, inputs):
        of_the_input, of_the_weight = inputs[0].stride(), module.weight.stride()
        assert of_the_input[1] == inputs[0].shape[2] * inputs[0].shape[3]
        assert of_the_weight[1:] == (1, 1, 1)

    expected = gradients()
    with placed(model, CPU):
        hooks = [part.register_forward_pre_hook(never_last) for part in pointwise]
        for _ in range(3):
            for found, right in zip(gradients(), expected, strict=True):
                assert (found - right).norm() < 1e-3 * right.norm()
    for hook in hooks:
        hook.remove()
    assert not any(part._forward_pre_hooks for part in pointwise)


def test_the_global_generator_is_seeded_for_a_block():
    before = torch.random.get_rng_state()
    drawn = []
    for _ in range(2):
        with seeded_layers(5, CPU):
            drawn.append(torch.rand(3))
    assert torch.equal(*drawn)
    assert torch.equal(torch.random.get_rng_state(), before)
