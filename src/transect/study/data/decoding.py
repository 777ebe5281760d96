"""Image files to one tensor."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from transect.errors import StudyError
from transect.untrusted import Untrusted, refuse, regular_file

_FILES_AT_ONCE = 64
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")  # which Pillow decodes itself, starting no programs
_MOST_PIXELS = 2**27
_EIGHT_BITS = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"}


def decoded(paths: Sequence[str], size: int | None) -> Tensor:
    """Images as RGB, ``(N, 3, height, width)``, uint8.

    Args:
        paths: Files of PNG, JPEG, BMP, GIF, TIFF, WebP or PPM, whatever they are called.
        size: Side in pixels to which every image is resized, bilinear with antialiasing, whatever its shape; None to
            keep them as they are, which needs all of one size.

    Raises:
        StudyError: If a file cannot be read, declares too many pixels, has more than 8 bits a channel, or is of
            another size than the first.
    """
    from PIL import Image  # here: only images need it

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # ours is an error
        return _decoded(paths, size)


def _decoded(paths: Sequence[str], size: int | None) -> Tensor:
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
    from PIL import Image

    try:
        with Image.open(regular_file(path), formats=_FORMATS) as file:
            if file.width * file.height > _MOST_PIXELS:
                refuse(f"it declares {file.width} x {file.height} pixels, and {_MOST_PIXELS:,} are the most")
            if file.mode not in _EIGHT_BITS:
                refuse(f"expected images of 8 bits a channel, got mode {file.mode}")
            image = file.convert("RGB")
    except Image.DecompressionBombError as error:
        raise _unreadable(path, f"it declares far more than {_MOST_PIXELS:,} pixels") from error
    except Untrusted as error:
        raise _unreadable(path, str(error)) from error
    except MemoryError:
        raise
    except Exception as error:  # whatever decoders raise on a file that is cut off, or is something else
        raise _unreadable(path, f"it is damaged, or no image ({', '.join(_FORMATS)})") from error
    return np.asarray(image if size is None else image.resize((size, size), Image.Resampling.BILINEAR))


def _unreadable(path: str, why: str) -> StudyError:
    return StudyError(f"cannot read the image {path}: {why}; repair or convert it, or leave it out")


def _of_two_sizes(first: str, expected: np.ndarray, path: str, got: np.ndarray) -> str:
    (height, width), (own_height, own_width) = expected.shape[:2], got.shape[:2]
    return (
        f"expected images of one size, got {width} x {height} pixels ({first}) and {own_width} x {own_height} pixels "
        f"({path}); set data.image_size, to which all are resized"
    )
