"""``slice``: exact restriction of a network to a domain of a plane, and every measure of it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from transect.engine.plane.engine import PlaneEngine
from transect.engine.rounding import CERTAIN, Spread
from transect.errors import UnresolvedWarning, check_one_of
from transect.networks.network import Network
from transect.paths import Plane
from transect.slicing.arguments import as_sliceable
from transect.slicing.decision import Decision
from transect.slicing.forecasting import refuse_what_will_not_fit
from transect.slicing.joining import SEAM, Joined, Keeper
from transect.slicing.measures import Areas, Borders, Counts, Deviation, Slopes
from transect.slicing.patches import Frame, Patch, engine_over, patches_of, rounding_over
from transect.slicing.result import Edges, Polygons, Slice, Undecided
from transect.slicing.verification import Comparison, EveryPolygon, RandomPoints
from transect.support.precision import full_precision
from transect.tracing.arguments import check_whole, numbers_alive, output_indices

MAX_BYTES = 2 * 2**30  # what keep="all" may hold before it is refused


class _Sees(Protocol):
    def update(self, patch: Patch) -> None:
        """Take a patch into account."""


def slice(
    network: Network | nn.Module,
    plane: Plane,
    *,
    keep: Literal["all", "measures"] = "all",
    outputs: Sequence[int] | None = None,
    dtype: torch.dtype | None = None,
    verify: bool | Literal["all"] = True,
    budget: int | None = None,
    max_bytes: int = MAX_BYTES,
    seed: int = 0,
) -> Slice:
    """Find every linear region in a domain of a plane, exactly: the convex polygons that the network cuts it into.

    Args:
        network: A captured network, or a module (captured on the fly, on its own device).
        plane: The plane, with the domain.
        keep: ``"all"`` keeps polygons, edges, what bends there and outputs at the vertices; ``"measures"`` only the
            measures and the decision boundary, in memory that does not grow with the number of regions.
        outputs: Indices of the outputs to keep and to measure; all by default.
        dtype: Working dtype where a module is captured on the fly; float64 by default.
        verify: Compare the result with the model at random points of random polygons. ``"all"`` compares the middle of
            every polygon as well, and at every edge what bends there.
        budget: Most numbers that one group of polygons keeps alive, as for :func:`transect.trace`.
        max_bytes: Most bytes ``keep="all"`` may hold.
        seed: Seed of the points at which the slice is verified.

    Raises:
        InvalidInput: An argument is not usable; the message says what was expected.
        UnsupportedModel: The module cannot be sliced exactly.
        TraceTooLarge: ``keep="all"`` would hold more than ``max_bytes``; where a look ahead is sure of it, this is said
            soon after the beginning.
        VerificationError: Slice and model disagree.

    Example:
        >>> import torch, transect
        >>> model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU(), torch.nn.Linear(2, 1))
        >>> with torch.no_grad():  # relu(x) + relu(y)
        ...     for p, v in zip(model.parameters(), ([[1.0, 0.0], [0.0, 1.0]], [0.0, 0.0], [[1.0, 1.0]], [0.0])):
        ...         _ = p.copy_(torch.tensor(v))
        >>> square = transect.Plane([0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [(-1, -1), (1, -1), (1, 1), (-1, 1)])
        >>> found = transect.slice(model, square)
        >>> found.regions, found.area, found.border_length
        (4, 4.0, 4.0)
    """
    check_one_of("keep", keep, ("all", "measures"))
    check_one_of("verify", verify, (True, False, "all"))
    check_whole(1, max_bytes=max_bytes)
    check_whole(0, seed=seed)
    network = as_sliceable(network, plane, dtype)
    budget = numbers_alive(budget, network)
    chosen = output_indices(outputs, network)
    frame = Frame.of(plane)
    with torch.no_grad(), full_precision():
        spread, places = rounding_over(network, frame)
        engine = engine_over(network, frame, spread, places, budget)
        work = _Work(network, frame, chosen, spread)
        width = network.outputs if chosen is None else len(chosen)
        ahead = partial(refuse_what_will_not_fit, network, plane, width, budget, max_bytes)
        keeper = Keeper(max_bytes, ahead) if keep == "all" else None
        sees: list[_Sees] = [*work.measures, *work.verifiers(verify, seed, budget)]
        sees += [] if keeper is None else [keeper]
        for patch in patches_of(engine, frame, chosen):
            for one in sees:
                one.update(patch)
        joined = None if keeper is None else keeper.joined()
    found = work.result(engine, joined)
    _warn(found)
    return found


def stream_slice(
    network: Network | nn.Module,
    plane: Plane,
    *,
    outputs: Sequence[int] | None = None,
    dtype: torch.dtype | None = None,
    budget: int | None = None,
) -> Iterator[Patch]:
    """Hand out the polygons of a slice patch by patch, in bounded memory: for what does not fit in it.

    Args:
        network: A captured network, or a module.
        plane: The plane, with the domain.
        outputs: Indices of the outputs wanted; all by default.
        dtype: Working dtype where a module is captured on the fly.
        budget: Most numbers that one group of polygons keeps alive.

    Yields:
        Patches of neighbouring polygons.
    """
    network = as_sliceable(network, plane, dtype)
    budget = numbers_alive(budget, network)
    chosen = output_indices(outputs, network)
    frame = Frame.of(plane)
    patches: Iterator[Patch] | None = None
    while True:
        with torch.no_grad(), full_precision():  # not around the yield: it would change what the caller has set
            if patches is None:
                engine = engine_over(network, frame, *rounding_over(network, frame), budget)
                patches = patches_of(engine, frame, chosen)
            patch = next(patches, None)
        if patch is None:
            break
        yield patch


class _Work:
    """Everything that looks at the patches of one slice."""

    def __init__(self, network: Network, frame: Frame, chosen: Tensor | None, spread: Spread) -> None:
        self._network, self._frame, self._chosen, self._spread = network, frame, chosen, spread
        self._comparison = Comparison(network, frame, chosen, spread)
        deviation = spread.outputs if chosen is None else spread.outputs[chosen]
        self.counts, self.areas = Counts(), Areas(frame.plane.area)
        self.borders, self.slopes = Borders(len(network.operations)), Slopes()
        self.decision = Decision(frame, len(deviation), deviation, CERTAIN)
        self.deviation = self._deviation() if len(frame.corners) == 3 else None
        self._verified = False

    @property
    def measures(self) -> list[_Sees]:
        """The measures."""
        found: list[_Sees] = [self.counts, self.areas, self.borders, self.slopes, self.decision]
        return found if self.deviation is None else [*found, self.deviation]

    def verifiers(self, verify: bool | Literal["all"], seed: int, budget: int) -> list[_Sees]:
        """What compares the slice with the model."""
        self._verified = bool(verify)
        found: list[_Sees] = [RandomPoints(self._comparison, seed)] if verify else []
        if verify == "all":
            rows = max(1, budget // self._network.program.row_elements)
            found.append(EveryPolygon(self._comparison, rows))
        return found

    def _deviation(self) -> Deviation:
        frame, network = self._frame, self._network
        corners = (
            network(frame.sheet(network).points(torch.from_numpy(frame.corners).to(network.device))).double().cpu()
        )
        corners = corners if self._chosen is None else corners[:, self._chosen.cpu()]
        eps = float(torch.finfo(network.dtype).eps)
        rounding = 32 * max(eps * float(corners.abs().max()), self._comparison.deviation)
        return Deviation(frame, corners.numpy(), rounding)

    def result(self, engine: PlaneEngine, joined: Joined | None) -> Slice:
        """The slice."""
        network, counts, areas = self._network, self.counts, self.areas
        kept = None if joined is None else _kept(joined, self._frame)
        return Slice(
            plane=self._frame.plane,
            operations=network.operations,
            units=network.units,
            outputs=tuple(range(network.outputs) if self._chosen is None else self._chosen.tolist()),
            dtype=network.dtype,
            regions=counts.regions,
            borders=counts.borders,
            vertices=counts.vertices if joined is None else len(joined.xy),
            area=areas.sum,
            smallest=areas.least,
            largest=areas.most,
            area_counts=torch.from_numpy(areas.counts),
            border_length=self.borders.total,
            border_length_by_operation=torch.from_numpy(self.borders.by_operation),
            mean_slope=self.slopes.mean_times_area / areas.sum,
            largest_slope=self.slopes.most,
            class_areas=torch.from_numpy(self.decision.areas),
            boundary=self.decision.boundary(),
            deviation=None if self.deviation is None else torch.from_numpy(self.deviation.absolute),
            deviation_rounding=0.0 if self.deviation is None else self.deviation.rounding * areas.sum,
            deviation_norm=None if self.deviation is None else (self.deviation.norm_low, self.deviation.norm_high),
            unresolved=self._unresolved(engine, joined),
            verification=self._comparison.found if self._verified else None,
            kept=kept,
        )

    def _unresolved(self, engine: PlaneEngine, joined: Joined | None) -> tuple[Undecided, ...]:
        centre, names = self._frame.centre, self._network.operations
        found = [
            Undecided((x, y), names[entry.operation], unit, entry.reason)
            for entry in engine.unresolved
            for (x, y), unit in zip((entry.xy + centre).tolist(), entry.unit.tolist(), strict=True)
        ]
        if joined is not None:
            found += [Undecided((x, y), "", -1, SEAM) for x, y in (joined.seams + centre).tolist()]
        return tuple(dict.fromkeys(found))


def _kept(joined: Joined, frame: Frame) -> tuple[Polygons, Edges]:
    from transect.engine.plane.mesh import Bends, Mesh

    blank = joined.corner * 0 - 1
    mesh = Mesh(joined.xy, joined.error, joined.start, joined.corner, blank, blank, blank)
    outputs = torch.from_numpy(joined.outputs)
    patch = Patch(frame, mesh, Bends.empty(), Bends.empty(), outputs)
    from transect.slicing.measures import slope_norms

    polygons = Polygons(
        patch.xy,
        torch.from_numpy(joined.error),
        outputs,
        *(torch.from_numpy(part) for part in (joined.start, joined.corner, patch.areas, slope_norms(patch))),
    )
    ends = (joined.low, joined.high, joined.left, joined.right)
    bends = (joined.bends.start, joined.bends.operation, joined.bends.unit)
    return polygons, Edges(*(torch.from_numpy(part) for part in (*ends, *bends)))


def _warn(found: Slice) -> None:
    if found.unresolved:
        reasons = sorted({entry.reason for entry in found.unresolved})
        warnings.warn(
            f"{len(found.unresolved)} unit(s) bend closer than rounding can tell apart ({'; '.join(reasons)}): their "
            "order or number is not certain. See slice.unresolved.",
            UnresolvedWarning,
            stacklevel=3,  # the line that called transect.slice
        )
