"""``output=``: a part of what the model returns, or what a submodule returned; compared with the user's own hooks."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import transect
from transect.errors import InvalidInput

Pair = namedtuple("Pair", ["mean", "spread"])


@dataclass
class Output:
    logits: Tensor
    loss: Tensor | None = None
    hidden_states: tuple[Tensor, ...] = ()


class Several(nn.Module):
    """Returns its three layers in the structure asked for; one submodule is called twice, another changes in place."""

    def __init__(self, structure: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.inner, self.last = nn.Linear(3, 4), nn.Sequential(nn.Linear(4, 4), nn.ReLU()), nn.Linear(4, 2)
        self.structure = structure

    def forward(self, x: Tensor) -> Any:
        h = self.first(x)
        kept = h.clone()
        torch.relu_(h)
        g = self.inner(self.inner(h))
        return self.structure(kept, g, self.last(g))


STRUCTURES: dict[str, tuple[Any, Any, int]] = {
    "tuple": (lambda a, b, c: (a, b, c), 1, 1),
    "from the end": (lambda a, b, c: (a, b, c), -1, 2),
    "list": (lambda a, b, c: [a, b, c], 2, 2),
    "dictionary": (lambda a, b, c: {"aux": a, "out": c}, "out", 2),
    "ordered dictionary": (lambda a, b, c: OrderedDict(out=c, aux=a), "aux", 0),
    "dataclass": (lambda a, b, c: Output(c, None, (a, b)), "logits", 2),
    "written as an attribute": (lambda a, b, c: Output(c, None, (a, b)), ".logits", 2),
    "deeper": (lambda a, b, c: Output(c, None, (a, b)), ("hidden_states", 1), 1),
    "named tuple": (lambda a, b, c: Pair(a, {"x": [b, c]}), ("spread", "x", 0), 1),
    "key that is also a submodule": (lambda a, b, c: {"inner": a, "out": c}, "inner", 0),
    "the only tensor there is": (lambda a, b, c: {"logits": c, "loss": None, "labels": a.argmax(1)}, None, 2),
}


@pytest.mark.parametrize("what", STRUCTURES)
def test_a_part_of_the_output_is_traced(what: str):
    structure, output, position = STRUCTURES[what]
    model, x = Several(structure).double(), torch.randn(5, 3, dtype=torch.float64)
    network = transect.capture(model, x, output=output)
    torch.testing.assert_close(network(x), Several(lambda *parts: parts[position]).double()(x), rtol=1e-13, atol=1e-13)
    assert transect.trace(network, transect.Path(x)).verification.points > 0


def _recorded(model: nn.Module, name: str, x: Tensor) -> list[Tensor]:
    """What each call of a submodule returned, by a hook of the test's own."""
    made: list[Tensor] = []
    hook = model.get_submodule(name).register_forward_hook(lambda module, given, result: made.append(result.clone()))
    with torch.no_grad():
        model(x)
    hook.remove()
    return made


@pytest.mark.parametrize(
    ("output", "name", "call"),
    [("first", "first", 0), ("inner", "inner", 0), ("inner@0", "inner", 0), ("inner@1", "inner", 1),
     ("inner.0@1", "inner.0", 1), ("last", "last", 0)],
)  # fmt: skip
def test_hidden_representations_are_traced(output: str, name: str, call: int):
    """``first`` is changed in place right after it was returned: what was returned is meant."""
    model, x = Several(lambda a, b, c: c).double(), torch.randn(5, 3, dtype=torch.float64)
    network = transect.capture(model, x, output=output)
    torch.testing.assert_close(network(x), _recorded(model, name, x)[call], rtol=1e-13, atol=1e-13)
    assert [len(module._forward_hooks) for module in model.modules()] == [0] * len(list(model.modules()))


def test_what_comes_after_the_chosen_tensor_may_bend_smoothly():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Softmax(1), nn.Linear(4, 2))
    network = transect.capture(model, torch.zeros(3), output="1")
    assert (network.outputs, network.units) == (4, (4,))


def test_a_submodule_that_returns_several_tensors():
    class Split(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x[:, :1], torch.relu(x[:, 1:])

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.split = Split()

        def forward(self, x: Tensor) -> Tensor:
            one, two = self.split(x)
            return one + two

    x = torch.randn(4, 3)
    torch.testing.assert_close(transect.capture(Model(), x, output=("split", 1))(x).float(), torch.relu(x[:, 1:]))
    with pytest.raises(InvalidInput, match=r"output='split' is a tuple of 2.*output=\('split', 0\)"):
        transect.capture(Model(), x, output="split")


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (None, r"returns a dict with the keys 'aux', 'out'; choose one.*output='aux', output='out'\."),
        ("logits", r"there is no 'logits' in a dict with the keys 'aux', 'out'"),
        (2, r"there is no 2 in a dict"),
        ("iner", r"there is no 'iner' in a dict.*did you mean inner"),
        ("iner@1", r"no submodule 'iner' \(did you mean inner"),
        ("inner@2", r"'inner' is called 2 time\(s\).*call number 3"),
        (("out", 0), r"there is no 0 in a tensor of"),
        (True, r"expected an index, a key, an attribute or the name of a submodule.*got True"),
        (1.5, r"got 1\.5"),
        (("out", None), r"got \('out', None\)"),
    ],
)
def test_a_choice_that_cannot_be_made_lists_what_there_is(output: Any, message: str):
    with pytest.raises(InvalidInput, match=message):
        transect.capture(Several(lambda a, b, c: {"aux": a, "out": c}), torch.zeros(3), output=output)


