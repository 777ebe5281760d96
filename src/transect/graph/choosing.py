"""Which tensor is traced: the output, a part of a tuple, dictionary or dataclass, or what a submodule returned."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

from torch import Tensor, nn

from transect.errors import InvalidInput
from transect.graph.node import mapped

Step = int | str
_MOST_NAMED = 12  # choices that an error lists


class Choice:
    """The tensor that ``output=`` asks for.

    Args:
        output: None for the only tensor there is; an index, a key or an attribute of what the model returns; the name
            of a submodule (``"layer3"``, ``"layer3@1"`` for its second call); a sequence of these to go deeper.
        model: The model.

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
        self.call = int(call) if at and call.isdecimal() else 0
        self._only_submodule = bool(at and call.isdecimal())
        self._name = name if self._only_submodule else str(steps[0]) if steps else ""
        modules = dict(model.named_modules())
        self._names = [known for known in modules if known]
        self._submodule = modules.get(self._name) if self._name and isinstance(steps[0], str) else None
        if self._only_submodule and self._submodule is None:
            raise InvalidInput(f"output: the model has no submodule {self._name!r}.{self._similar()}")

    @property
    def label(self) -> str:
        """``['layer3@1']`` or ``['hidden_states'][2]``, for a network's name; empty where nothing was chosen."""
        return "".join(f"[{step!r}]" for step in self.steps)

    @contextmanager
    def watched(self) -> Iterator[list[Any]]:
        """While the model runs: what each call of the submodule returned, copied before it is changed in place."""
        seen: list[Any] = []
        if self._submodule is None:
            yield seen
            return

        def note(module: nn.Module, given: Any, made: Any) -> None:
            seen.append(mapped(made, lambda part: part.clone() if isinstance(part, Tensor) else part))

        hook = self._submodule.register_forward_hook(note)
        try:
            yield seen
        finally:
            hook.remove()

    def of(self, made: Any, seen: list[Any]) -> Tensor:
        """The tensor, from what the model returned and what was seen of the submodule.

        Raises:
            InvalidInput: There is none, or more than one; the message lists what there is.
        """
        steps = self.steps
        if steps and (self._only_submodule or (self._submodule is not None and not _has(made, steps[0]))):
            made, steps = self._seen(seen), steps[1:]
        for step in steps:
            if not _has(made, step):
                raise InvalidInput(f"output: there is no {step!r} in {_described(made)}.{self._similar()}")
            made = _part(made, step)
        found = list(_tensors(made, self.steps))
        if len(found) == 1:
            return found[0][1]
        raise InvalidInput(f"output: {_named(self.steps)} {_described(made)}; {_choices(found)}")

    def _seen(self, seen: list[Any]) -> Any:
        if self.call >= len(seen):
            raise InvalidInput(
                f"output: submodule {self._name!r} is called {len(seen)} time(s) in a forward pass; "
                f"{self._name}@{self.call} stands for call number {self.call + 1}."
            )
        return seen[self.call]

    def _similar(self) -> str:
        found = get_close_matches(self._name, self._names, n=3, cutoff=0.5) if self._name else []
        return f" Submodules with a similar name: {', '.join(found)}." if found else ""


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


def _tensors(made: Any, steps: tuple[Step, ...]) -> Iterator[tuple[tuple[Step, ...], Tensor]]:
    """Floating tensors in nested results, each with the steps that lead to it."""
    if isinstance(made, Tensor):
        if made.is_floating_point():
            yield steps, made
        return
    if isinstance(made, Mapping):
        parts: list[tuple[Step, Any]] = [(str(key), part) for key, part in made.items()]
    elif isinstance(made, tuple | list):
        parts = list(enumerate(made))
    elif dataclasses.is_dataclass(made):
        parts = [(field.name, getattr(made, field.name)) for field in dataclasses.fields(made)]
    else:
        return
    for step, part in parts:
        yield from _tensors(part, (*steps, step))


def _described(made: Any) -> str:
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
