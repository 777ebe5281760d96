"""Paths of translated images: closed circles, as in the paper's protocol, and open arcs.

An image is padded by 2R pixels on every side with its edge values, moved by a displacement rounded to whole pixels,
and cropped at the centre to its own size; normalisation is applied once, after that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from transect.errors import InvalidInput
from transect.paths.path import Path
from transect.support.types import TensorLike

Normalise = Callable[[Tensor], Tensor] | tuple[TensorLike, TensorLike] | None
_MOST_ANCHORS, _LARGEST_RADIUS = 100_000, 4096
Displacement = tuple[float, float]


def translation_circle(image: TensorLike, radius: float = 4, anchors: int = 8, normalise: Normalise = None) -> Path:
    """The closed path of an image moved along a circle: anchor k lies at (R cos 2 pi k/K, R sin 2 pi k/K).

    The image itself is not an anchor.

    Args:
        image: One image, ``(channels, height, width)``, of floating dtype.
        radius: R, in pixels.
        anchors: K, at least 3.
        normalise: ``(mean, std)`` a channel, or a function of a batch of images, applied once after cropping.

    Raises:
        InvalidInput: The image is not of that shape, or neighbouring anchors are the same image (a constant image, or
            a circle too small for the pixels).
    """
    return translation_circles(_one_image(image), radius, anchors, normalise)[0]


def translation_circles(
    images: TensorLike, radius: float = 4, anchors: int = 8, normalise: Normalise = None
) -> list[Path]:
    """One :func:`translation_circle` for each image of a batch, ``(N, channels, height, width)``."""
    _check_anchors(anchors, 3, "closed circle")
    angles = [2 * math.pi * k / anchors for k in range(anchors)]
    return _paths(images, [(radius * math.cos(a), radius * math.sin(a)) for a in angles], radius, normalise, True)


def translation_arc(image: TensorLike, radius: float = 4, anchors: int = 7, normalise: Normalise = None) -> Path:
    """The open path of an image moved by R sideways and, along half a turn, by R sin(pi k/(K - 1) - pi/2) downwards.

    The half turn goes from the top to the bottom: from 0 to pi the sine would come back through the images it has
    shown before. Seven anchors, not the eight of the circle, lie on different pixels for R = 4.

    Args:
        image: One image, ``(channels, height, width)``, of floating dtype.
        radius: R, in pixels.
        anchors: K, at least 2.
        normalise: As for :func:`translation_circle`.

    Raises:
        InvalidInput: As for :func:`translation_circle`.
    """
    return translation_arcs(_one_image(image), radius, anchors, normalise)[0]


def translation_arcs(
    images: TensorLike, radius: float = 4, anchors: int = 7, normalise: Normalise = None
) -> list[Path]:
    """One :func:`translation_arc` for each image of a batch, ``(N, channels, height, width)``."""
    _check_anchors(anchors, 2, "open path")
    angles = [math.pi * k / (anchors - 1) - math.pi / 2 for k in range(anchors)]
    return _paths(images, [(radius, radius * math.sin(angle)) for angle in angles], radius, normalise, False)


def _check_anchors(anchors: int, least: int, what: str) -> None:
    if not isinstance(anchors, int) or isinstance(anchors, bool) or not least <= anchors <= _MOST_ANCHORS:
        raise InvalidInput(
            f"anchors: expected at least {least} for a{'n' if what[0] == 'o' else ''} {what}, and at most "
            f"{_MOST_ANCHORS:,}, got {anchors!r}."
        )


def translated(images: Tensor, right: int, down: int, margin: int) -> Tensor:
    """Images moved by whole pixels, their edges repeated: pad by ``margin``, move, crop at the centre.

    Args:
        images: ``(N, channels, height, width)``.
        right: Pixels to the right.
        down: Pixels downwards.
        margin: Padding on every side, at least as large as the displacement.
    """
    height, width = images.shape[-2:]
    padded = functional.pad(images, (margin,) * 4, mode="replicate")
    return padded[..., margin - down : margin - down + height, margin - right : margin - right + width]


def _paths(
    images: TensorLike, displacements: Sequence[Displacement], radius: float, normalise: Normalise, closed: bool
) -> list[Path]:
    images = _batch(images)
    if not 0 < radius <= _LARGEST_RADIUS:
        raise InvalidInput(
            f"radius: expected a positive, finite number of pixels, got {radius} (at most {_LARGEST_RADIUS:,})."
        )
    pixels = [(_nearest_pixel(right), _nearest_pixel(down)) for right, down in displacements]
    _check_distinct(pixels, radius, closed)
    margin = math.ceil(2 * radius)
    moved = [normalised(translated(images, right, down, margin), normalise) for right, down in pixels]
    return [_path(anchors, index, closed) for index, anchors in enumerate(torch.stack(moved, 1))]


def _nearest_pixel(displacement: float) -> int:
    """Halves go away from zero, so that the circle is symmetric; the last digits of a cosine decide nothing."""
    size = math.floor(round(abs(displacement), 9) + 0.5)
    return size if displacement > 0 else -size


def _path(anchors: Tensor, index: int, closed: bool) -> Path:
    try:
        return Path(anchors, closed)
    except InvalidInput as error:
        if not bool(torch.isfinite(anchors).all()):
            raise InvalidInput(f"image {index}: {error} Check the image and its normalisation.") from error
        raise InvalidInput(
            f"image {index}: {error} A translation path needs an image that is not constant in the direction it moves."
        ) from error


def _check_distinct(pixels: Sequence[tuple[int, int]], radius: float, closed: bool) -> None:
    following = [*pixels[1:], pixels[0]] if closed else pixels[1:]
    same = [k for k, (a, b) in enumerate(zip(pixels, following, strict=False)) if a == b]
    if same:
        raise InvalidInput(
            f"radius, anchors: with radius {radius} and {len(pixels)} anchors, anchors {same[0]} and "
            f"{(same[0] + 1) % len(pixels)} round to the same pixel; choose a larger radius or fewer anchors."
        )


def normalised(images: Tensor, normalise: Normalise) -> Tensor:
    """Images as the network sees them.

    Args:
        images: ``(N, channels, height, width)``.
        normalise: ``(mean, std)`` a channel or one for all, a function of the batch, or None to leave them as they are.

    Raises:
        InvalidInput: There are not as many numbers as channels.
    """
    if normalise is None:
        return images
    if callable(normalise):
        return normalise(images)
    mean, std = (
        torch.as_tensor(part, dtype=images.dtype, device=images.device).reshape(-1, 1, 1) for part in normalise
    )
    channels = images.shape[1]
    if not {len(mean), len(std)} <= {1, channels}:
        raise InvalidInput(
            f"normalise: expected (mean, std) of 1 or {channels} numbers each for images of {channels} channels, "
            f"got {len(mean)} and {len(std)}."
        )
    return (images - mean) / std


def _one_image(image: TensorLike) -> Tensor:
    tensor = torch.as_tensor(image)
    if tensor.dim() != 3:
        raise InvalidInput(f"image: expected shape (channels, height, width), got {tuple(tensor.shape)}.")
    return tensor.unsqueeze(0)


def _batch(images: TensorLike) -> Tensor:
    tensor = torch.as_tensor(images)
    if tensor.dim() != 4 or not tensor.is_floating_point():
        raise InvalidInput(
            "images: expected floating-point images of shape (N, channels, height, width), got "
            f"{tensor.dtype} of shape {tuple(tensor.shape)}; divide 8-bit images by 255."
        )
    return tensor


def normalised_repeatedly(anchors: Tensor, normalise: Callable[[Tensor], Tensor]) -> Tensor:
    """Fault 1: all anchors are normalised again for each of them, so that anchor k of K is normalised K - k times.

    Args:
        anchors: Not normalised, ``(K, *input_shape)``.
        normalise: A function of a batch of inputs.

    Returns:
        ``(K, *input_shape)``; with standard deviations below 1 the first anchors are far away from all data.
    """
    anchors = anchors.clone()
    for last in range(len(anchors), 0, -1):
        anchors[:last] = normalise(anchors[:last])
    return anchors


def rolled_closure(paths: Sequence[Path]) -> list[Path]:
    """Fault 2: the last anchor of a path is joined to the first anchor of the next one, that of the last to the first.

    Args:
        paths: Closed paths of K anchors.

    Returns:
        Open paths of K + 1 anchors, and so of K segments, as the closed ones have.
    """
    following = [*paths[1:], *paths[:1]]
    return [Path(torch.cat([path.anchors, after.anchors[:1]])) for path, after in zip(paths, following, strict=True)]
