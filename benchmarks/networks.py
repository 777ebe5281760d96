"""The networks that are timed: random weights from fixed seeds, and batch norm statistics that are not trivial."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from transect.study.models import architectures as resnet
from transect.study.models import architectures as signals

IMAGE = (3, 32, 32)


def resnet18(width: int) -> nn.Module:
    """A ResNet18 for small images, as initialised by PyTorch."""
    torch.manual_seed(0)
    model = resnet.resnet18(width, IMAGE, classes=10, batch_norm=True)
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.copy_(0.1 * torch.randn(module.num_features, generator=generator))
            module.running_var.copy_(0.5 + torch.rand(module.num_features, generator=generator))
    return model.eval()


def vgg11_bn() -> nn.Module:
    """The features of torchvision's VGG11 with batch norm and one linear layer, as is usual for small images."""
    from torchvision.models import vgg11_bn as zoo

    torch.manual_seed(0)
    model = nn.Sequential(zoo().features, nn.Flatten(), nn.Linear(512, 10))
    return with_statistics(model, torch.randn(64, *IMAGE, generator=torch.Generator().manual_seed(1)))


def resnet50(images: Tensor, branches: float) -> nn.Module:
    """torchvision's ResNet50 with random weights, and the batch norm statistics of some images.

    Args:
        images: ``(N, 3, H, W)``.
        branches: Weight of the last batch norm of every residual branch.
    """
    from torchvision.models.resnet import Bottleneck
    from torchvision.models.resnet import resnet50 as zoo

    torch.manual_seed(0)
    model = zoo()
    for module in model.modules():
        if isinstance(module, Bottleneck):
            nn.init.constant_(module.bn3.weight, branches)
    return with_statistics(model, images)


def cnn1d(width: int, seed: int = 0) -> nn.Module:
    """The study's network for MNIST-1D: three convolutions of stride 2, as initialised by PyTorch."""
    torch.manual_seed(seed)
    return signals.cnn1d(width, (40,), classes=10).eval()


def mlp(*sizes: int) -> nn.Sequential:
    """An MLP with these numbers of units, input and output included, as initialised by PyTorch."""
    torch.manual_seed(0)
    *hidden, last = [nn.Linear(one, two) for one, two in pairwise(sizes)]
    return nn.Sequential(*(layer for linear in hidden for layer in (linear, nn.ReLU())), last).eval()


def convnet(channels: int, side: int) -> nn.Sequential:
    """Three 3x3 convolutions, the second and third of stride 2 with twice the channels, for images of a side."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for one, two, stride in ((3, channels, 1), (channels, 2 * channels, 2), (2 * channels, 4 * channels, 2)):
        convolution = nn.Conv2d(one, two, 3, stride, padding=1)
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        layers += [convolution, nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(4 * channels * (side // 4) ** 2, 10)).eval()


def with_statistics(model: nn.Module, inputs: Tensor) -> nn.Module:
    """Give every batch norm the statistics of these inputs, and the model back in evaluation mode."""
    norms = [module for module in model.eval().modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    momenta = [module.momentum for module in norms]
    for module in norms:
        module.train().momentum = 1.0
    with torch.no_grad():
        model(inputs)
    for module, momentum in zip(norms, momenta, strict=True):
        module.eval().momentum = momentum
    return model
