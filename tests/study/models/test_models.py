"""Architectures, counted by hand, and their seeds."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from support.study_models import OF_SIGNALS
from transect.errors import StudyError
from transect.study.config import ModelConfig
from transect.study.models import BUILDERS, build_model
from transect.study.training.evaluation import parameter_count

SIGNALS, IMAGES = (40,), (3, 32, 32)
SHAPES = dict.fromkeys(BUILDERS, IMAGES) | dict.fromkeys(OF_SIGNALS, SIGNALS)


def built(name: str, width: int, shape: tuple[int, ...], classes: int = 10, seed: int = 0, batch_norm: bool = False):
    return build_model(ModelConfig(name=name, width=width, batch_norm=batch_norm), shape, classes, seed)


def relu_units(model: nn.Module, shape: tuple[int, ...]) -> int:
    """Counts the units of every ReLU that a forward pass meets."""
    counts: list[int] = []
    for module in model.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(lambda _m, _i, output: counts.append(output[0].numel()))
    model(torch.zeros(2, *shape))
    return sum(counts)


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("name", SHAPES)
def test_seeds_decide_the_weights_and_nothing_global_moves(name, batch_norm):
    state = torch.random.get_rng_state()
    one, same, other = (built(name, 2, SHAPES[name], 10, seed, batch_norm).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert any(not torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("name", SHAPES)
def test_outputs_are_one_row_of_logits_per_input(name, batch_norm):
    model = built(name, 3, SHAPES[name], classes=7, batch_norm=batch_norm)
    assert model(torch.randn(4, *SHAPES[name])).shape == (4, 7)
    assert any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules()) == batch_norm


@pytest.mark.parametrize("name", [name for name, shape in SHAPES.items() if shape == IMAGES])
@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 16, 24), (3, 64, 64)])
def test_networks_for_images_take_those_of_other_sizes(name, shape):
    assert built(name, 2, shape, classes=3)(torch.randn(2, *shape)).shape == (2, 3)


def test_mlp_counts():
    model = built("mlp", 9, SIGNALS)
    assert parameter_count(model) == (40 * 9 + 9) + (9 * 9 + 9) + (9 * 10 + 10)
    assert relu_units(model, SIGNALS) == 18


def test_cnn1d_counts():
    model = built("cnn1d", 6, SIGNALS)
    assert relu_units(model, SIGNALS) == 6 * (20 + 10 + 5)
    assert parameter_count(model) == (5 * 6 + 6) + 2 * (3 * 6 * 6 + 6) + (30 * 10 + 10)


@pytest.mark.parametrize("w", [1, 5])
def test_cnn5_counts(w):
    """Widths w, 2w, 4w, 8w at 32, 32, 16 and 8 pixels; 1x1 is left for the head after pools of 2, 2 and 8."""
    model = built("cnn5", w, IMAGES)
    assert relu_units(model, IMAGES) == w * 1024 + 2 * w * 1024 + 4 * w * 256 + 8 * w * 64
    kernels = 9 * (3 * w + w * 2 * w + 2 * w * 4 * w + 4 * w * 8 * w)
    assert parameter_count(model) == kernels + 15 * w + (8 * w * 10 + 10)
    normed = built("cnn5", w, IMAGES, batch_norm=True)  # two numbers a channel in place of the bias
    assert parameter_count(normed) == kernels + 2 * 15 * w + (8 * w * 10 + 10)
    pools = [module.kernel_size for module in model.modules() if isinstance(module, nn.MaxPool2d)]
    assert pools == [2, 2, (8, 8)]


@pytest.mark.parametrize(
    ("width", "first", "second", "third", "hidden"), [(6, 6, 16, 64, 120), (3, 3, 8, 32, 60), (1, 1, 3, 11, 20)]
)
def test_vgg8_counts(width, first, second, third, hidden):
    """[6, 6, A, 16, 16, A, 64, 64] and 120 units; a sixth of 16 is 2.67, of 64 it is 10.67."""
    model = built("vgg8", width, IMAGES)
    channels = [(3, first), (first, first), (first, second), (second, second), (second, third), (third, third)]
    convolutions = sum(9 * a * b + b for a, b in channels)
    assert parameter_count(model) == convolutions + (64 * third * hidden + hidden) + (hidden * 10 + 10)
    assert relu_units(model, IMAGES) == 2 * (first * 1024 + second * 256 + third * 64) + hidden


@pytest.mark.parametrize(("depth", "counts"), [(11, "11222"), (13, "22222"), (16, "22333"), (19, "22444")])
def test_vgg_counts(depth, counts):
    """Depth counts the convolutions and the three linear layers of the original, of which one is left."""
    model, w = built(f"vgg{depth}", 2, IMAGES), 2
    channels = [ratio * w for ratio, count in zip((1, 2, 4, 8, 8), counts) for _ in range(int(count))]
    sides = [side for side, count in zip((32, 16, 8, 4, 2), counts) for _ in range(int(count))]
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    assert [layer.out_channels for layer in convolutions] == channels
    assert len(channels) + 3 == depth
    assert relu_units(model, IMAGES) == sum(c * side**2 for c, side in zip(channels, sides))
    kernels = sum(9 * a * b + b for a, b in zip([3, *channels], channels))
    assert parameter_count(model) == kernels + 16 * 10 + 10


def test_vggs_have_the_convolutions_of_torchvision_at_their_nominal_width():
    torchvision = pytest.importorskip("torchvision")
    for depth in (11, 13, 16, 19):
        with torch.device("meta"):
            theirs = torchvision.models.get_model(f"vgg{depth}")
            ours = BUILDERS[f"vgg{depth}"](64, IMAGES, 10, False)
        shapes = [
            [module.weight.shape for module in model.modules() if isinstance(module, nn.Conv2d)]
            for model in (ours, theirs)
        ]
        assert shapes[0] == shapes[1]


def test_resnet18_has_the_units_that_the_literature_counts():
    """8,704 per unit of base width: 1 + 4 times 1,024 w, then 4 times 2 w x 256, 4 w x 64 and 8 w x 16."""
    assert relu_units(built("resnet18", 2, IMAGES), IMAGES) == 8704 * 2


def test_resnet_convolution_counts():
    for name, depth in [("resnet18", 18), ("resnet34", 34)]:
        kernels = [module.kernel_size for module in built(name, 1, IMAGES).modules() if isinstance(module, nn.Conv2d)]
        assert kernels.count((3, 3)) + 1 == depth  # and the head
        assert kernels.count((1, 1)) == 3


@pytest.mark.parametrize("name", ["cnn5", "vgg8", "vgg16", "resnet18"])
def test_convolutions_have_the_variance_of_he(name):
    for layer in built(name, 16, IMAGES).modules():
        if isinstance(layer, nn.Conv2d) and layer.weight.std() > 2e-3 and layer.weight.numel() > 4000:
            wanted = (2 / (layer.out_channels * layer.kernel_size[0] ** 2)) ** 0.5
            assert layer.weight.std().item() == pytest.approx(wanted, rel=0.1)
            assert not layer.bias.any()


def test_resnet_without_batch_norm_starts_near_a_constant_and_with_it_does_not():
    images = torch.randn(8, *IMAGES, generator=torch.Generator().manual_seed(0))
    plain, normed = (built("resnet18", 2, IMAGES, batch_norm=norm) for norm in (False, True))
    assert plain(images).std(0).max() < 0.02 < normed(images).std(0).max()


@pytest.mark.parametrize(
    ("name", "shape", "named"),
    [
        ("cnn1d", (3, 8, 8), "signals"),
        ("resnet18", (40,), "images"),
        ("vgg11", (40,), "images"),
        ("cnn5", (3, 3, 9), "at least 4x4 pixels, got 3x9"),
        ("vgg8", (3, 9, 3), "at least 4x4 pixels, got 9x3"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(name, shape, named):
    with pytest.raises(StudyError, match=named):
        built(name, 3, shape)


@pytest.mark.parametrize("name", BUILDERS)
def test_widths_beyond_all_memory_are_refused_before_they_take_any(name):
    with torch.device("meta"):
        weights = BUILDERS[name](1_000_000, SHAPES[name], 10, False).parameters()
    if sum(weight.nbytes for weight in weights) < 2**40:
        pytest.skip("its weights grow with the width, and not with its square")
    with pytest.raises(StudyError, match=rf"model\.width: the weights of {name} of width 1000000 take [\d,]+ GiB"):
        built(name, 1_000_000, SHAPES[name])
