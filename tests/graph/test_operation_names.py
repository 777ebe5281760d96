"""Bending operations are named after their modules, and after what is written where a module is more than that."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import transect


def test_a_module_that_is_one_operation_gives_it_its_name():
    kinds = [nn.ReLU(), nn.LeakyReLU(), nn.PReLU(), nn.ReLU6(), nn.Hardtanh(), nn.Softshrink(), nn.Hardsigmoid(),
             nn.MaxPool2d(2), nn.AdaptiveMaxPool2d(2)]  # fmt: skip
    model = nn.Sequential(*kinds).eval()
    assert transect.capture(model, torch.zeros(2, 8, 8)).operations == tuple(map(str, range(len(kinds))))


class Written(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Linear(3, 3), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return self.block(self.block(x)).abs() + nn.functional.leaky_relu(x)


def test_functions_and_second_calls_have_names_of_their_own():
    names = transect.capture(Written(), torch.zeros(3)).operations
    assert names == ("block.1", "block.1@1", "abs", "leaky_relu")
