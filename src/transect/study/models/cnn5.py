"""The five-layer CNN of Nakkiran et al. (2019, "Deep double descent", section B.1), of any base width."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from transect.study.models.layers import convolution, image_shape

RATIOS = (1, 2, 4, 8)
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
    for index, (ratio, pool) in enumerate(zip(RATIOS, pools, strict=True), start=1):
        layers[f"conv{index}"] = convolution(channels_in, ratio * width, 3, 1, batch_norm)
        layers[f"relu{index}"] = nn.ReLU()
        if pool is not None:
            layers[f"pool{index}"] = pool
        channels_in = ratio * width
    layers["flatten"], layers["head"] = nn.Flatten(), nn.Linear(channels_in, classes)
    return nn.Sequential(layers)
