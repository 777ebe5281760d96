"""VGG networks with average pooling, of any base width, with or without batch norm.

After Simonyan and Zisserman (2015), in the form used for small images: one linear layer where the original has three.
VGG8 is the small network of Gamba et al. (2022).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

from transect.study.models.layers import convolution, hidden_linear, image_shape

VGG8_CHANNELS = ((6, 6), (16, 16), (64, 64))
VGG8_WIDTH, VGG8_HIDDEN = 6, 120

CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
RATIOS = (1, 2, 4, 8, 8)


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
    stages = [[ratio * width] * count for ratio, count in zip(RATIOS, CONVOLUTIONS[depth], strict=True)]
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