def test_a_submodule_that_is_never_called():
    model = Several(lambda a, b, c: c)
    model.unused = nn.Linear(2, 2)
    with pytest.raises(InvalidInput, match=r"'unused' is called 0 time\(s\)"):
        transect.capture(model, torch.zeros(3), output="unused")


@dataclass(frozen=True)
class Frozen:
    hidden: Tensor


class Slots:
    __slots__ = ("hidden",)

    def __init__(self, hidden: Tensor) -> None:
        self.hidden = hidden


class Property:
    def __init__(self, hidden: Tensor) -> None:
        self._kept = hidden

    @property
    def hidden(self) -> Tensor:
        return self._kept


class Attributes(OrderedDict):
    """As the outputs of transformers: keys that are attributes too."""

    def __getattr__(self, name: str) -> Any:
        return self[name]


class Encoded(nn.Module):
    """An encoder whose result lies in a container, and what is done with that afterwards."""

    def __init__(self, hold: Callable[[Tensor], Any], after: Callable[[nn.Module, Any], Any]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.encoder, self.inner = nn.Sequential(nn.Linear(4, 8), Held(hold)), nn.Linear(8, 8)
        self.after = after

    def forward(self, x: Tensor) -> Any:
        return self.after(self, self.encoder(x))


class Held(nn.Module):
    def __init__(self, hold: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.hold = hold

    def forward(self, x: Tensor) -> Any:
        return self.hold(x)


HOLDERS: dict[str, tuple[Callable[[Tensor], Any], tuple[Any, ...]]] = {
    "frozen dataclass": (Frozen, ("hidden",)),
    "named tuple": (namedtuple("Named", ["hidden"]), ("hidden",)),
    "plain object": (lambda h: SimpleNamespace(hidden=h), ("hidden",)),
    "slots": (Slots, ("hidden",)),
    "property": (Property, ("hidden",)),
    "dictionary with attributes": (lambda h: Attributes(hidden=h), ("hidden",)),
    "object in a list in a dictionary": (lambda h: {"states": [Frozen(h)]}, ("states", 0, "hidden")),
    "the only tensor of an object in an object": (lambda h: SimpleNamespace(a=Slots(h), b=3), ()),
}


@pytest.mark.parametrize("what", HOLDERS)
def test_what_a_submodule_returns_is_recorded_before_it_is_changed_whatever_holds_it(what: str):
    hold, steps = HOLDERS[what]
    returned: list[Tensor] = []

    def change(model: nn.Module, held: Any) -> Tensor:
        return model.inner(returned[-1].relu_())

    def keep(h: Tensor) -> Any:
        returned.append(h)
        return hold(h)

    model, x = Encoded(keep, change).double(), torch.randn(5, 4, dtype=torch.float64)
    network = transect.capture(model, x, output=("encoder", *steps))
    with torch.no_grad():
        torch.testing.assert_close(network(x), model.encoder[0](x), rtol=1e-13, atol=1e-13)


def _no_exception_passes(model: nn.Module, h: Tensor) -> Tensor:
    try:
        return model.encoder[0](h)
    except BaseException:  # as some write
        return h


def _raises(model: nn.Module, h: Tensor) -> Tensor:
    raise NotImplementedError("no loss without labels")


AFTERWARDS: dict[str, Callable[[nn.Module, Tensor], Any]] = {
    "sampling": lambda m, h: torch.distributions.Normal(h, h.exp()).sample(),
    "an index": lambda m, h: h.argmax(1),
    "an array": lambda m, h: h.numpy().copy(),
    "a number": lambda m, h: h * h.sum().item(),
    "a branch": lambda m, h: h if h.sum() > 0 else -h,
    "numbers in a list": lambda m, h: [float(number) for number in h.flatten()],
    "rows by their values": lambda m, h: h[h[:, 0] > 0],
    "nothing": lambda m, h: None,
    "an error": _raises,
    "an error that the module catches, whatever it is": _no_exception_passes,
}


@pytest.mark.parametrize("what", AFTERWARDS)
def test_what_a_forward_pass_does_after_the_chosen_tensor_does_not_matter(what: str):
    """Also after the second call of a submodule; operations keep the names of their modules."""
    after = AFTERWARDS[what]
    model = Encoded(lambda h: h, lambda m, h: after(m, m.inner(torch.relu(m.inner(h))))).double()
    x = torch.randn(5, 4, dtype=torch.float64)
    network = transect.capture(model, x, output="inner@1")
    with torch.no_grad():
        torch.testing.assert_close(network(x), model.inner(torch.relu(model.inner(model.encoder(x)))))
    sources = {node.module for node in network.graph.nodes}
    assert sources == {"encoder.0 (Linear)", "inner (Linear)", "model (Encoded)"}
    assert not any(module._forward_hooks for module in model.modules())


def test_the_example_is_read_by_the_whole_forward_pass():
    """The first layer takes two inputs of 4 numbers as well as one of (2, 4); what comes after it does not."""
    model = nn.Sequential(nn.Linear(4, 3), nn.Flatten(), nn.Linear(6, 2))
    for output in ("0", "0@0"):
        assert transect.capture(model, torch.zeros(2, 4), output=output).input_shape == (2, 4)


def test_a_shared_module_is_found_by_any_of_its_names():
    relu = nn.ReLU(inplace=True)
    model = nn.Sequential(nn.Linear(3, 4), relu, nn.Linear(4, 4), relu)
    x = torch.randn(5, 3)
    torch.testing.assert_close(transect.capture(model, x, output="3@1")(x).float(), model(x).detach())
