"""Networks of any base width: MLPs, ConvNets for signals and images, ResNets, VGG networks."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, nn

from transect.errors import StudyError


def convolution(channels_in: int, channels: int, kernel: int, stride: int, batch_norm: bool) -> nn.Sequential:
    """A convolution that keeps the size at stride 1, and batch norm where wanted (then without a bias of its own).

    Weights are normal with variance ``2 / (kernel^2 channels)``, biases zero.

    Args:
        channels_in: Channels of the input.
        channels: Channels of the output.
        kernel: Side of the kernel, odd.
        stride: Step in both directions.
        batch_norm: Whether batch norm follows.
    """
    layer = nn.Conv2d(channels_in, channels, kernel, stride, padding=kernel // 2, bias=not batch_norm)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    layers: OrderedDict[str, nn.Module] = OrderedDict(conv=layer)
    if batch_norm:
        layers["norm"] = nn.BatchNorm2d(channels)
    return nn.Sequential(layers)


def hidden_linear(units_in: int, units: int) -> nn.Linear:
    """A linear layer before a ReLU: weights are normal with variance ``2 / units_in``, biases zero."""
    layer = nn.Linear(units_in, units)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(layer.bias)
    return layer


def image_shape(model: str, input_shape: tuple[int, ...], smallest: int = 1) -> tuple[int, int, int]:
    """Channels, height and width of an input that must be an image.

    Args:
        model: Name of the model, for the error.
        input_shape: Shape of one input.
        smallest: The least height and width that the model takes.

    Raises:
        StudyError: If the inputs are no images, or too small.
    """
    if len(input_shape) != 3:
        raise StudyError(
            f"{model} expects images of shape (C, H, W), got inputs of shape {input_shape}; choose another model"
        )
    channels, height, width = input_shape
    if min(height, width) < smallest:
        raise StudyError(f"{model} expects images of at least {smallest}x{smallest} pixels, got {height}x{width}")
    return channels, height, width


HIDDEN_LAYERS = 2


def mlp(width: int, input_shape: tuple[int, ...], classes: int, batch_norm: bool = False) -> nn.Module:
    """Two hidden ReLU layers of ``width`` units: n-h-h-classes, PyTorch's default initialisation.

    Args:
        width: Units of each hidden layer.
        input_shape: Shape of one input; flattened.
        classes: Number of outputs (logits).
        batch_norm: Whether each hidden layer is normalised before its ReLU.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    fan_in = math.prod(input_shape)
    for index in range(1, HIDDEN_LAYERS + 1):
        layers[f"linear{index}"] = nn.Linear(fan_in, width)
        if batch_norm:
            layers[f"norm{index}"] = nn.BatchNorm1d(width)
        layers[f"relu{index}"] = nn.ReLU()
        fan_in = width
    layers["head"] = nn.Linear(fan_in, classes)
    return nn.Sequential(layers)


KERNEL_SIZES = (5, 3, 3)
STRIDE = 2


class Channel(nn.Module):
    """Gives signals ``(N, n)`` the one channel that a convolution wants: ``(N, 1, n)``."""

    def forward(self, signals: Tensor) -> Tensor:
        """Insert the channel dimension."""
        return signals.unsqueeze(1)


