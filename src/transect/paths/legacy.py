"""Circles as the paper's released code makes them: its faults 1 and 2, each by itself or both."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from transect.paths.path import Path


def normalised_repeatedly(anchors: Tensor, normalise: Callable[[Tensor], Tensor]) -> Tensor:
    """Fault 1: all anchors are normalised again for each of them, so that anchor k of K is normalised K - k times.

    Args:
        anchors: Not normalised, ``(K, *input_shape)``.
        normalise: A function of a batch of inputs.

    Returns:
        ``(K, *input_shape)``; with standard deviations below 1 the first anchors are far away from all data.
    """
    anchors = anchors.clone()
    for last in range(len(anchors), 0, -1):
        anchors[:last] = normalise(anchors[:last])
    return anchors


def rolled_closure(paths: Sequence[Path]) -> list[Path]:
    """Fault 2: the last anchor of a path is joined to the first anchor of the next one, that of the last to the first.

    Args:
        paths: Closed paths of K anchors.

    Returns:
        Open paths of K + 1 anchors, and so of K segments, as the closed ones have.
    """
    following = [*paths[1:], *paths[:1]]
    return [Path(torch.cat([path.anchors, after.anchors[:1]])) for path, after in zip(paths, following, strict=True)]
