"""A slice over training: one picture for every checkpoint, all on one scale, and a film of them."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import torch
from PIL import Image
from torch import nn

from transect.errors import InvalidInput, check_one_of
from transect.networks.network import Network
from transect.paths import Plane
from transect.plots.slice import draw
from transect.plots.slice_colours import Colour
from transect.plots.slice_view import NUMBERS, RESOLUTION, Asked, Lines, View, Window
from transect.plots.style import render
from transect.slicing import Slice
from transect.slicing import slice as slice_network
from transect.support.types import TensorLike
from transect.tables.files import replacing

Moving: TypeAlias = Literal["gif", "mp4"]

_LAST = 1.5  # seconds that the last picture is shown at least
_FFMPEG = "-loglevel error -y -framerate {rate} -start_number 0 -i {frames} -frames:v {count}"
_ENCODING = "-vf pad=ceil(iw/2)*2:ceil(ih/2)*2:color=white -c:v libx264 -pix_fmt yuv420p -movflags +faststart"


@dataclass(frozen=True)
class Film:
    """What :func:`film_slices` wrote.

    Attributes:
        frames: The pictures, in their order.
        film: The film, or None where none was asked for.
        limits: Ends of the scale of colours, None where there is no scale: for more frames of the same.
        note: What is to be said of it; empty where all is as asked for.
    """

    frames: tuple[pathlib.Path, ...]
    film: pathlib.Path | None
    limits: tuple[float, float] | None
    note: str


def film_slices(
    networks_or_slices: Iterable[Network | nn.Module | Slice],
    folder: str | os.PathLike[str],
    *,
    plane: Plane | None = None,
    colour: Colour = "region",
    output: int | None = None,
    borders: Lines | None = None,
    boundary: bool = True,
    window: Window | None = None,
    images: bool | TensorLike | None = None,
    samples: TensorLike | None = None,
    labels: TensorLike | None = None,
    limits: tuple[float, float] | None = None,
    titles: Sequence[str] | None = None,
    resolution: int = RESOLUTION,
    film: Moving | None = "gif",
    seconds: float = 0.3,
) -> Film:
    """Draw the same plane through many networks, checkpoints of a training say, each as :func:`plot_slice` does.

    The frames are ``frame-0000.png``, ``frame-0001.png``, ... in the folder, each written atomically over what had
    its name; all have the same size, scale of colours and place of the axes. The film is ``film.gif`` or ``film.mp4``.
    One thing is held at a time, save where there is a scale of colours whose limits are not given: then all slices are
    held until the last is there, since it may have the largest number.

    Args:
        networks_or_slices: Networks or modules, which are sliced when their turn comes (so that it may be one module
            that is trained on in between), or slices with ``keep="all"``; all on one plane.
        folder: Where to; made where it is missing.
        plane: The plane, with the domain; needed for networks.
        colour: As for :func:`plot_slice`, like all up to ``labels``.
        output: Likewise.
        borders: Likewise.
        boundary: Likewise.
        window: Likewise.
        images: Likewise.
        samples: Likewise.
        labels: Likewise.
        limits: Ends of the scale of colours; found over all frames where None.
        titles: What to write on top of each frame, such as ``["epoch 0", "epoch 1"]``; their numbers where None.
        resolution: As for :func:`plot_slice`.
        film: ``"gif"``, or ``"mp4"`` (by the program ffmpeg, where it is installed; else it becomes a GIF, and the note
            says so), or None for frames alone.
        seconds: How long each frame is shown.

    Returns:
        Where all that is.

    Raises:
        InvalidInput: There is nothing to film, slices lie on different planes, networks come without a plane, there
            are not as many titles as frames, or an argument is not one of :func:`plot_slice`.
    """
    check_one_of("film", film, ("gif", "mp4", None))
    if not isinstance(seconds, int | float) or not 0.01 <= seconds <= 3600:
        raise InvalidInput(f"seconds: expected a time between 0.01 and 3600, got {seconds!r}.")
    if titles is not None and (isinstance(titles, str) or not all(isinstance(title, str) for title in titles)):
        raise InvalidInput(f"titles: expected a list with a text for every frame, got {titles!r}.")
    one = isinstance(networks_or_slices, Network | nn.Module | Slice) and not isinstance(
        networks_or_slices, nn.ModuleList
    )
    if one or not isinstance(networks_or_slices, Iterable):  # a Sequential would be filmed layer by layer
        raise InvalidInput(
            f"networks_or_slices: expected a list of networks or slices, got one {type(networks_or_slices).__name__}."
        )
    asked = Asked(colour, output, borders, boundary, window, images, samples, labels, limits, None, resolution)
    slices: Iterable[Slice] = _sliced(networks_or_slices, plane)
    if colour in NUMBERS and limits is None:
        slices = list(slices)
        found = [View(one, asked, film=True).limits for one in slices]
        if found:
            limits = min(low for low, _ in found), max(high for _, high in found)
            asked = replace(asked, limits=limits)
    folder = pathlib.Path(folder)
    frames = _frames(slices, folder, asked, titles)
    note, path = "", None
    if film == "mp4" and shutil.which("ffmpeg") is None:
        note = "no ffmpeg was found, which writes MP4: the film is a GIF; install ffmpeg for the other."
        film = "gif"
    if film is not None:
        writers: dict[str, Callable[..., None]] = {"gif": _write_gif, "mp4": _write_mp4}
        path = folder / f"film.{film}"
        with replacing(path) as temporary:
            writers[film](frames, temporary, seconds)
    return Film(tuple(frames), path, limits if colour in NUMBERS else None, note)


def _sliced(given: Iterable[Network | nn.Module | Slice], plane: Plane | None) -> Iterator[Slice]:
    for number, one in enumerate(given):
        if isinstance(one, Slice):
            found = one
        elif plane is None:
            raise InvalidInput(f"plane: expected a transect.Plane to slice networks in, got none for item {number}.")
        else:
            found = slice_network(one, plane)
        plane = found.plane if plane is None else plane
        if not _same(plane, found.plane):
            raise InvalidInput(
                f"networks_or_slices: expected slices of one plane with one domain, but number {number} has another; "
                "slice all networks with the same plane."
            )
        yield found


def _same(one: Plane, other: Plane) -> bool:
    parts = ("origin", "u", "v", "corners")
    return one is other or all(torch.equal(getattr(one, part), getattr(other, part)) for part in parts)


def _frames(
    slices: Iterable[Slice], folder: pathlib.Path, asked: Asked, titles: Sequence[str] | None
) -> list[pathlib.Path]:
    paths: list[pathlib.Path] = []
    like = None
    for number, one in enumerate(slices):
        if titles is not None and number >= len(titles):
            raise InvalidInput(f"titles: expected one for every frame, got {len(titles)}, and there are more frames.")
        regions = f"{one.regions:,} linear region{'' if one.regions == 1 else 's'}"
        heading = f"{number}" if titles is None else titles[number]
        view = View(one, replace(asked, title=f"{heading}: {regions}"), film=True)
        if like is None:
            like = draw(view)
            like.draw_without_rendering()  # lays it out
        paths.append(folder / f"frame-{number:04d}.png")
        with replacing(paths[-1]) as temporary:
            temporary.write_bytes(render(draw(view, like), "png"))
    if not paths:
        raise InvalidInput("networks_or_slices: expected at least one network or slice, got none.")
    if titles is not None and len(titles) != len(paths):
        raise InvalidInput(f"titles: expected one for each of {len(paths)} frames, got {len(titles)}.")
    return paths


def _write_gif(frames: Sequence[pathlib.Path], path: pathlib.Path, seconds: float) -> None:
    pictures = (_with_palette(frame) for frame in frames)  # opened one at a time
    times = [round(1000 * seconds)] * (len(frames) - 1) + [round(1000 * max(seconds, _LAST))]
    first = next(pictures)
    first.save(path, save_all=True, append_images=pictures, duration=times, loop=0, disposal=1)


def _with_palette(frame: pathlib.Path) -> Image.Image:
    with Image.open(frame) as picture:
        return picture.convert("RGB").quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)


def _write_mp4(frames: Sequence[pathlib.Path], path: pathlib.Path, seconds: float) -> None:
    pattern = str(frames[0].parent).replace("%", "%%") + os.sep + "frame-%04d.png"
    before = _FFMPEG.split()
    places = {"{rate}": f"{1 / seconds:.6f}", "{frames}": pattern, "{count}": str(len(frames))}
    command = ["ffmpeg", *(places.get(word, word) for word in before), *_ENCODING.split(), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise RuntimeError(f"ffmpeg could not write {path}: {done.stderr.strip()}; the frames are there.")