def cnn1d(width: int, input_shape: tuple[int, ...], classes: int, batch_norm: bool = False) -> nn.Module:
    """Three convolutions of stride 2 and ``width`` channels, each with a ReLU, then a linear head.

    Args:
        width: Channels of each convolution.
        input_shape: ``(n,)``, the length of the signal.
        classes: Number of outputs (logits).
        batch_norm: Whether each convolution is followed by batch norm.

    Raises:
        StudyError: If the inputs are not one-dimensional signals.
    """
    if len(input_shape) != 1:
        raise StudyError(
            f"cnn1d expects signals of shape (n,), got inputs of shape {input_shape}; choose another model"
        )
    layers: OrderedDict[str, nn.Module] = OrderedDict(channel=Channel())
    channels, length = 1, input_shape[0]
    for index, kernel in enumerate(KERNEL_SIZES, start=1):
        layers[f"conv{index}"] = nn.Conv1d(channels, width, kernel, STRIDE, padding=kernel // 2, bias=not batch_norm)
        if batch_norm:
            layers[f"norm{index}"] = nn.BatchNorm1d(width)
        layers[f"relu{index}"] = nn.ReLU()
        channels, length = width, -(-length // STRIDE)
    layers["flatten"] = nn.Flatten()
    layers["head"] = nn.Linear(channels * length, classes)
    return nn.Sequential(layers)


CNN5_RATIOS = (1, 2, 4, 8)
SMALLEST = 4


def cnn5(width: int, input_shape: tuple[int, ...], classes: int, batch_norm: bool = False) -> nn.Module:
    """Four 3x3 convolutions of ``width``, 2, 4 and 8 ``width`` channels, each with a ReLU, then a linear head.

    Max-pools follow the four with sizes 1, 2, 2 and 8: none, two that halve the image, and one over all that is left.
    The last one is 8x8 for the images of 32x32 pixels of the paper, and as large as needed for others.

    Args:
        width: Channels of the first convolution; 64 is the standard size.
        input_shape: ``(C, H, W)``, at least 4x4 pixels.
        classes: Number of outputs (logits).
        batch_norm: Whether each convolution is followed by batch norm, as in the paper.

    Raises:
        StudyError: If the inputs are no images, or too small.
    """
    channels_in, *size = image_shape("cnn5", input_shape, smallest=SMALLEST)
    pools = [None, nn.MaxPool2d(2), nn.MaxPool2d(2), nn.MaxPool2d((size[0] // 4, size[1] // 4))]
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for index, (ratio, pool) in enumerate(zip(CNN5_RATIOS, pools, strict=True), start=1):
        layers[f"conv{index}"] = convolution(channels_in, ratio * width, 3, 1, batch_norm)
        layers[f"relu{index}"] = nn.ReLU()
        if pool is not None:
            layers[f"pool{index}"] = pool
        channels_in = ratio * width
    layers["flatten"], layers["head"] = nn.Flatten(), nn.Linear(channels_in, classes)
    return nn.Sequential(layers)


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


VGG8_CHANNELS = ((6, 6), (16, 16), (64, 64))
VGG8_WIDTH, VGG8_HIDDEN = 6, 120

CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
VGG_RATIOS = (1, 2, 4, 8, 8)


def vgg8(width: int, input_shape: tuple[int, ...], classes: int, batch_norm: bool = False) -> nn.Module:
    """Six convolutions and two linear layers: [6, 6, A, 16, 16, A, 64, 64] and 120 hidden units at its nominal width 6.

    At another width every number of channels and of hidden units is ``width / 6`` times that, rounded. The hidden
    layer sees every pixel of the last feature map, 8x8 for images of 32x32 pixels.

    Args:
        width: Channels of the first convolution.
        input_shape: ``(C, H, W)``, at least 4x4 pixels.
        classes: Number of outputs (logits).
        batch_norm: Whether each convolution is followed by batch norm.

    Raises:
        StudyError: If the inputs are no images, or too small.
    """
    channels, height, breadth = image_shape("vgg8", input_shape, smallest=4)
    stages = [[_scaled(nominal, width) for nominal in stage] for stage in VGG8_CHANNELS]
    layers = _features(channels, stages, pools=2, batch_norm=batch_norm)
    pixels, hidden = (height // 4) * (breadth // 4), _scaled(VGG8_HIDDEN, width)
    layers["flatten"] = nn.Flatten()
    layers["linear"], layers["relu"] = hidden_linear(stages[-1][-1] * pixels, hidden), nn.ReLU()
    layers["head"] = nn.Linear(hidden, classes)
    return nn.Sequential(layers)


def vgg11(width: int, input_shape: tuple[int, ...], classes: int, batch_norm: bool = False) -> nn.Module:
    """VGG11: 8 convolutions in stages of ``width``, 2, 4, 8 and 8 ``width`` channels; 64 is the nominal width."""
    return _vgg(11, width, input_shape, classes, batch_norm)


def vgg13(width: int, input_shape: tuple[int, ...], classes: int, batch_norm: bool = False) -> nn.Module:
    """VGG13: 10 convolutions in stages of ``width``, 2, 4, 8 and 8 ``width`` channels; 64 is the nominal width."""
    return _vgg(13, width, input_shape, classes, batch_norm)


def vgg16(width: int, input_shape: tuple[int, ...], classes: int, batch_norm: bool = False) -> nn.Module:
    """VGG16: 13 convolutions in stages of ``width``, 2, 4, 8 and 8 ``width`` channels; 64 is the nominal width."""
    return _vgg(16, width, input_shape, classes, batch_norm)


def vgg19(width: int, input_shape: tuple[int, ...], classes: int, batch_norm: bool = False) -> nn.Module:
    """VGG19: 16 convolutions in stages of ``width``, 2, 4, 8 and 8 ``width`` channels; 64 is the nominal width."""
    return _vgg(19, width, input_shape, classes, batch_norm)


def _vgg(depth: int, width: int, input_shape: tuple[int, ...], classes: int, batch_norm: bool) -> nn.Module:
    """An average pool of 2x2 after each stage, as long as there are 2x2 pixels, then the mean of those left."""
    channels, height, breadth = image_shape(f"vgg{depth}", input_shape)
    stages = [[ratio * width] * count for ratio, count in zip(VGG_RATIOS, CONVOLUTIONS[depth], strict=True)]
    pools = min(len(stages), min(height, breadth).bit_length() - 1)
    layers = _features(channels, stages, pools, batch_norm)
    layers["pool"], layers["flatten"] = nn.AdaptiveAvgPool2d(1), nn.Flatten()
    layers["head"] = nn.Linear(stages[-1][-1], classes)
    return nn.Sequential(layers)


def _features(
    channels_in: int, stages: Sequence[Sequence[int]], pools: int, batch_norm: bool
) -> OrderedDict[str, nn.Module]:
    """3x3 convolutions, each with a ReLU; an average pool of 2x2 after each of the first ``pools`` stages."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for stage, widths in enumerate(stages, start=1):
        for index, channels in enumerate(widths, start=1):
            layers[f"conv{stage}_{index}"] = convolution(channels_in, channels, 3, 1, batch_norm)
            layers[f"relu{stage}_{index}"] = nn.ReLU()
            channels_in = channels
        if stage <= pools:
            layers[f"pool{stage}"] = nn.AvgPool2d(2)
    return layers


def _scaled(nominal: int, width: int) -> int:
    """A size of VGG8 at another base width, in whole numbers; halves are rounded up."""
    return (2 * nominal * width + VGG8_WIDTH) // (2 * VGG8_WIDTH)
