"""A path: a polyline in a network's input space."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from transect.errors import InvalidInput
from transect.support.types import TensorLike


class Path:
    """A polyline through anchors; neighbouring anchors, and for a closed path the last and the first, are joined.

    Args:
        anchors: Anchors, ``(A, *input_shape)`` with A >= 2: anything ``torch.as_tensor`` takes, of floating dtype
            (lists of Python numbers are float64).
        closed: Whether the last anchor is joined to the first.

    Raises:
        InvalidInput: Fewer than two anchors, integers, NaN or infinite values, or a segment of length zero.

    Example:
        >>> square = Path([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]], closed=True)
        >>> len(square), square.length, square.evaluate(1.5).tolist()
        (4, 4.0, [1.0, 0.5])
    """

    def __init__(self, anchors: TensorLike, closed: bool = False) -> None:
        self._anchors = _checked(anchors)
        self._closed = bool(closed)
        self._lengths = norms((self.ends.double() - self.starts.double()).flatten(1))
        zero = (self._lengths == 0).nonzero().flatten().tolist()
        if zero:
            following = (zero[0] + 1) % len(self._anchors)
            raise InvalidInput(
                f"anchors: segment {zero[0]} has length zero: anchors {zero[0]} and {following} are the same point. "
                "Leave one of them out (the last of a closed path need not repeat the first)."
            )

    @property
    def anchors(self) -> Tensor:
        """The anchors, ``(A, *input_shape)``."""
        return self._anchors

    @property
    def closed(self) -> bool:
        """Whether the last anchor is joined to the first."""
        return self._closed

    @property
    def segments(self) -> int:
        """Number of segments, ``S``: A when closed, else A - 1."""
        return len(self._anchors) - (not self._closed)

    @property
    def starts(self) -> Tensor:
        """Start of every segment, ``(S, *input_shape)``."""
        return self._anchors[: self.segments]

    @property
    def ends(self) -> Tensor:
        """End of every segment, ``(S, *input_shape)``."""
        return self._anchors.roll(-1, 0) if self._closed else self._anchors[1:]

    @property
    def lengths(self) -> Tensor:
        """Euclidean length of every segment in the units of the input, ``(S,)`` float64."""
        return self._lengths

    @property
    def length(self) -> float:
        """Length of the whole path."""
        return float(self._lengths.sum())

    def evaluate(self, t: TensorLike) -> Tensor:
        """Points of the path.

        Args:
            t: Positions in [0, S]: the integer part picks the segment, the fraction the place on it. A number, or
                ``(N,)``.

        Returns:
            One point ``(*input_shape)`` for a number, else ``(N, *input_shape)``.

        Raises:
            InvalidInput: A position lies outside [0, S].
        """
        position = torch.as_tensor(t, dtype=torch.float64, device=self._anchors.device)
        if position.numel() and not bool(((position >= 0) & (position <= self.segments)).all()):
            raise InvalidInput(f"t: expected positions in [0, {self.segments}] (units of segments), got {t!r}.")
        flat = position.reshape(-1)
        segment = flat.long().clamp(max=self.segments - 1)
        weight = (flat - segment).to(self._anchors.dtype).reshape(-1, *(1,) * (self._anchors.dim() - 1))
        points = torch.lerp(self.starts[segment], self.ends[segment], weight)
        return points[0] if position.dim() == 0 else points

    def between(self, start: float, stop: float) -> Path:
        """The open path from position ``start`` to position ``stop``, in units of segments.

        Raises:
            InvalidInput: Not ``0 <= start < stop <= S``.
        """
        if not 0 <= start < stop <= self.segments:  # also where one of them is NaN
            raise InvalidInput(f"between: expected 0 <= start < stop <= {self.segments}, got ({start}, {stop}).")
        inner = [k for k in range(int(start) + 1, self.segments + 1) if k < stop]
        return Path(self.evaluate([start, *inner, stop]))

    def __len__(self) -> int:
        return self.segments

    def __repr__(self) -> str:
        kind = "closed" if self._closed else "open"
        shape = "x".join(map(str, self._anchors.shape[1:]))
        return f"Path({len(self._anchors)} anchors of shape {shape}, {kind}, length {self.length:.4g})"


def _checked(anchors: TensorLike) -> Tensor:
    tensor = floats("anchors", anchors, "(A, *input_shape)")
    if tensor.dim() < 2 or len(tensor) < 2:
        raise InvalidInput(
            f"anchors: expected at least two anchors, shape (A, *input_shape) with A >= 2, got {tuple(tensor.shape)}."
        )
    if tensor[0].numel() == 0:
        raise InvalidInput(f"anchors: expected inputs that are not empty, got shape {tuple(tensor.shape)}.")
    finite = torch.isfinite(tensor.flatten(1)).all(1)
    if not bool(finite.all()):
        bad = (~finite).nonzero().flatten().tolist()
        raise InvalidInput(f"anchors: expected finite values, but anchor {bad[0]} contains NaN or infinity.")
    return tensor.detach().clone(memory_format=torch.contiguous_format)  # networks may hold views of their input


def floats(argument: str, given: TensorLike, shape: str) -> Tensor:
    """What was given as a dense tensor of floating-point numbers, whose storage it may share.

    Args:
        argument: Its name.
        given: Anything ``torch.as_tensor`` takes; lists of Python numbers are float64.
        shape: The shape that is expected, in words; it is not checked here.

    Raises:
        InvalidInput: It is nothing of the kind, sparse, or of an integer dtype.
    """
    try:
        tensor = torch.as_tensor(given)
        if tensor.is_floating_point() and not hasattr(given, "dtype"):  # numbers of Python are float64
            tensor = torch.as_tensor(given, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidInput(
            f"{argument}: expected a tensor or array of shape {shape}, got {type(given).__name__} ({error})."
        ) from error
    if tensor.layout != torch.strided:
        raise InvalidInput(
            f"{argument}: expected a dense tensor, got layout {tensor.layout}; use {argument}.to_dense()."
        )
    if not tensor.is_floating_point():
        raise InvalidInput(
            f"{argument}: expected floating-point numbers, got {tensor.dtype}; convert them, for images usually to "
            "[0, 1] and then with the network's normalisation."
        )
    return tensor.detach()


def norms(differences: Tensor) -> Tensor:
    """l2 norm of every row; squares neither overflow nor vanish."""
    largest = differences.abs().amax(1)
    scale = torch.where(largest > 0, largest, 1.0)
    return (differences / scale.unsqueeze(1)).norm(dim=1) * scale


def line(start: TensorLike, end: Any) -> Path:
    """The segment from one input to another.

    Args:
        start: One input, ``(*input_shape)``.
        end: Another of the same shape; of two dtypes the more precise is kept.

    Raises:
        InvalidInput: The shapes differ, the inputs are equal, or not finite floating-point numbers.
    """
    start, end = torch.as_tensor(start), torch.as_tensor(end)
    if start.shape != end.shape:
        raise InvalidInput(f"line: expected two inputs of one shape, got {tuple(start.shape)} and {tuple(end.shape)}.")
    dtype = torch.promote_types(start.dtype, end.dtype)
    return Path(torch.stack([start.to(dtype), end.to(dtype)]))


def lines(starts: TensorLike, ends: TensorLike) -> list[Path]:
    """The segments from each input of one batch to the same one of another, ``(N, *input_shape)`` each.

    Raises:
        InvalidInput: As for :func:`line`, or batches of different size.
    """
    starts, ends = torch.as_tensor(starts), torch.as_tensor(ends)
    if len(starts) != len(ends):
        raise InvalidInput(f"lines: expected two batches of one size, got {len(starts)} and {len(ends)} inputs.")
    return [line(start, end) for start, end in zip(starts, ends, strict=True)]
