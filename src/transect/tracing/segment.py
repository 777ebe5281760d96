"""``keep="all"``: the knots, outputs and flips of every segment, gathered from the runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from transect.engine.pieces import PieceLog
from transect.engine.rows import Flips, Run
from transect.errors import InvalidInput, TraceTooLarge
from transect.patterns import Layout, Pattern, pattern_after, patterns_along
from transect.support.text import size_in_memory


@dataclass(frozen=True, eq=False)
class Segment:
    """The function restricted to one segment: affine between its knots. Tensors lie on the CPU.

    Attributes:
        t: Knots, sorted and distinct, with 0 and 1, ``(K,)`` float64.
        outputs: Outputs at the knots, ``(K, outputs)``.
        t_error: Stated bound on the error of each knot's position, ``(K,)`` float64.
        flips: Pattern changes; ``flips.knot`` indexes ``t``.
        start_pattern: Piece of every unit just after t = 0, one ``(units,)`` uint8 tensor a bending operation.
        layout: Names, units and pieces of these operations.
    """

    t: Tensor
    outputs: Tensor
    t_error: Tensor
    flips: Flips
    start_pattern: tuple[Tensor, ...]
    layout: Layout

    def pattern(self, index: int) -> Pattern:
        """The pattern in a region, rebuilt from the first and the flips.

        Args:
            index: Its number: it lies between knots ``index`` and ``index + 1``; from the end where negative.

        Raises:
            InvalidInput: There is no such region.
        """
        regions = len(self.t) - 1
        if not isinstance(index, int) or not -regions <= index < regions:
            raise InvalidInput(f"index: expected a region below {regions}, got {index!r}.")
        return pattern_after(self.layout, self.start_pattern, self.flips, index % regions)

    def patterns(self) -> Iterator[Pattern]:
        """The patterns in all regions, in order of t, one after the other."""
        return patterns_along(self.layout, self.start_pattern, self.flips, len(self.t))

    def __repr__(self) -> str:
        return f"Segment({len(self.t) - 1} regions, {len(self.flips)} flips, {self.outputs.shape[1]} outputs)"


class Keeper:
    """Gathers runs until their pack is finished.

    Args:
        most_bytes: What may be held over all packs; more is refused before it is allocated.
        layout: Layout of the network's patterns.
    """

    def __init__(self, most_bytes: int, layout: Layout) -> None:
        self._most, self._held, self._layout = most_bytes, 0, layout
        self._parts: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
        self._flips: list[Tensor] = []
        self._rows = 0
        self.segments: list[Segment] = []

    def see(self, run: Run) -> None:
        """Take the rows of a run that no earlier run has shown, and its flips.

        Raises:
            TraceTooLarge: They would exceed the limit.
        """
        known = 2 if run.fresh else 0
        self._check_room(run, known)
        fresh = slice(known, None)
        self._parts.append(
            (run.segment[fresh].cpu(), run.t[fresh].cpu(), run.t_error[fresh].cpu(), run.outputs[fresh].cpu())
        )
        assert run.flips is not None
        f = run.flips
        row = f.knot + (self._rows - known)
        self._flips.append(torch.stack([row, f.operation, f.unit, f.before, f.after], 1).cpu())
        self._rows += len(run.t) - known

    def _check_room(self, run: Run, known: int) -> None:
        rows = len(run.t) - known
        self._held += rows * (24 + run.outputs.shape[1] * run.outputs.element_size())
        self._held += 40 * len(run.flips or ())
        if self._held > self._most:
            raise TraceTooLarge(
                f'keep="all" would hold more than {size_in_memory(self._most)} of knots, outputs and flips (reached '
                f'in segment {int(run.segment[-1])}). Use keep="measures" (exact, in bounded memory), choose some '
                "outputs=[...], read the runs with transect.stream(...), or raise max_bytes."
            )

    def finish_pack(self, first: int, log: PieceLog, segments: int) -> None:
        """Turn what was gathered into one :class:`Segment` for each segment of the pack."""
        segment, t, error, outputs = (torch.cat(parts) for parts in zip(*self._parts, strict=True))
        flips = torch.cat(self._flips)
        flips = flips[torch.argsort(flips[:, 0], stable=True)]
        borders = torch.searchsorted(segment, torch.arange(first, first + segments + 1))
        flip_borders = torch.searchsorted(flips[:, 0].contiguous(), borders).tolist()
        for local, (low, high) in enumerate(zip(borders.tolist()[:-1], borders.tolist()[1:], strict=True)):
            rows = flips[flip_borders[local] : flip_borders[local + 1]]
            found = Flips(rows[:, 0] - low, *(rows[:, column].clone() for column in range(1, 5)))
            pattern = tuple(pieces[local].cpu().clone() for pieces in log.start)
            part = slice(low, high)
            kept = (t[part].clone(), outputs[part].clone(), error[part].clone())
            self.segments.append(Segment(*kept, found, pattern, self._layout))
        self._parts, self._flips, self._rows = [], [], 0
