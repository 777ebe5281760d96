"""How a user's module is called: which argument moves, what is fixed, what comes in front, which tensor is chosen."""

from __future__ import annotations

import copy
import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, fx, nn

from transect.errors import InvalidInput, did_you_mean


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


Step = int | str
_MOST_NAMED = 12  # choices that an error lists
_DEEPEST = 8  # containers in containers that are looked into


class PassEnded(BaseException):
    """The chosen tensor is recorded. No Exception, since modules of users catch those."""


class Choice:
    """The tensor that ``output=`` asks for.

    Args:
        output: None for the only tensor there is; an index, a key or an attribute of what the model returns; the name
            of a submodule (``"layer3"``, ``"layer3@1"`` for its second call); a sequence of these to go deeper.
        model: The model.

    Attributes:
        submodule: The submodule of that name, if there is one.
        may_end: Whether a forward pass may end, with or without an error, once the tensor of the submodule is recorded.

    Raises:
        InvalidInput: It is none of these.
    """

    def __init__(self, output: Step | Sequence[Step] | None, model: nn.Module) -> None:
        several = isinstance(output, Sequence) and not isinstance(output, str)
        steps: tuple[Any, ...] = tuple(output) if several else () if output is None else (output,)  # type: ignore[arg-type]
        if not all(isinstance(step, int | str) and not isinstance(step, bool) for step in steps):
            raise InvalidInput(
                'output: expected an index, a key, an attribute or the name of a submodule, such as 0, "logits" or '
                f'"layer3@1", or a sequence of them, got {output!r}.'
            )
        self.steps = steps
        name, at, call = str(steps[0] if steps else "").rpartition("@")
        called = bool(at and call.isdecimal())
        self.call = int(call) if called else 0
        self._name = name if called else str(steps[0]) if steps else ""
        modules = {_plain(known): module for known, module in model.named_modules(remove_duplicate=False)}
        self._names = [known for known in modules if known]
        self.submodule = modules.get(_plain(self._name)) if self._name and isinstance(steps[0], str) else None
        self.may_end = False
        self._only_submodule, self._is_key = called, False  # or a key of the same name, as a whole pass shows
        if called and self.submodule is None:
            raise InvalidInput(f"output: the model has no submodule {self._name!r}{self._similar()}.")

    @property
    def label(self) -> str:
        """``['layer3@1']`` or ``['hidden_states'][2]``, for a network's name; empty where nothing was chosen."""
        return "".join(f"[{step!r}]" for step in self.steps)

    def of(self, forward: Callable[[], Any]) -> Tensor:
        """The tensor, from a forward pass.

        Raises:
            InvalidInput: There is none, or more than one; the message lists what there is.
        """
        if self.submodule is None or self._is_key:
            return self._tensor(forward(), self.steps)
        recorded: list[Tensor | InvalidInput] = []
        modules = _modules_being_traced()
        inside = dict(modules)
        hook = self.submodule.register_forward_hook(lambda module, given, made: self._record(made, recorded))
        try:
            made = forward()
        except PassEnded:
            made = None
        except Exception:
            if not self.may_end or len(recorded) <= self.call:
                raise
            made = None
        finally:
            hook.remove()
        modules.clear()  # torch.export does not notice that modules were left by an exception
        modules.update(inside)
        self._is_key = not self._only_submodule and _has(made, self.steps[0])
        if self._is_key:
            return self._tensor(made, self.steps)
        return self._recorded(recorded)

    def _record(self, made: Any, recorded: list[Tensor | InvalidInput]) -> None:
        """Copy what the submodule returned before anything can change it in place."""
        if len(recorded) <= self.call:
            try:
                recorded.append(self._tensor(made, self.steps[1:]).clone())
            except InvalidInput as error:  # which counts only if the submodule is meant, and this call of it
                recorded.append(error)
            if self.may_end and len(recorded) > self.call:
                raise PassEnded

    def _recorded(self, recorded: list[Tensor | InvalidInput]) -> Tensor:
        if self.call >= len(recorded):
            raise InvalidInput(
                f"output: submodule {self._name!r} is called {len(recorded)} time(s) in a forward pass; "
                f"{self._name}@{self.call} stands for call number {self.call + 1}. (Calls of its forward() itself "
                "are not seen.)"
            )
        found = recorded[self.call]
        if isinstance(found, InvalidInput):
            raise found
        return found

    def _tensor(self, made: Any, steps: tuple[Step, ...]) -> Tensor:
        for step in steps:
            if not _has(made, step):
                raise InvalidInput(f"output: there is no {step!r} in {_described(made)}{self._similar()}.")
            made = _part(made, step)
        found = list(_tensors(made, self.steps))
        if len(found) == 1:
            return found[0][1]
        raise InvalidInput(f"output: {_named(self.steps)} {_described(made)}; {_choices(found)}")

    def _similar(self) -> str:
        return did_you_mean(self._name, self._names)


