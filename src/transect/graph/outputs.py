"""Which tensor is traced: the output, a part of what holds it, or what a submodule returned."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor, fx, nn

from transect.errors import InvalidInput, did_you_mean

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
