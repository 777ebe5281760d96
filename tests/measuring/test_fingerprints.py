"""Fingerprints are equal for equal functions, and for no others: random networks, each with its twins and variants."""

from __future__ import annotations

import copy
import functools
import random
import subprocess
import sys
import threading
import types
from pathlib import Path as File

import pytest
import torch
from torch import nn

import transect
from transect.measuring.fingerprints import fingerprint

F = nn.functional
BENDS = (
    nn.ReLU, lambda: nn.LeakyReLU(0.1), lambda: nn.Hardtanh(-0.4, 0.7), lambda: nn.Softshrink(0.3), nn.PReLU,
    lambda: nn.Threshold(0.2, 0.2),
)  # fmt: skip


def layers(seed: int, widths: tuple[int, ...], bends: tuple[int, ...]) -> list[nn.Module]:
    torch.manual_seed(seed)
    made: list[nn.Module] = []
    for before, after, bend in zip((4, *widths), widths, bends, strict=False):
        norm = nn.BatchNorm1d(after)
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
        made += [nn.Linear(before, after), norm, BENDS[bend]()]
    return [*made, nn.Linear(widths[-1], 2)]


def of(model: nn.Module, **options) -> str:
    return fingerprint(transect.capture(model.eval(), torch.zeros(4), **options))


class Otherwise(nn.Module):
    """The same layers, under other names and nested."""

    def __init__(self, made: list[nn.Module]) -> None:
        super().__init__()
        self.last, self.body = made[-1], nn.ModuleDict({f"part{i}": part for i, part in enumerate(made[:-1])})

    def forward(self, x):
        for part in self.body.values():
            x = part(x)
        return self.last(x)


class Edited(Otherwise):
    """The same parts and names, another forward pass."""

    def forward(self, x):
        return super().forward(x) - 1


def rescaled(made):
    """The same function in exact arithmetic: twice the first layer's output, half of that before it is read."""
    nn.init.constant_(made[1].weight, 2.0)
    made[3].weight.data /= 2
    return made


def attribute(made):
    made[1].eps *= 2
    return made


def buffer(made):
    made[1].running_mean[0] += 1e-6
    return made


def weight(made):
    made[0].weight.data[0, 0] = torch.nextafter(made[0].weight.data[0, 0], torch.tensor(9.0))
    return made


@pytest.mark.parametrize("seed", range(4))
def test_equal_for_equal_networks_and_for_no_others(seed):
    chance = random.Random(seed)
    widths = tuple(chance.randint(1, 5) for _ in range(chance.choice((2, 3))))
    bends = tuple(chance.randrange(len(BENDS)) for _ in widths)
    change = (rescaled, attribute, buffer, weight)[seed % 4]

    def made():
        return layers(seed, widths, bends)

    plain = of(nn.Sequential(*made()))
    assert of(Otherwise(made())) == plain
    assert of(copy.deepcopy(nn.Sequential(nn.Sequential(*made())))) == plain
    with torch.no_grad():
        assert of(nn.Sequential(*change(made()))) != plain
    assert of(Edited(made())) != plain
    other = (bends[0], (bends[1] + 1) % len(BENDS), *bends[2:])
    assert of(nn.Sequential(*layers(seed, widths, other))) != plain


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda x: F.leaky_relu(x, 0.1), lambda x: F.leaky_relu(x, 0.9)),
        (lambda x: x.clamp(-1, 1), lambda x: x.clamp(-1.0, 1.5)),
        (lambda x: x.relu()[:, :2], lambda x: x.relu()[:, 1:3]),
        (lambda x: x.relu() + x, lambda x: x.relu() + x.relu()),
        (lambda x: F.pad(x.relu(), (1, 1)), lambda x: F.pad(x.relu(), (2, 0))),
        (lambda x: x.relu() * torch.tensor([1.0, 2, 3, 4]), lambda x: x.relu() * torch.tensor([1.0, 2, 4, 3])),
        (lambda x: torch.cat([x, x.relu()], 1), lambda x: torch.cat([x.relu(), x], 1)),
        (lambda x: x.relu() - x, lambda x: x - x.relu()),
        (lambda x: x.unflatten(1, (2, 2)).amax(1), lambda x: x.unflatten(1, (2, 2)).amax(2)),
    ],
)
def test_what_no_weight_and_no_name_shows(one, other):
    class Model(nn.Module):
        def __init__(self, function):
            super().__init__()
            self.function = function

        def forward(self, x):
            return self.function(x)

    assert of(Model(one)) == of(Model(one)) != of(Model(other))


