"""Image files to one tensor."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from transect.errors import StudyError

_FILES_AT_ONCE = 64
_EIGHT_BITS = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"}


def decoded(paths: Sequence[str], size: int | None) -> Tensor:
    """Images as RGB, ``(N, 3, height, width)``, uint8.

    Args:
        paths: Files that Pillow reads.
        size: Side in pixels to which every image is resized, bilinear with antialiasing, whatever its shape; None to
            keep them as they are, which needs all of one size.

    Raises:
        StudyError: If a file cannot be read, has more than 8 bits a channel, or is of another size than the first.
    """
    first = _decoded_image(paths[0], size)
    images = np.empty((len(paths), *first.shape), dtype=np.uint8)

    def decode(start: int) -> None:
        for index in range(start, min(start + _FILES_AT_ONCE, len(paths))):
            image = _decoded_image(paths[index], size)
            if image.shape != first.shape:
                raise StudyError(_of_two_sizes(paths[0], first, paths[index], image))
            images[index] = image

    with ThreadPoolExecutor() as pool:  # Pillow decodes and resizes without holding the interpreter
        for _ in pool.map(decode, range(0, len(paths), _FILES_AT_ONCE)):  # raises the first error, drops what is left
            pass
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()


def _decoded_image(path: str, size: int | None) -> np.ndarray:
    from PIL import Image  # here: only image folders need it

    try:
        with Image.open(path) as file:
            if file.mode not in _EIGHT_BITS:
                raise StudyError(f"expected images of 8 bits a channel, got {path} of mode {file.mode}; convert it")
            image = file.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise StudyError(f"cannot read the image {path}: {error}; repair it, or leave it out") from error
    return np.asarray(image if size is None else image.resize((size, size), Image.Resampling.BILINEAR))


def _of_two_sizes(first: str, expected: np.ndarray, path: str, got: np.ndarray) -> str:
    (height, width), (own_height, own_width) = expected.shape[:2], got.shape[:2]
    return (
        f"expected images of one size, got {width} x {height} pixels ({first}) and {own_width} x {own_height} pixels "
        f"({path}); set data.image_size, to which all are resized"
    )
