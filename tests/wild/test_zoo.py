"""Networks of torchvision as they come: traced exactly and compared with the modules, or refused by name.

The networks, their segments and the comparison are those of ``benchmarks/zoo.py``, which makes the table of the
documentation; here with fewer crossings and points, and on most networks only in ``make test-all``.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from transect.errors import UnsupportedModel

pytest.importorskip("torchvision")

CROSSINGS, POINTS = 150, 60
DIFFERENCE = 1e-10  # of the largest output, as every trace promises
TO_CHANGE = 1e-8  # of the largest change of an output along the segment, which is some hundredths of it


def _benchmark(name: str) -> ModuleType:
    folder = str(Path(__file__).parents[2] / "benchmarks")
    if folder not in sys.path:
        sys.path.append(folder)
    return importlib.import_module(name)


zoo = _benchmark("zoo")
QUICK = ("resnet18", "squeezenet1_1")
QUICKLY_REFUSED = ("mobilenet_v3_small",)


def _marked(names: Iterable[str], quick: tuple[str, ...]) -> list[Any]:
    return [name if name in quick else pytest.param(name, marks=pytest.mark.slow) for name in names]


@pytest.mark.parametrize("name", _marked(zoo.TRACED, QUICK))
def test_networks_are_traced_exactly_and_left_as_they_were(name: str):
    if not zoo.installed(zoo.ZOO[name].package):
        pytest.skip(f"{zoo.ZOO[name].package} is not installed")
    model = zoo.build(name)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    training = [module.training for module in model.modules()]
    row = zoo.row_of(name, CROSSINGS, POINTS, model)
    assert row["crossings"] >= CROSSINGS / 3
    assert row["unresolved"] == 0
    assert row["difference"] < DIFFERENCE
    assert row["to_change"] < TO_CHANGE
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert training == [module.training for module in model.modules()]


# What each is refused for: operations (one of several names), the module of the first, a line of torchvision's source
# (the deepest in a ``forward``: torch.export records no other frames).
REFUSALS: dict[str, dict[str, tuple[str, str]]] = {
    "mobilenet_v3_small": {
        "aten.hardswish.default": ("features.0.2 (Hardswish)", ""),
        "aten.mul.Tensor": ("features.1.block.1 (SqueezeExcitation)", r"ops/misc\.py:\d+: return scale \* input"),
    },
    "regnet_y_400mf": {
        "aten.sigmoid.default": (
            "trunk_output.block1.block1-0.f.se.scale_activation (Sigmoid)",
            r"ops/misc\.py:\d+: scale = self\._scale\(input\)",
        ),
        "aten.mul.Tensor": (
            "trunk_output.block1.block1-0.f.se (SqueezeExcitation)",
            r"ops/misc\.py:\d+: return scale \* input",
        ),
    },
    "efficientnet_b0": {
        "aten.silu.default": ("features.0.2 (SiLU)", ""),
        "aten.sigmoid.default": (
            "features.1.0.block.1.scale_activation (Sigmoid)",
            r"ops/misc\.py:\d+: scale = self\._scale\(input\)",
        ),
        "aten.mul.Tensor": ("features.1.0.block.1 (SqueezeExcitation)", r"ops/misc\.py:\d+: return scale \* input"),
    },
    "convnext_tiny": {
        "aten.layer_norm.default": ("features.0.1 (LayerNorm2d)", r"convnext\.py:\d+: x = F\.layer_norm\("),
        "aten.gelu.default": ("features.1.0.block.4 (GELU)", ""),
    },
    "vit_b_16": {
        "aten.layer_norm.default": ("encoder.layers.encoder_layer_0.ln_1 (LayerNorm)", r"vision_transformer\.py:\d+: "),
        "aten.gelu.default": ("encoder.layers.encoder_layer_0.mlp.1 (GELU)", ""),
        "aten.softmax.int|aten.scaled_dot_product_attention.default": (
            "encoder.layers.encoder_layer_0.self_attention (MultiheadAttention)",
            r"vision_transformer\.py:\d+: x, _ = self\.self_attention\(",
        ),
    },
    "swin_t": {
        "aten.layer_norm.default": ("features.0.2 (LayerNorm)", ""),
        "aten.gelu.default": ("features.1.0.mlp.1 (GELU)", ""),
        "aten.softmax.int": (
            "features.3.0.attn (ShiftedWindowAttention)",  # those of features.1 read what a view has folded
            r"swin_transformer\.py:\d+: return shifted_window_attention\(",
        ),
    },
}


@cache
def _refusal(name: str) -> tuple[str, list[dict[str, str]]]:
    with pytest.raises(UnsupportedModel) as caught:
        zoo.captured(name, zoo.build(name))
    return str(caught.value), zoo.problems(caught.value)


@pytest.mark.parametrize("name", _marked(zoo.REFUSED, QUICKLY_REFUSED))
def test_networks_that_are_not_piecewise_affine_are_refused_for_every_operation_that_is_not(name: str):
    message, found = _refusal(name)
    assert f"{len(found)} operation(s)" in message
    for operations, (module, line) in REFUSALS[name].items():
        first = next((problem for problem in found if problem["operation"] in operations.split("|")), None)
        assert first is not None, f"{operations} is not named"
        assert first["module"] == module
        alike = [one for one in found if all(one[key] == first[key] for key in ("operation", "reason"))]
        times = f", {len(alike)} times," if len(alike) > 1 else ""
        place, reason = re.escape(f"  - {first['operation']}{times} in {module}"), re.escape(f": {first['reason']}.")
        entry = rf"{place}(, .*)?{reason}\n      at .*{line}.*\n(      at .*\n|      \.\.\. .*\n)*      What to do: "
        assert re.search(entry, message), f"no line for {operations}"


@pytest.mark.parametrize("name", _marked(zoo.REFUSED, QUICKLY_REFUSED))
def test_layers_that_can_be_traced_are_not_held_against_them(name: str):
    operations = {problem["operation"].split(".")[1] for problem in _refusal(name)[1] if "." in problem["operation"]}
    traced = "linear convolution relu add sub cat mean adaptive_avg_pool2d hardsigmoid permute dropout".split()
    assert operations & set(traced) == set()
