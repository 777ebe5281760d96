"""Images of one's own: a folder with ``train/<class>/*`` and ``test/<class>/*``, decoded once and then kept."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from transect.errors import StudyError
from transect.study.data.cache import read_cached, stated_checksum, write_cached
from transect.study.data.images import ImageSource, LabelledImages
from transect.support.untrusted import Untrusted, refuse, regular_file

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


SUFFIXES = (".jpg", ".jpeg", ".png")
_PARTS = ("train", "test")
_DECODER_VERSION = "1"  # part of the file name: another way of decoding must not find the old file


@dataclass(frozen=True)
class _File:
    """An image file; ``stamp`` tells whether it is still the same."""

    path: str
    label: int
    stamp: str


def load_image_folder(folder: str | None, image_size: int | None, cache: Path) -> ImageSource:
    """All images of a folder as RGB, ``(N, 3, height, width)``, their classes in the order of their names.

    Files that do not end in .jpg, .jpeg or .png, and hidden ones, are passed over; the folder is only read. Images
    come from the cache where it has those of the same folder, files (by name, size and times of the last change) and
    size. A damaged cache file is made again.

    Args:
        folder: With ``train/<class>/*`` and ``test/<class>/*``, the same classes in both.
        image_size: Side in pixels to which all images are resized (bilinear, with antialiasing); None to keep them as
            they are, which needs all of one size.
        cache: Folder of the cache.

    Raises:
        StudyError: If the folder is not of that form, an image cannot be read, or their sizes differ.
    """
    root, classes, files = _listed(folder)
    path = _cache_file(root, files, image_size, cache)
    tensors = read_cached(path)
    if tensors is None:
        tensors = _decoded_parts(files, image_size)
        write_cached(tensors, path)
    train, test = (LabelledImages(tensors[f"{part}_images"], tensors[f"{part}_labels"]) for part in _PARTS)
    return ImageSource(root.name, len(classes), train, test)


def image_folder_digest(folder: str | None, image_size: int | None, cache: Path) -> str:
    """A digest of the pixels and labels of all images, whatever the folder and its classes are called.

    Args:
        folder: As in :func:`load_image_folder`.
        image_size: Likewise.
        cache: Likewise; images that are in it are not read again.

    Raises:
        StudyError: As :func:`load_image_folder`.
    """
    root, _, files = _listed(folder)
    path = _cache_file(root, files, image_size, cache)
    if stated_checksum(path) is None:
        load_image_folder(folder, image_size, cache)
    return stated_checksum(path) or ""


def _listed(folder: str | None) -> tuple[Path, list[str], dict[str, list[_File]]]:
    """The folder, its classes, and the images of each part."""
    if folder is None:
        raise StudyError("data.folder: expected a folder with train/<class>/* and test/<class>/* in it, got none")
    root = Path(folder).expanduser().resolve()
    classes = _classes(root)
    return root, classes, {part: _files(root / part, classes) for part in _PARTS}


def _cache_file(root: Path, files: dict[str, list[_File]], image_size: int | None, cache: Path) -> Path:
    return cache / f"images-{_key(root, files, image_size)}-v{_DECODER_VERSION}.safetensors"


def _classes(root: Path) -> list[str]:
    train, test = (_folders(root / part) for part in _PARTS)
    if train != test:
        only = [
            f"{name} in {part}"
            for part, one, two in (("train", train, test), ("test", test, train))
            for name in sorted(set(one) - set(two))
        ]
        raise StudyError(
            f"data.folder: expected the same classes in {root}/train and in {root}/test, got only {', '.join(only[:5])}"
        )
    return train


def _folders(part: Path) -> list[str]:
    if not part.is_dir():
        raise StudyError(
            f"data.folder: expected a folder with train/<class>/* and test/<class>/*, got no folder {part}"
        )
    found = sorted(entry.name for entry in os.scandir(part) if entry.is_dir() and not entry.name.startswith("."))
    if not found:
        raise StudyError(f"data.folder: expected one folder a class in {part}, got none")
    return found


def _files(part: Path, classes: Sequence[str]) -> list[_File]:
    return [file for label, name in enumerate(classes) for file in _files_of_class(part / name, label)]


def _files_of_class(folder: Path, label: int) -> list[_File]:
    found = sorted((entry for entry in os.scandir(folder) if _is_image(entry.name)), key=lambda entry: entry.name)
    if not found:
        raise StudyError(f"data.folder: expected images ({', '.join(SUFFIXES)}) in {folder}, got none")
    stats = [entry.stat() for entry in found]
    return [
        _File(entry.path, label, f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns}")
        for entry, stat in zip(found, stats)
    ]


def _is_image(name: str) -> bool:
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")


def _key(root: Path, files: dict[str, list[_File]], image_size: int | None) -> str:
    lines = [str(root), str(image_size)]
    lines += [f"{file.path}\0{file.stamp}" for part in _PARTS for file in files[part]]
    return hashlib.sha256(os.fsencode("\n".join(lines))).hexdigest()[:32]


def _decoded_parts(files: dict[str, list[_File]], image_size: int | None) -> dict[str, Tensor]:
    images = decoded([file.path for part in _PARTS for file in files[part]], image_size)
    sizes = [len(files[part]) for part in _PARTS]
    tensors: dict[str, Tensor] = {}
    for part, own in zip(_PARTS, images.split(sizes), strict=True):
        tensors[f"{part}_images"] = own
        tensors[f"{part}_labels"] = torch.tensor([file.label for file in files[part]], dtype=torch.int64)
    return tensors
