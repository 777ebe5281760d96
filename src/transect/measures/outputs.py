"""From one number an output to one number."""

from __future__ import annotations

from torch import Tensor

from transect.errors import check_one_of


def across_outputs(values: Tensor, how: str = "l2") -> Tensor:
    """One number a segment.

    Args:
        values: A measure of every output, ``(S, C)``.
        how: ``"l2"``, the norm over the outputs (for ``[[1, 0], [0, 1]]`` summed over segments: 2); ``"mean"``, or
            ``"max"``.

    Raises:
        InvalidInput: ``how`` is something else.
    """
    check_one_of("how", how, ("l2", "mean", "max"))
    return values.norm(dim=1) if how == "l2" else values.mean(1) if how == "mean" else values.amax(1)
