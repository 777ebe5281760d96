"""What the rows of a table are of: paths, or planes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TypeAlias

import pyarrow as pa
import torch
from torch import Tensor

from transect.errors import InvalidInput, NotEstimated
from transect.measuring.columns import OF_SCALE, SCHEMA
from transect.measuring.planes import PLANE_OF_SCALE, PLANE_SCHEMA
from transect.measuring.prepared import Options
from transect.paths import Path, Plane

Place: TypeAlias = Path | Plane


@dataclass(frozen=True)
class Kind:
    """What the rows of a table are of.

    Attributes:
        noun: One of them: ``"path"`` or ``"plane"``. Its column counts them, that with ``_name`` after it has names.
        schema: The columns.
        of_scale: Those that are twice as large where the outputs are.
        scales: Those that say how large the outputs are: over a data set, and over some inputs of each.
    """

    noun: str
    schema: pa.Schema
    of_scale: Collection[str]
    scales: tuple[str, str]

    @property
    def numbers(self) -> tuple[str, ...]:
        """Columns of numbers that can be compared between models."""
        numbers = (pa.int64(), pa.float64())
        return tuple(field.name for field in self.schema if field.type in numbers and field.name != self.noun)

    def settings(self) -> dict[str, str]:
        """What says so in the settings of a folder; nothing for paths, which folders of earlier versions hold."""
        return {} if self is PATHS else {"rows_of": f"{self.noun}s"}

    def check(self, options: Options) -> None:
        """Refuse what there is not of planes.

        Raises:
            InvalidInput: There are no estimates of planes.
            NotEstimated: There are no measures of one's own of planes.
        """
        if self is PATHS:
            return
        if options.method != "exact":
            raise InvalidInput(
                'method: expected "exact" for planes, which are sliced and not sampled; leave method out, or estimate '
                "along paths in the plane: plane.random_chords(100, seed=0)."
            )
        if options.measures:
            raise NotEstimated("measures: measures of your own are of traces; slices of planes have the listed ones.")


PATHS = Kind("path", SCHEMA, OF_SCALE, ("output_std", "anchor_std"))
PLANES = Kind("plane", PLANE_SCHEMA, PLANE_OF_SCALE, ("output_std", "corner_std"))


def kind_of(place: Place) -> Kind:
    """The kind of a path or plane."""
    return PLANES if isinstance(place, Plane) else PATHS


def kind_of_table(table: pa.Table) -> Kind:
    """The kind of a table of rows."""
    return PLANES if PLANES.noun in table.column_names else PATHS


def inputs_of(place: Place) -> Tensor:
    """The anchors of a path, or the inputs at the corners of a plane's domain, ``(A, *input_shape)``."""
    return place.at(place.corners) if isinstance(place, Plane) else place.anchors


def parts_of(place: Place) -> tuple[Tensor | bool, ...]:
    """What a path or plane is made of, on the CPU."""
    if isinstance(place, Plane):
        return place.origin, place.u, place.v, place.corners, place.anchors
    return place.anchors.cpu(), place.closed


def made_of(parts: tuple[Tensor | bool, ...]) -> Place:
    """The path or plane that is made of such parts."""
    if len(parts) == 2:
        anchors, closed = parts
        assert isinstance(anchors, Tensor)
        return Path(anchors, bool(closed))
    origin, u, v, corners, anchors = (torch.as_tensor(part) for part in parts)
    return Plane(origin, u, v, corners, anchors)
