"""The measures that a trace and an estimate have in common, under one name each."""

from __future__ import annotations

import torch
from torch import Tensor

from transect.errors import InvalidInput
from transect.measures.base import across_outputs


class PathMeasures:
    """Measures of ``S`` segments and ``C`` outputs; a subclass says where their values are.

    Attributes:
        length: Lengths of the segments in the units of the input, ``(S,)`` float64.
    """

    length: Tensor

    def _measure(self, name: str) -> Tensor:
        """Values of a measure; called by the methods below, so that a warning points at whoever called these."""
        raise NotImplementedError

    def absolute_deviation(self) -> Tensor:
        """L times the integral of ``|f - a|`` over each segment, a affine through its two ends, ``(S, C)``."""
        return self._measure("absolute_deviation")

    def mean_deviation(self) -> Tensor:
        """Absolute deviation per unit of length, ``(S, C)``."""
        return self._measure("absolute_deviation") / self.length.unsqueeze(1)

    def normalised_deviation(self, std: Tensor | float, centred: bool = False) -> Tensor:
        """Mean deviation in units of the outputs' standard deviation over a data set, ``(S, C)``.

        Args:
            std: Standard deviation of each output, ``(C,)``, or one number for all; that of the centred outputs where
                they are centred.
            centred: Subtract the mean over the outputs of the result from each output first: a softmax ignores it.

        Raises:
            InvalidInput: It is not positive.
        """
        scale = torch.as_tensor(std, dtype=torch.float64)
        if not bool((scale > 0).all()):
            raise InvalidInput(f"std: expected positive standard deviations, got {scale.tolist()}.")
        deviation = self._measure("centred_deviation" if centred else "absolute_deviation")
        return deviation / self.length.unsqueeze(1) / scale

    def centred_deviation(self) -> Tensor:
        """Absolute deviation of the outputs less their mean over the outputs of the result, ``(S, C)``."""
        return self._measure("centred_deviation")

    def deviation_norm(self) -> Tensor:
        """L times the integral of the l2 norm of ``f - a`` over the outputs, ``(S,)``."""
        return self._measure("deviation_norm")

    def total_variation(self) -> Tensor:
        """Sum over the regions of the absolute change of each output, ``(S, C)``."""
        return self._measure("total_variation")

    def excess_variation(self) -> Tensor:
        """Total variation beyond that of an affine function with the same ends, ``(S, C)``."""
        return self._measure("excess_variation")

    def arc_length(self) -> Tensor:
        """Length of the curve the outputs describe, ``(S,)``."""
        return self._measure("arc_length")

    def measure(self, name: str) -> Tensor:
        """A measure by its name, the listed ones and those of your own: ``(S, C)`` or ``(S,)``.

        Raises:
            InvalidInput: There is no such measure.
        """
        return self._measure(name)

    def across_outputs(self, values: Tensor, how: str = "l2") -> Tensor:
        """One number a segment from one an output: the ``"l2"`` norm, the ``"mean"`` or the ``"max"``, ``(S,)``."""
        return across_outputs(values, how)

    def per_path(self, values: Tensor) -> Tensor:
        """Sum over the segments of the path."""
        return values.sum(0)

    def per_length(self, values: Tensor) -> Tensor:
        """Sum over the segments per unit of the path's length: the mean deviation of a path, or its density."""
        return values.sum(0) / self.length.sum()
