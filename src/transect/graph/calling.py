"""How a user's module is called: which argument moves, what is fixed, what comes in front, which tensor is chosen."""

from __future__ import annotations

import copy
import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from transect.errors import InvalidInput, did_you_mean
from transect.graph.outputs import Choice, Step


def as_module(preprocess: Any) -> nn.Module:
    """A module, a function of a batch, or torchvision's ``Compose`` of them, as a module that can be exported.

    Raises:
        InvalidInput: It cannot be called.
    """
    if isinstance(preprocess, nn.Module) and not _is_torchvision_normalize(preprocess):
        return preprocess
    if _is_torchvision_normalize(preprocess):
        return Standardised(preprocess.mean, preprocess.std)
    if type(preprocess).__name__ == "Compose" and hasattr(preprocess, "transforms"):
        return nn.Sequential(*map(as_module, preprocess.transforms)).eval()
    if callable(preprocess):
        return Applied(preprocess)
    raise InvalidInput(
        "preprocess: expected a module or a function that maps a batch of raw inputs to what the model takes, got "
        f"{type(preprocess).__name__}."
    )


class Standardised(nn.Module):
    """Each channel minus its mean, over its standard deviation.

    It stands for torchvision's first ``Normalize``, which branches on the values of its deviations: ``torch.export``
    cannot follow that.
    """

    def __init__(self, mean: Any, std: Any) -> None:
        super().__init__()
        self.mean, self.std = (
            torch.as_tensor(numbers, dtype=torch.float64).reshape(-1, 1, 1) for numbers in (mean, std)
        )
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """Images ``(N, channels, height, width)``, standardised."""
        return (x - self.mean.to(x)) / self.std.to(x)


