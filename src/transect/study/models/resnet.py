"""ResNets for small images (CIFAR style), of any base width, with or without batch norm."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from transect.study.models.layers import convolution, image_shape

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
NEAR_ZERO = 1e-3
"""Standard deviation of the last weights of each residual branch, and of the head, where there is no batch norm: every
block then starts close to the identity, and the network close to a constant, so that it trains at all."""


def resnet18(width: int, input_shape: tuple[int, ...], classes: int, batch_norm: bool = False) -> nn.Module:
    """ResNet18 with a 3x3 stem and stages of ``width``, 2, 4 and 8 ``width`` channels."""
    return _resnet(18, width, input_shape, classes, batch_norm)


def resnet34(width: int, input_shape: tuple[int, ...], classes: int, batch_norm: bool = False) -> nn.Module:
    """ResNet34 with a 3x3 stem and stages of ``width``, 2, 4 and 8 ``width`` channels."""
    return _resnet(34, width, input_shape, classes, batch_norm)


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut: ``relu(shortcut(x) + conv2(relu(conv1(x))))``.

    The shortcut is the identity where the shape stays, else a 1x1 convolution with the stride of the block.
    """

    def __init__(self, channels_in: int, channels: int, stride: int, batch_norm: bool) -> None:
        super().__init__()
        self.conv1 = convolution(channels_in, channels, 3, stride, batch_norm)
        self.relu1 = nn.ReLU()
        self.conv2 = convolution(channels, channels, 3, 1, batch_norm)
        same = stride == 1 and channels_in == channels
        self.shortcut = nn.Identity() if same else convolution(channels_in, channels, 1, stride, batch_norm)
        self.relu2 = nn.ReLU()
        if not batch_norm:
            nn.init.normal_(self.conv2.get_submodule("conv").weight, std=NEAR_ZERO)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """``(N, channels_in, H, W)`` to ``(N, channels, H / stride, W / stride)``."""
        branch: Tensor = self.conv2(self.relu1(self.conv1(x)))
        activated: Tensor = self.relu2(self.shortcut(x) + branch)
        return activated


def _resnet(depth: int, width: int, input_shape: tuple[int, ...], classes: int, batch_norm: bool) -> nn.Module:
    channels_in, _, _ = image_shape(f"resnet{depth}", input_shape)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers["stem"] = convolution(channels_in, width, 3, 1, batch_norm)
    layers["relu"] = nn.ReLU()
    channels = width
    for stage, blocks in enumerate(BLOCKS[depth]):
        layers[f"layer{stage + 1}"] = _stage(channels, width * 2**stage, blocks, 1 if stage == 0 else 2, batch_norm)
        channels = width * 2**stage
    layers["pool"], layers["flatten"] = nn.AdaptiveAvgPool2d(1), nn.Flatten()
    layers["head"] = _head(channels, classes, batch_norm)
    return nn.Sequential(layers)


def _stage(channels_in: int, channels: int, blocks: int, stride: int, batch_norm: bool) -> nn.Sequential:
    first = Block(channels_in, channels, stride, batch_norm)
    return nn.Sequential(first, *(Block(channels, channels, 1, batch_norm) for _ in range(blocks - 1)))


def _head(channels: int, classes: int, batch_norm: bool) -> nn.Linear:
    head = nn.Linear(channels, classes)
    if not batch_norm:
        nn.init.normal_(head.weight, std=NEAR_ZERO)
        nn.init.zeros_(head.bias)
    return head
