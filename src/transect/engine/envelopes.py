"""A bending operation that takes the largest number of every window, at one run of rows.

Between two rows every number of a window is affine, so the largest is a convex polygon: the upper envelope. Where the
same number wins at both ends it wins all along. Only the other windows are looked at: from the winner just right of
the left end the envelope is followed from meeting point to meeting point, however many lie between the two rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from transect.engine.bending import Bending, insert, insert_knots, joined_flips, merge, not_told_apart
from transect.engine.crossings import T_ULPS, Crossings, Doubt, Snaps, in_order
from transect.engine.rounding import Tolerance
from transect.engine.rows import Knots
from transect.errors import at_most
from transect.rules import Envelope

_TIED = "two members of a window within rounding of one another over a whole interval"


def bend_windows(envelope: Envelope, values: Tensor, knots: Knots, tolerance: Tolerance) -> Bending:
    """Find where the winners of the windows change; ``values`` is ``(R, *shape)``."""
    envelope = replace(envelope, windows=envelope.windows.to(values.device))
    winner = envelope.winners(values)
    rows, channels = winner.shape[:2]
    winner, noise = _settle_noise(envelope, envelope.arrange(values), winner, knots, tolerance)
    row, unit = ((winner[1:] != winner[:-1]) & knots.joined().unsqueeze(1)).nonzero(as_tuple=True)
    contests, walked = _decided(_contests(envelope, values, knots, tolerance, row, unit), knots, tolerance)
    pieces = EnvelopePieces(envelope.windows, channels, winner, row, unit, walked.first, walked.last)
    order = in_order(walked.met.row, walked.met.weight)
    met = walked.met.only(order)
    new = merge(met)
    grid, moved, place = insert(rows, new.row, new.weight)
    final = insert_knots(knots, grid, place, tolerance.stated * new.error, _snaps(contests, walked, tolerance))
    at_new = torch.stack([place[new.group], met.unit, walked.before[order], walked.after[order]], 1)
    flips = torch.cat([at_new, pieces.flips_at_rows(knots.inner(), moved)])
    flips = joined_flips(flips[torch.argsort(flips[:, 0], stable=True)])
    tied = _tied(contests, walked, knots, tolerance)
    doubts = tuple(Doubt(moved[d.row], d.unit, d.reason) for d in (*noise, *tied, *new.doubts))
    none = torch.empty(0, dtype=torch.int64, device=row.device)
    return Bending(grid, final, none, none, none, flips, moved, pieces, doubts)


def _settle_noise(
    envelope: Envelope, arranged: Tensor, winner: Tensor, knots: Knots, tolerance: Tolerance
) -> tuple[Tensor, list[Doubt]]:
    """Name the windows that one number wins at both ends of an interval, but by rounding only, over another.

    So they are where the two are exactly equal, but truly move apart. Of the two the first shall win. Returns the
    position of the winner at every row, ``(R, units)``.
    """
    rows, suspects = len(arranged), tolerance.suspects().reshape(arranged.shape[1:])
    largest, reach, any_suspect = arranged.gather(2, winner), 2 * float(tolerance.merge.max()), bool(suspects.any())
    shaped, winner, doubts = winner, winner.reshape(rows, -1), []
    for place in _places(envelope.windows, arranged, largest - reach, shaped):
        at = place.clamp_min(0)
        values = arranged[:, :, at]
        beaten = values < largest
        if any_suspect:
            beaten |= suspects[:, at] & (place != shaped)
        near = ((values >= largest - reach) & beaten & (place >= 0)).reshape(rows, -1)
        both = near[1:] & near[:-1] & (winner[1:] == winner[:-1]) & knots.joined().unsqueeze(1)
        if not bool(both.any()):
            continue
        row, unit = both.nonzero(as_tuple=True)
        other = place[unit % len(place)]
        tied = _within_rounding(arranged, knots, tolerance, row, unit // len(place), winner[row, unit], other)
        row, unit, other = row[tied], unit[tied], other[tied]
        doubts += [Doubt(row, unit, _TIED)] if len(row) else []
        for end in (row, row + 1):
            winner[end, unit] = torch.minimum(winner[end, unit], other)
    return winner, doubts


def _within_rounding(
    arranged: Tensor,
    knots: Knots,
    tolerance: Tolerance,
    row: Tensor,
    channel: Tensor,
    position: Tensor,
    other: Tensor,
) -> Tensor:
    """Whether two numbers of a channel differ by rounding only along intervals; if not at all, whether they move."""
    numbers = [channel * arranged.shape[2] + place for place in (position, other)]
    flat = arranged.flatten(1)
    gaps = [(flat[end, numbers[0]] - flat[end, numbers[1]]).double() for end in (row, row + 1)]
    equal = (gaps[0] == 0) | (gaps[1] == 0)
    tied = torch.ones_like(equal)
    near = ((gaps[0] != 0) | (gaps[1] != 0)).nonzero().squeeze(1)
    for end, gap in zip((row[near], row[near] + 1), gaps, strict=True):
        bound = sum(tolerance.nearby(knots.places(end), number[near]) for number in numbers)
        tied[near] &= gap[near] <= bound
    asked = (tied & equal).nonzero().squeeze(1)
    if len(asked):
        tied[asked] = _move_apart(knots, tolerance, row[asked], numbers[0][asked], numbers[1][asked])
    return tied


def _move_apart(knots: Knots, tolerance: Tolerance, row: Tensor, number: Tensor, other: Tensor) -> Tensor:
    """Whether numbers that are exactly equal at both ends of intervals truly are not."""
    return tolerance.moves(knots.middles(row), number, other)


def _places(windows: Tensor, arranged: Tensor, low: Tensor, winner: Tensor) -> Iterator[Tensor]:
    """For the places of the windows, the positions there, ``(windows,)``, -1 where there is none.

    A single window of a channel, as for a maximum over channels, can have very many: then only those near the largest.
    """
    if len(windows) == 1:
        near = (arranged >= low).scatter_(2, winner, False).flatten(0, 1).any(0)
        windows = windows[:, near[windows[0].clamp_min(0)]]
    return iter(windows.unbind(1))


@dataclass(frozen=True)
class _Contests:
    """Windows that another number wins at the right end of an interval than at the left.

    Attributes:
        row: Row at the left of the interval, ``(n,)``.
        unit: The window, ``(n,)``.
        number: Index of each place's number among those the operation compares, ``(n, places)``.
        left: Values at the left end, minus infinity where the window has no such place, ``(n, places)`` float64.
        right: Values at the right end.
        left_bound: Rounding of the values at the left end, ``(n, places)``.
        right_bound: That at the right end.
        length: Length of the interval in t, ``(n,)``.
    """

    row: Tensor
    unit: Tensor
    number: Tensor
    left: Tensor
    right: Tensor
    left_bound: Tensor
    right_bound: Tensor
    length: Tensor


def _contests(
    envelope: Envelope, values: Tensor, knots: Knots, tolerance: Tolerance, row: Tensor, unit: Tensor
) -> _Contests:
    flat, windows = envelope.flat(values), envelope.windows
    positions = envelope.arrange(values[:1]).shape[2]
    channel, window = unit // len(windows), unit % len(windows)
    place = windows[window]
    number = channel.unsqueeze(1) * positions + place.clamp_min(0)
    absent = place < 0
    left, right = (flat[at.unsqueeze(1), number].double().masked_fill(absent, -torch.inf) for at in (row, row + 1))
    bound = tolerance.merge[number].masked_fill(absent, 0)
    return _Contests(row, unit, number, left, right, bound, bound, knots.t.diff()[row])


@dataclass(frozen=True)
class _Walked:
    """Who wins where, as places of the window.

    Attributes:
        first: Winner just right of the left end, ``(n,)``.
        last: Winner just left of the right end, ``(n,)``.
        met: Where one winner gives way to the next, ``m`` of them.
        before: The winner before each, ``(m,)``.
        after: The winner after it, ``(m,)``.
        contest: Index of the contest, ``(m,)``.
    """

    first: Tensor
    last: Tensor
    met: Crossings
    before: Tensor
    after: Tensor
    contest: Tensor


def _walk(c: _Contests) -> _Walked:
    """Follow the envelopes of all windows together, one meeting point at a time."""
    going = torch.arange(len(c.row), device=c.row.device)
    first = now = _ahead(c, going, _within(c.left, c.left_bound))
    reached, found = torch.zeros_like(c.length), [(going[:0], c.length[:0], c.length[:0], now[:0], now[:0])]
    # Whatever overtakes ends higher than what it overtakes: every place of a window wins once at most.
    for _ in at_most(c.number.shape[1] + 1, "winners of one window"):
        if len(going) == 0:
            break
        meeting, error = _meetings(c, going, now[going])
        at, nearest = meeting.min(1)
        on = at < 1 - T_ULPS / c.length[going]  # else the present winner stays to the right end
        going, meeting, error, nearest = going[on], meeting[on], error[on], nearest[on].unsqueeze(1)
        miss = error.gather(1, nearest)
        following = _ahead(c, going, meeting <= meeting.gather(1, nearest) + error + miss)
        at = torch.maximum(at[on], reached[going])
        inside = at > T_ULPS / c.length[going]  # else it is the winner from the left end on
        found.append((going[inside], at[inside], miss.squeeze(1)[inside], now[going][inside], following[inside]))
        first = first.scatter(0, going[~inside], following[~inside])
        now, reached = now.scatter(0, going, following), reached.scatter(0, going, at)
    contest, at, miss, before, after = (torch.cat(parts) for parts in zip(*found, strict=True))
    nothing = torch.zeros_like(at)
    met = Crossings(nothing, c.row[contest], c.unit[contest], at, nothing, miss, nothing > 0)
    return _Walked(first, now, met, before, after, contest)


def _within(values: Tensor, bound: Tensor) -> Tensor:
    """Members that rounding cannot tell from the largest of their window."""
    largest, index = values.max(1, keepdim=True)
    return values >= largest - bound - bound.gather(1, index)


def _ahead(c: _Contests, contest: Tensor, among: Tensor) -> Tensor:
    """Of the numbers ``among`` which all are largest at a point, the first of those that are largest ahead of it."""
    right, bound = c.right[contest].masked_fill(~among, -torch.inf), c.right_bound[contest]
    return _within(right, bound).to(torch.uint8).argmax(1)


def _meetings(c: _Contests, contest: Tensor, now: Tensor) -> tuple[Tensor, Tensor]:
    """Where each number overtakes the present winner (infinity: never), and the error of that, ``(n, places)``."""
    left, right, left_bound, right_bound = (x[contest] for x in (c.left, c.right, c.left_bound, c.right_bound))
    own = now.unsqueeze(1)
    behind, ahead = left.gather(1, own) - left, right - right.gather(1, own)
    bounds = left_bound + left_bound.gather(1, own), right_bound + right_bound.gather(1, own)
    overtakes = (ahead > bounds[1]) & (behind > bounds[0])
    weight = torch.where(overtakes, behind / (behind + ahead), torch.inf)
    bound = torch.lerp(*bounds, weight.clamp(0, 1))
    error = torch.maximum(bound / (behind + ahead), T_ULPS / c.length[contest].unsqueeze(1))
    return weight, torch.where(overtakes, error, 0.0)


def _decided(contests: _Contests, knots: Knots, tolerance: Tolerance) -> tuple[_Contests, _Walked]:
    """The walk; where rounding may decide something its size is worked out from the values nearby."""
    walked = _walk(contests)
    unsure = _unsure(contests, walked)
    if not bool(unsure.any()):
        return contests, walked
    row, number = contests.row[unsure].unsqueeze(1).expand(-1, contests.number.shape[1]), contests.number[unsure]
    bounds = []
    for bound, at in ((contests.left_bound, row), (contests.right_bound, row + 1)):
        nearby = tolerance.nearby(knots.places(at.flatten()), number.flatten())
        bound = bound.clone()
        bound[unsure] = nearby.reshape(number.shape).masked_fill(contests.left[unsure].isinf(), 0)
        bounds.append(bound)
    contests = replace(contests, left_bound=bounds[0], right_bound=bounds[1])
    return contests, _walk(contests)


def _unsure(c: _Contests, walked: _Walked) -> Tensor:
    """Contests with different numbers within rounding of the largest at an end, or meetings within rounding."""
    unsure = torch.zeros_like(c.row, dtype=torch.bool)
    for values, bound in ((c.left, c.left_bound), (c.right, c.right_bound)):
        unsure |= (_within(values, bound) & (values != values.amax(1, keepdim=True))).any(1)
    order = in_order(walked.met.row, walked.met.weight)
    close = not_told_apart(walked.met.only(order))
    unsure[walked.contest[order][close]] = True
    return unsure


def _snaps(c: _Contests, walked: _Walked, tolerance: Tolerance) -> list[Snaps]:
    """How far from a row the winner beside it may truly begin to win, where it is not the largest at the row itself."""
    found = []
    ends = (
        (c.row, c.left, c.right, c.left_bound, walked.first),
        (c.row + 1, c.right, c.left, c.right_bound, walked.last),
    )
    for row, here, there, bound, winner in ends:
        largest, index = here.max(1, keepdim=True)
        own = winner.unsqueeze(1)
        gap = (largest - here.gather(1, own)).squeeze(1)
        snapped = gap > 0
        turn = gap + (there.gather(1, own) - there.gather(1, index)).squeeze(1)
        rounding = tolerance.stated * (bound.gather(1, own) + bound.gather(1, index)).squeeze(1)
        error = ((gap + rounding) / turn * c.length).nan_to_num(torch.inf).minimum(c.length)
        found.append(Snaps(row[snapped], torch.where(turn > 0, error, c.length)[snapped]))
    return found


def _tied(c: _Contests, walked: _Walked, knots: Knots, tolerance: Tolerance) -> list[Doubt]:
    """Windows of which a winner and another member differ by rounding only at both ends of the interval.

    So they do where the two are exactly equal there, but truly move apart.
    """
    tied = torch.zeros_like(c.row, dtype=torch.bool)
    for winner in (walked.first, walked.last):
        own = winner.unsqueeze(1)
        near, differ = torch.ones_like(c.left, dtype=torch.bool), torch.zeros_like(c.left, dtype=torch.bool)
        for values, bound in ((c.left, c.left_bound), (c.right, c.right_bound)):
            gap = (values - values.gather(1, own)).abs()
            near &= gap <= bound + bound.gather(1, own)
            differ |= gap > 0
        tied |= (near & differ).any(1)
        equal = (near & ~differ).scatter(1, own, False) & tolerance.suspects()[c.number]
        contest, place = equal.nonzero(as_tuple=True)
        if len(contest):
            numbers = c.number[contest, winner[contest]], c.number[contest, place]
            tied[contest[_move_apart(knots, tolerance, c.row[contest], *numbers)]] = True
    return [Doubt(c.row[tied], c.unit[tied], _TIED)] if bool(tied.any()) else []


@dataclass(frozen=True)
class EnvelopePieces:
    """Pieces of every window on the intervals between the rows: the place of the number that wins.

    Attributes:
        windows: Positions of the places of every window, ``(windows, places)``.
        channels: Number of channels.
        winner: Position of the largest number at every row, ``(R, units)``; it wins on both sides but for the contests.
        row: Row at the left of every contested interval, ``(n,)``.
        unit: The window, ``(n,)``.
        first: Place of the first winner on it, ``(n,)``.
        last: Place of the last winner, ``(n,)``.
    """

    windows: Tensor
    channels: int
    winner: Tensor
    row: Tensor
    unit: Tensor
    first: Tensor
    last: Tensor

    def beside(self, rows: Tensor, *, after: bool) -> Tensor:
        """See :class:`~transect.engine.pieces.IntervalPieces`."""
        winner = self.winner[rows].unflatten(1, (self.channels, -1))
        found = winning_places(self.windows, winner).flatten(1)
        at = torch.full((len(self.winner),), -1, dtype=torch.int64, device=rows.device)
        at[rows if after else rows - 1] = torch.arange(len(rows), device=rows.device)
        at = at[self.row]
        here = at >= 0
        found[at[here], self.unit[here]] = (self.first if after else self.last)[here].to(found.dtype)
        return found

    def at_border(self, *, last: bool) -> Tensor:
        """See :class:`~transect.engine.pieces.IntervalPieces`."""
        row = torch.tensor([len(self.winner) - 1 if last else 0], device=self.winner.device)
        return self.beside(row, after=not last)[0]

    def flips_at_rows(self, inner: Tensor, moved: Tensor) -> Tensor:
        """Windows whose winner changes at a row that was there before, ``(n, 4)``: final row, unit, before, after."""
        units = self.winner.shape[1]
        left, right = (
            (self.row + 1) * units + self.unit,
            self.row * units + self.unit,
        )  # rows right and left of contests
        key = torch.cat([left, right]).unique()
        row, unit = key // units, key % units
        window, position = self.windows[unit % len(self.windows)], self.winner[row, unit].unsqueeze(1)
        before = (window == position).to(torch.uint8).argmax(1)
        after = before.clone()
        before[torch.searchsorted(key, left)] = self.last
        after[torch.searchsorted(key, right)] = self.first
        flips = (before != after) & inner[row]
        return torch.stack([moved[row], unit, before, after], 1)[flips]


def winning_places(windows: Tensor, position: Tensor) -> Tensor:
    """Place within its window of every winning position, ``(..., windows)``; uint8, or int32 for over 256 places."""
    count = windows.shape[1]
    found = torch.zeros(position.shape, dtype=torch.uint8 if count <= 256 else torch.int32, device=position.device)
    for place in reversed(range(count)):
        found.masked_fill_(position == windows[:, place], place)
    return found