def _modules_being_traced() -> dict[str, Any]:
    """The modules that the tracer of torch.export is inside of, by name; empty where nothing is exported."""
    frame = inspect.currentframe()
    while frame is not None:
        tracer = frame.f_locals.get("self")
        if isinstance(tracer, fx.Tracer):
            return tracer.module_stack
        frame = frame.f_back
    return {}


def _plain(name: str) -> str:
    """A submodule's name without what compiling a module around it puts in between."""
    return ".".join(part for part in name.split(".") if part != "_orig_mod")


def _has(made: Any, step: Step) -> bool:
    if isinstance(made, Tensor):
        return False
    if isinstance(step, int):
        return isinstance(made, Sequence) and -len(made) <= step < len(made)
    return (isinstance(made, Mapping) and step in made) or hasattr(made, step.removeprefix("."))


def _part(made: Any, step: Step) -> Any:
    if isinstance(step, str) and not (isinstance(made, Mapping) and step in made):
        return getattr(made, step.removeprefix("."))
    return made[step]


def _tensors(made: Any, steps: tuple[Step, ...], deepest: int = _DEEPEST) -> Iterator[tuple[tuple[Step, ...], Tensor]]:
    """Floating tensors in nested results, each with the steps that lead to it."""
    if isinstance(made, Tensor):
        if made.is_floating_point():
            yield steps, made
    elif deepest:
        for step, part in _parts(made):
            yield from _tensors(part, (*steps, step), deepest - 1)


def _parts(made: Any) -> list[tuple[Step, Any]]:
    """What a container or an object of any other kind holds."""
    if isinstance(made, Mapping):
        return [(str(key), part) for key, part in made.items()]
    if isinstance(made, tuple | list):
        return list(enumerate(made))
    slots = [name for kind in type(made).__mro__ for name in _slots(kind)]
    names = [*(field.name for field in dataclasses.fields(made))] if dataclasses.is_dataclass(made) else slots
    names += [] if isinstance(made, nn.Module) else list(getattr(made, "__dict__", ()))
    return [(name, getattr(made, name)) for name in dict.fromkeys(names) if hasattr(made, name)]


def _slots(kind: type) -> tuple[str, ...]:
    slots = vars(kind).get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)


def _described(made: Any) -> str:
    if isinstance(made, Tensor):
        return f"a tensor of {made.dtype}"
    if isinstance(made, Mapping):
        return f"a {type(made).__name__} with the keys {', '.join(map(repr, made))}"
    if isinstance(made, tuple | list):
        return f"a {type(made).__name__} of {len(made)}"
    return f"a {type(made).__name__}"


def _named(steps: tuple[Step, ...]) -> str:
    return f"output={_shown(steps)} is" if steps else "the model returns"


def _shown(steps: tuple[Step, ...]) -> str:
    return repr(steps[0] if len(steps) == 1 else steps)


def _choices(found: list[tuple[tuple[Step, ...], Tensor]]) -> str:
    if not found:
        return "expected a tensor of floating-point numbers, or something that holds one."
    named = [f"output={_shown(steps)}" for steps, _ in found[:_MOST_NAMED]]
    more = f", ... ({len(found)} in all)" if len(found) > _MOST_NAMED else ""
    return f"choose one tensor of it with capture(model, example, ...): {', '.join(named)}{more}."


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

    def bind(self, argument: int | str | None, fixed: Mapping[int | str, Any]) -> tuple[int | str, dict]:
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
