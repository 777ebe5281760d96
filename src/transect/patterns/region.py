"""``Region``: the inputs that share an activation pattern, and the affine function that the network is on them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from transect.engine.program import Program
from transect.errors import InvalidInput, RegionTooLarge
from transect.patterns.inequalities import Inequalities, bounds_of
from transect.patterns.linear import Differences, linear_part, on_pattern
from transect.patterns.pattern import Layout, Pattern
from transect.patterns.points import InputSpace, pattern_at
from transect.support.indices import whole_numbers
from transect.support.precision import full_precision
from transect.support.text import size_in_memory
from transect.support.types import TensorLike

MAX_BYTES = 2 * 2**30  # what a matrix may take before it is refused
CHUNK_BYTES = 64 * 2**20  # what each of many may take


class AffineMap(NamedTuple):
    """``jacobian @ x + offset``, ``C`` outputs, on the CPU.

    Attributes:
        jacobian: ``(C, *input_shape)``.
        offset: What the function would be worth at the input zero, ``(C,)``.
    """

    jacobian: Tensor
    offset: Tensor


@dataclass(frozen=True, eq=False)
class Region:
    """A linear region of a network: all inputs with one activation pattern.

    It is the inside of a convex polyhedron; ``network.region`` makes it from a point in it or from its pattern. Where
    no input has the pattern, as may be for one read at a border, it is empty, and its affine function belongs nowhere.

    Attributes:
        pattern: The pattern.

    Example:
        >>> import torch, transect
        >>> model = torch.nn.Sequential(torch.nn.Linear(2, 2, bias=False), torch.nn.ReLU())
        >>> _ = model[0].weight.data.copy_(torch.tensor([[1.0, 0.0], [1.0, -1.0]]))
        >>> region = transect.capture(model, torch.zeros(2)).region([2.0, 3.0])  # x > 0 and y > x
        >>> region.affine_map().jacobian.tolist(), region.contains([[1.0, 5.0], [5.0, 1.0]]).tolist()
        ([[1.0, 0.0], [0.0, 0.0]], [True, False])
        >>> region.inequalities().matrix.tolist()
        [[-1.0, 0.0], [1.0, -1.0]]
    """

    pattern: Pattern
    _program: Program = field(repr=False)
    _space: InputSpace = field(repr=False)

    def contains(self, x: TensorLike) -> Tensor:
        """Whether points have its pattern, ``()`` or ``(N,)`` bool; a unit at its threshold is not above it.

        Raises:
            InvalidInput: They are neither one input nor a batch of inputs.
        """
        return pattern_at(self._program, self._space, x).equal(self.pattern)

    def __call__(self, x: TensorLike) -> Tensor:
        """The region's affine function, inside and outside of it, ``(N, outputs)``, in the network's dtype and device.

        Raises:
            InvalidInput: ``x`` is neither one input nor a batch of inputs.
        """
        with torch.no_grad():
            rows = self._space.rows(x)[0]
            return self._fixed.evaluate(rows).reshape(len(rows), -1)

    def slope(self, direction: TensorLike) -> Tensor:
        """Change of every output along a direction, for all of its length: the Jacobian times it, in one pass.

        Args:
            direction: One vector of the shape of an input, or a batch of them.

        Returns:
            ``(outputs,)`` or ``(N, outputs)``, in the network's dtype and on its device.

        Raises:
            InvalidInput: It has another shape.
        """
        rows, batch = self._space.rows(direction, "direction")
        with torch.no_grad():
            found = linear_part(self._fixed).evaluate(rows).reshape(len(rows), -1)
        return found if batch else found[0]

    def affine_map(self, outputs: Sequence[int] | None = None, *, max_bytes: int = MAX_BYTES) -> AffineMap:
        """Input Jacobian and offset of the affine function.

        Args:
            outputs: Indices of the outputs wanted; all by default.
            max_bytes: Most bytes the Jacobian may take.

        Raises:
            InvalidInput: There is no such output.
            RegionTooLarge: The Jacobian would take more.
        """
        offset = self(self._space.zeros(1))[0].cpu()
        chosen = torch.arange(len(offset)) if outputs is None else whole_numbers(outputs, len(offset), "outputs")
        width, item = math.prod(self._space.shape), self._space.dtype.itemsize
        if len(chosen) * width * item > max_bytes:
            raise RegionTooLarge(
                f"affine_map: a Jacobian of {len(chosen):,} outputs by {width:,} inputs takes more than "
                f"{size_in_memory(max_bytes)}. Choose some outputs=[...], ask for region.slope(direction), or raise "
                "max_bytes."
            )
        jacobian = torch.empty((len(chosen), width), dtype=self._space.dtype)
        Differences.outputs(chosen.to(self._space.device)).gradient(linear_part(self._fixed), self._space, jacobian)
        return AffineMap(jacobian.reshape(-1, *self._space.shape), offset[chosen])

    def inequalities(
        self,
        operations: Sequence[str | int] | str | int | None = None,
        units: Sequence[int] | None = None,
        *,
        max_bytes: int = MAX_BYTES,
    ) -> Inequalities:
        """The inequalities that bound the region, ordered by operation and unit.

        One for a unit of a ReLU, two where its piece lies between two thresholds, and for a window one for every
        number that does not win.

        Args:
            operations: Names or indices of the bending operations wanted; all by default.
            units: Indices of the units wanted, where one operation is chosen; all by default.
            max_bytes: Most bytes the matrix may take.

        Raises:
            InvalidInput: There is no such operation or unit.
            RegionTooLarge: The matrix would take more.
        """
        bounds = bounds_of(self._program, self._fixed, self.pattern, self._space, operations, units)
        count = sum(len(found) for _, _, found in bounds.parts)
        if count * bounds.row_bytes > max_bytes:
            raise RegionTooLarge(
                f"inequalities: {count:,} of them over {bounds.width:,} inputs take more than "
                f"{size_in_memory(max_bytes)}. Choose operations=[...] or units=[...] of one, go through them with "
                "region.iter_inequalities(...), or raise max_bytes."
            )
        return bounds.together()

    def iter_inequalities(
        self,
        operations: Sequence[str | int] | str | int | None = None,
        units: Sequence[int] | None = None,
        *,
        chunk_bytes: int = CHUNK_BYTES,
    ) -> Iterator[Inequalities]:
        """The same inequalities part by part, in bounded memory.

        Args:
            operations: As for :meth:`inequalities`.
            units: As for :meth:`inequalities`.
            chunk_bytes: Most bytes the matrix of a part may take (it has a row in any case).

        Raises:
            InvalidInput: There is no such operation or unit.
        """
        bounds = bounds_of(self._program, self._fixed, self.pattern, self._space, operations, units)
        return bounds.one_by_one(max(1, chunk_bytes // bounds.row_bytes))

    @cached_property
    def _fixed(self) -> Program:
        with torch.inference_mode(False), torch.no_grad(), full_precision():
            return on_pattern(self._program, self.pattern, self._space)


def region_at(program: Program, space: InputSpace, at: Pattern | TensorLike) -> Region:
    """The region of one input, or of the pattern of one point.

    Raises:
        InvalidInput: It is neither, or the pattern of another network.
    """
    if not isinstance(at, Pattern):
        at = pattern_at(program, space, at)
    at.layout.check_same(Layout.of(program))
    if at.bits.dim() != 1:
        raise InvalidInput(f"at: expected one input, or the pattern of one point, got {at!r}; choose one of them.")
    return Region(at, program, space)
