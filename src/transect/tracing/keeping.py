"""``keep="all"``: the knots, outputs and flips of every segment, gathered from the runs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from transect.errors import TraceTooLarge
from transect.regions.pieces import PieceLog
from transect.regions.run import Flips, Run


@dataclass(frozen=True, eq=False)
class Segment:
    """The function restricted to one segment: affine between its knots. Tensors lie on the CPU.

    Attributes:
        t: Knots, sorted and distinct, with 0 and 1, ``(K,)`` float64.
        outputs: Outputs at the knots, ``(K, outputs)``.
        t_error: Stated bound on the error of each knot's position, ``(K,)`` float64.
        flips: Pattern changes; ``flips.knot`` indexes ``t``.
        start_pattern: Piece of every unit just after t = 0, one ``(units,)`` uint8 tensor a bending operation.
    """

    t: Tensor
    outputs: Tensor
    t_error: Tensor
    flips: Flips
    start_pattern: tuple[Tensor, ...]

    def __repr__(self) -> str:
        return f"Segment({len(self.t) - 1} regions, {len(self.flips)} flips, {self.outputs.shape[1]} outputs)"


class Keeper:
    """Gathers runs until their pack is finished.

    Args:
        most_bytes: What may be held over all packs; more is refused before it is allocated.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most, self._held = most_bytes, 0
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
                f'keep="all" would hold more than {self._most / 2**20:,.0f} MiB of knots, outputs and flips (reached '
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
            self.segments.append(Segment(t[part].clone(), outputs[part].clone(), error[part].clone(), found, pattern))
        self._parts, self._flips, self._rows = [], [], 0
