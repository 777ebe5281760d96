"""Architectures, counted by hand, and their seeds."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from transect.errors import StudyError
from transect.study.evaluation import parameter_count
from transect.study.models import BUILDERS, build_model

SHAPES = {"mlp": (40,), "cnn1d": (40,), "resnet18": (3, 32, 32), "resnet34": (3, 32, 32)}


def relu_units(model: nn.Module, shape: tuple[int, ...]) -> int:
    """Counts the units of every ReLU that a forward pass meets."""
    counts: list[int] = []
    for module in model.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(lambda _m, _i, output: counts.append(output[0].numel()))
    model(torch.zeros(2, *shape))
    return sum(counts)


def test_every_model_of_the_table_has_a_case_here():
    assert set(SHAPES) == set(BUILDERS)


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("name", SHAPES)
def test_seeds_decide_the_weights_and_nothing_global_moves(name, batch_norm):
    state = torch.random.get_rng_state()
    one, same, other = (build_model(name, 2, SHAPES[name], 10, seed, batch_norm).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert any(not torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("name", SHAPES)
def test_outputs_are_one_row_of_logits_per_input(name, batch_norm):
    model = build_model(name, 3, SHAPES[name], 7, seed=0, batch_norm=batch_norm)
    assert model(torch.randn(4, *SHAPES[name])).shape == (4, 7)
    assert any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules()) == batch_norm


def test_mlp_counts():
    model = build_model("mlp", 9, (40,), 10, seed=0)
    assert parameter_count(model) == (40 * 9 + 9) + (9 * 9 + 9) + (9 * 10 + 10)
    assert relu_units(model, (40,)) == 18


def test_cnn1d_counts():
    model = build_model("cnn1d", 6, (40,), 10, seed=0)
    assert relu_units(model, (40,)) == 6 * (20 + 10 + 5)
    assert parameter_count(model) == (5 * 6 + 6) + 2 * (3 * 6 * 6 + 6) + (30 * 10 + 10)


def test_resnet18_has_the_units_that_the_literature_counts():
    """8,704 per unit of base width: 1 + 4 times 1,024 w, then 4 times 2 w x 256, 4 w x 64 and 8 w x 16."""
    assert relu_units(build_model("resnet18", 2, (3, 32, 32), 10, seed=0), (3, 32, 32)) == 8704 * 2


def test_resnet_convolution_counts():
    for name, depth in [("resnet18", 18), ("resnet34", 34)]:
        model = build_model(name, 1, (3, 32, 32), 10, seed=0)
        kernels = [module.kernel_size for module in model.modules() if isinstance(module, nn.Conv2d)]
        assert kernels.count((3, 3)) + 1 == depth  # and the head
        assert kernels.count((1, 1)) == 3


def test_resnet_without_batch_norm_starts_near_a_constant_and_with_it_does_not():
    images = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    plain, normed = (build_model("resnet18", 2, (3, 32, 32), 10, seed=0, batch_norm=norm) for norm in (False, True))
    assert plain(images).std(0).max() < 0.02 < normed(images).std(0).max()


@pytest.mark.parametrize(
    ("name", "width", "shape", "named"),
    [
        ("mpl", 3, (40,), "mpl"),
        ("mlp", 0, (40,), "width"),
        ("cnn1d", 3, (3, 8, 8), "signals"),
        ("resnet18", 3, (40,), "images"),
    ],
)
def test_models_that_cannot_be_are_refused(name, width, shape, named):
    with pytest.raises(StudyError, match=named):
        build_model(name, width, shape, 10, seed=0)
