"""``output=``: a part of what the model returns, or what a submodule returned; compared with the user's own hooks."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from dataclasses import dataclass
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
        ("iner", r"there is no 'iner' in a dict.*Submodules with a similar name: inner"),
        ("iner@1", r"no submodule 'iner'\. Submodules with a similar name: inner"),
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
