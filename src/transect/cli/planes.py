"""The plane that a command is asked to slice."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from transect.cli.inputs import File, Opened, input_of, normalisation_of
from transect.errors import InvalidInput
from transect.paths import Plane

_RANDOM, _PRINCIPAL = "random", "principal"
_FEWEST, _RADIUS = 3, 0.1  # inputs with principal directions; radius, in lengths of the input


@dataclass(frozen=True)
class Where:
    """Where to slice: through three inputs, or around one.

    Attributes:
        through: Files of three inputs: images, or arrays saved by ``numpy.save``.
        around: File of an input in the middle of a square, in place of them.
        radius: Half the side of the square, in units of the input; by default it reaches the two inputs that the
            square points to, or is a tenth of the length of the input in the middle.
        directions: In which directions the square lies: ``("random",)``; ``("principal", *files)``, the directions in
            which three or more inputs vary most; or the files of two inputs to point to.
        margin: By how much of its side a rectangle around the triangle is larger; 0 for the triangle itself.
        seed: Of random directions.
        mean: Subtracted from images, with values from 0 to 1, one number a channel or one for all.
        std: By what they are divided then.
    """

    through: tuple[File, File, File] | None = None
    around: File | None = None
    radius: float | None = None
    directions: tuple[str, ...] = ()
    margin: float | None = None
    seed: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    @property
    def files(self) -> list[File]:
        """The files that are given."""
        middle = [] if self.around is None else [self.around]
        return [*(self.through or ()), *middle, *self.towards]

    @property
    def towards(self) -> tuple[str, ...]:
        """Files that say the directions."""
        return self.directions[self.directions[:1] in ((_RANDOM,), (_PRINCIPAL,)) :]


def plane_of(where: Where, model: Opened) -> Plane:
    """The plane in the input space of a model; images are resized to its input, and normalised.

    Raises:
        InvalidInput: It is not clear where to slice, or a file is not there or does not fit.
    """
    if (where.through is None) == (where.around is None):
        raise InvalidInput("plane: say where to slice: --through FILE FILE FILE, or --around FILE.")
    normalisation = normalisation_of(where, model)

    def read(file: File) -> Tensor:
        return input_of(file, model.shape, normalisation).double()

    if where.through is not None:
        if where.radius is not None or where.directions or where.seed is not None:
            raise InvalidInput("radius, directions, seed: they are those of the square of --around; leave them out.")
        first, second, third = map(read, where.through)
        return Plane.through(first, second, third, where.margin or 0.0)
    if where.margin is not None:
        raise InvalidInput("margin: it is that of the rectangle of --through; --around has a --radius.")
    assert where.around is not None
    middle, towards = read(where.around), [read(file) for file in where.towards]
    radius = _radius(where, middle, towards) if where.radius is None else where.radius
    kind = where.directions[:1]
    if kind != (_RANDOM,) and where.directions and where.seed is not None:
        raise InvalidInput("seed: it is that of --directions random; leave it out.")
    if kind == (_PRINCIPAL,) and len(towards) >= _FEWEST:
        return Plane.around(middle, radius, principal=torch.stack(towards))
    if kind in ((), (_RANDOM,)) and not towards:
        return Plane.around(middle, radius, seed=where.seed or 0)
    if kind != (_PRINCIPAL,) and kind != (_RANDOM,) and len(towards) == 2:
        return Plane.around(middle, radius, to=towards)
    raise InvalidInput(
        f"directions: expected random, principal and the files of at least {_FEWEST} inputs, or the files of two "
        f"inputs to point to, got {' '.join(where.directions)}."
    )


def _radius(where: Where, middle: Tensor, towards: list[Tensor]) -> float:
    if towards and where.directions[0] != _PRINCIPAL:
        return max(float((other - middle).norm()) for other in towards)
    length = float(middle.norm())
    if length == 0:
        raise InvalidInput(f"radius: {where.around} is zero, and has no length to take a part of: give --radius.")
    return _RADIUS * length
