"""Values that are affine all over a plane."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Sheet:
    """``centre + a * u + b * v`` at plane coordinates (a, b), one value for every row of them.

    Attributes:
        centre: Value at (0, 0), one row.
        u: Change along the first coordinate, one row.
        v: Change along the second, one row.
    """

    centre: Tensor
    u: Tensor
    v: Tensor

    def points(self, places: Tensor) -> Tensor:
        """Values at coordinates ``(n, 2)``; a new tensor."""
        a, b = (self._weight(places, index) for index in (0, 1))
        return torch.addcmul(torch.addcmul(self.centre, self.u, a), self.v, b)

    def between(self, places: Tensor) -> Tensor:
        """Values at the coordinates, at the centre, and at what the first coordinate alone gives."""
        middle = self.centre.expand(len(places), *self.centre.shape[1:])
        return torch.cat([self.points(places), middle, torch.addcmul(middle, self.u, self._weight(places, 0))])

    def along(self, places: Tensor) -> Tensor:
        """Derivatives in one direction of no consequence, the same everywhere."""
        direction = 0.6180339887498949 * self.u + 0.7861513777574233 * self.v
        return direction.expand(len(places), *direction.shape[1:])

    def _weight(self, places: Tensor, index: int) -> Tensor:
        return places[:, index].to(self.centre.dtype).reshape(-1, *(1,) * (self.centre.dim() - 1))