class Applied(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self._function = function
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """The function's value at a batch."""
        return self._function(x)


def _is_torchvision_normalize(preprocess: Any) -> bool:
    kind = type(preprocess)
    return (kind.__module__, kind.__name__) == ("torchvision.transforms.transforms", "Normalize")


RowsOfFixed = Literal["as they are", "repeated", "added"]


class PassFailed(BaseException):
    """The module raised ``error``. No Exception, of which torch.export would print what it knows."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


class Called(nn.Module):
    """A module as a function of one batch of inputs that returns one tensor: what is exported.

    The user's module is a child, and stays as it is.

    Args:
        model: The user's module.
        argument: The parameter of its ``forward`` that takes the batch, by name or position; the first that is not
            fixed where None.
        fixed: Values of other parameters, by name or position.
        preprocess: Comes in front (None for nothing).
        output: See :class:`transect.graph.calling.Choice`.

    Raises:
        InvalidInput: An argument does not fit the module.
    """

    def __init__(
        self,
        model: nn.Module,
        argument: int | str | None = None,
        fixed: Mapping[int | str, Any] | None = None,
        preprocess: Any = None,
        output: Step | Sequence[Step] | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.preprocess = None if preprocess is None else as_module(preprocess)
        self.choice = Choice(output, model)
        if not isinstance(fixed, Mapping | None):
            raise InvalidInput(
                'fixed: expected a mapping from parameters of the forward pass to values, such as {"mask": mask} or '
                f"{{1: mask}}, got {type(fixed).__name__}."
            )
        self._signature = _Signature(model)
        self.argument, bound = self._signature.bind(argument, fixed or {})
        self.fixed = _constants(bound, model)
        self.rows: RowsOfFixed = "as they are"
        self.exporting = False  # whether torch.export calls it
        self.coarsest = torch.float64  # dtype with the largest rounding that the module computes in, once it is known

    def forward(self, x: Tensor) -> Tensor:
        """The chosen tensor for a batch of inputs."""
        given = {key: self._with_rows(value, x.shape[0]) for key, value in self.fixed.items()}
        with torch.compiler.set_stance("force_eager"):  # nothing is compiled, neither the module nor a part of it
            given[self.argument] = x if self.preprocess is None else self.preprocess(x)
            positions = [given[key] for key in sorted(key for key in given if isinstance(key, int))]
            names = {key: value for key, value in given.items() if isinstance(key, str)}
            return self.choice.of(lambda: self._tried(*positions, **names))

    def _tried(self, *positions: Any, **names: Any) -> Any:
        try:
            return self.model(*positions, **names)
        except Exception as error:
            if self.exporting:
                raise PassFailed(error) from error
            raise

    def ways(self) -> tuple[RowsOfFixed, ...]:
        """How fixed tensors could have to be given a row for each input; tried in this order."""
        parts: list[Any] = []
        _changed(self.fixed, parts.append)
        return ("as they are", "repeated", "added") if any(isinstance(p, Tensor) for p in parts) else ("as they are",)

    def missing(self) -> list[str]:
        """Parameters of ``forward`` that need a value and have none."""
        given = {self._signature.position(key) for key in (*self.fixed, self.argument)}
        return [name for name in self._signature.needed if self._signature.position(name) not in given]

    def _with_rows(self, value: Any, rows: int) -> Any:
        def expanded(part: Any) -> Any:
            if not isinstance(part, Tensor) or self.rows == "as they are":
                return part
            if self.rows == "added":
                return part.unsqueeze(0).expand(rows, *part.shape)
            return part.expand(rows, *part.shape[1:]) if part.dim() and len(part) == 1 else part

        return _changed(value, expanded)


def _changed(value: Any, change: Callable[[Any], Any]) -> Any:
    """A user's nested values with every entry changed, in containers of the same kinds."""
    if isinstance(value, tuple | list):
        parts = [_changed(part, change) for part in value]
        return value._make(parts) if hasattr(value, "_make") else type(value)(parts)
    is_dataclass = dataclasses.is_dataclass(value) and not isinstance(value, type)
    if not is_dataclass and not isinstance(value, dict):
        return change(value)
    made: Any = copy.copy(value)
    if isinstance(value, dict):
        for key, part in value.items():
            made[key] = _changed(part, change)
    else:
        for field in dataclasses.fields(value):
            object.__setattr__(made, field.name, _changed(getattr(value, field.name), change))
    return made


def own_name(name: str) -> str:
    """The user's own name of a part of the module, which as a child of :class:`Called` begins with a prefix."""
    return "" if name == "model" else name.removeprefix("model.")


_POSITIONAL_ONLY = inspect.Parameter.POSITIONAL_ONLY
_VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class _Signature:
    """The parameters of a module's forward pass; empty where they cannot be read."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        try:
            parameters = dict(inspect.signature(model.forward).parameters)
        except (TypeError, ValueError):  # a forward written in another language
            parameters = {}
        self.kinds = {one.kind for one in parameters.values()}
        self.named = [name for name, one in parameters.items() if one.kind not in _VARIABLE]
        self.positional = [name for name in self.named if parameters[name].kind is not inspect.Parameter.KEYWORD_ONLY]
        self.nameable = [name for name in self.positional if parameters[name].kind is not _POSITIONAL_ONLY]
        self.needed = [name for name in self.named if parameters[name].default is inspect.Parameter.empty]

    def check(self, key: Any, what: str) -> None:
        """Refuse what is not a parameter."""
        unknown = not self.named and not self.kinds
        if isinstance(key, str) and (unknown or key in self.named or inspect.Parameter.VAR_KEYWORD in self.kinds):
            return
        whole = isinstance(key, int) and not isinstance(key, bool) and key >= 0
        if whole and (unknown or key < len(self.positional) or inspect.Parameter.VAR_POSITIONAL in self.kinds):
            return
        raise InvalidInput(
            f"{what}: the forward pass of {type(self.model).__name__} has no parameter {key!r}"
            f"{did_you_mean(key, self.named)}; it has {', '.join(self.named) or 'none that can be named'}."
        )

    def position(self, key: int | str) -> int | str:
        """A position for what has one, else its name."""
        return self.positional.index(key) if key in self.positional else key

    def name(self, key: int | str) -> int | str:
        """A name for what has one, else its position."""
        named = isinstance(key, int) and key < len(self.positional) and self.positional[key] in self.nameable
        return self.positional[key] if named else key  # type: ignore[index]

    def bind(
        self, argument: int | str | None, fixed: Mapping[int | str, Any]
    ) -> tuple[int | str, dict[int | str, Any]]:
        """Keys of the moving and the fixed arguments: all by name where that is possible, else by position."""
        for key in fixed:
            self.check(key, "fixed")
        taken = {self.position(key) for key in fixed}
        if argument is None:
            moving: int | str = next(index for index in range(len(taken) + 1) if index not in taken)
            self.check(moving, "argument")
        else:
            self.check(argument, "argument")
            moving = self.position(argument)
        if moving in taken:
            raise InvalidInput(f"argument: {argument!r} is fixed as well; a parameter either moves or is fixed.")
        if argument is None and not fixed:
            return 0, {}
        by_name = all(isinstance(self.name(key), str) for key in (moving, *fixed))
        key_of = self.name if by_name else self.position
        return key_of(moving), {key_of(key): value for key, value in fixed.items()}


def _constants(fixed: Mapping[int | str, Any], model: nn.Module) -> dict[int | str, Any]:
    """The fixed values; arrays as tensors, and floating tensors in the model's own dtype and on its device."""
    own = next((tensor for tensor in (*model.parameters(), *model.buffers()) if tensor.is_floating_point()), None)

    def converted(part: Any) -> Any:
        if isinstance(part, np.ndarray):
            part = torch.as_tensor(part)
        if not isinstance(part, Tensor):
            return part
        device = part.device if own is None else own.device
        floating = torch.get_default_dtype() if own is None else own.dtype
        return part.detach().to(device, floating if part.is_floating_point() else part.dtype)

    return {key: _changed(value, converted) for key, value in fixed.items()}