def test_options_of_a_capture_count():
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    found = [
        of(model), of(model, dtype=torch.float32), of(model, output="1"), of(model, preprocess=lambda x: x / 2),
        of(model, preprocess=lambda x: x / 3), of(nn.Linear(4, 2)),
    ]  # fmt: skip
    assert len(set(found)) == len(found)

    class Two(nn.Module):
        def forward(self, x, shift):
            return torch.relu(x + shift)

    assert of(Two(), fixed={"shift": 1.0}) == of(Two(), fixed={"shift": 1.0}) != of(Two(), fixed={"shift": 2.0})


# Modules that cannot be captured are known by their parts and their code

SOURCE = """
import torch
from torch import nn
from functools import partial

FACTOR = {factor}
table = {{"shift": {shift}}}

def bent(x, power={power}):
    return torch.tanh(x * FACTOR) ** power + table["shift"]

def made(closed={closed}):
    return lambda x: bent(x) * closed

class Smooth(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.function, self.limit = nn.Linear(4, 2), made(), {limit}
        self.other = partial(bent, power={partial})

    def forward(self, x):
        x = self.function(self.layer(x)) + self.other(x[:, :2])
        return {result}
"""
PLAIN = {"factor": 2.0, "shift": 0, "power": 1, "closed": 3.0, "limit": 1.0, "partial": 2}
PLAIN["result"] = "x.sigmoid() * self.limit"


def smooth(**changes) -> nn.Module:
    module = types.ModuleType("of_a_user")
    exec(SOURCE.format(**PLAIN | changes), vars(module))
    sys.modules["of_a_user"] = module
    return module.Smooth().eval()


@pytest.mark.parametrize(
    "change",
    [{"factor": 2.5}, {"shift": 1}, {"power": 3}, {"closed": 4.0}, {"limit": 1.5}, {"partial": 1},
     {"result": "x.sigmoid() * 2 * self.limit"}],
    ids=str,
)  # fmt: skip
def test_code_and_what_it_reads_count_where_a_module_cannot_be_captured(change):
    plain = fingerprint(smooth())
    assert fingerprint(smooth()) == plain
    assert fingerprint(copy.deepcopy(smooth())) == plain
    assert fingerprint(smooth(**change)) != plain


def test_weights_hooks_and_bound_methods_count_too():
    model = smooth()
    plain = fingerprint(model)
    with torch.no_grad():
        model.layer.bias[0] += 1e-7
    assert fingerprint(model) != plain
    hooked = smooth()
    hooked.register_forward_hook(lambda *given: None).remove()
    assert fingerprint(hooked) == plain
    hooked.register_forward_hook(lambda *given: given[-1] * 2)
    assert fingerprint(hooked) != plain

    class Counted:
        def __init__(self, times):
            self.times = times

        def __call__(self, x):
            return x**self.times

    found = []
    for times in (2, 2, 3):
        bound = smooth()
        bound.function, bound.other = Counted(times).__call__, functools.partial(Counted(times), x=1)
        found.append(fingerprint(bound))
    assert found[0] == found[1] != found[2]


def test_what_nobody_can_look_into_equals_nothing():
    model = smooth()
    model.lock = threading.Lock()
    assert fingerprint(model) != fingerprint(model)


SCRIPT = """
import sys
import transect, torch
sys.path[:0] = sys.argv[1:]
import test_fingerprints as tests
print(tests.of(tests.nn.Sequential(*tests.layers(3, (4, 3), (0, 2)))), tests.fingerprint(tests.smooth()))
"""


def test_the_same_in_another_process():
    here = f"{of(nn.Sequential(*layers(3, (4, 3), (0, 2))))} {fingerprint(smooth())}"
    command = [sys.executable, "-c", SCRIPT, str(File(__file__).parent), str(File(__file__).parents[1])]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == here
