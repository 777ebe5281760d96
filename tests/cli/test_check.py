"""``transect check``: what it prints, its exit codes, and the message of every error a user can cause with it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from support.exported import convnet, save
from transect.cli import main as cli

SMALL = ("--shape", "3,32,32")


def test_help_names_the_options_and_does_not_import_torch():
    program = "import sys; from transect.cli.main import app; app('check --help', result_action='return_value')"
    command = [sys.executable, "-c", f"{program}; print('torch' in sys.modules)"]
    ended = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"COLUMNS": "100"})
    assert ended.stdout.splitlines()[-1] == "False", ended.stderr
    options = "--weights --shape --arguments --output --dtype --operations --json".split()
    assert all(option in ended.stdout for option in options)


@pytest.fixture
def check(capsys, monkeypatch, tmp_path):
    """``check(words)``: exit code, what was printed, and what was said of an error, on one line."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "60")  # nothing may be cut

    def run(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main(["check", *words])
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, re.sub(r"[\s│╭╮╰╯─]+", " ", said.err)

    return run


def test_a_model_of_a_package(check):
    arguments = ("--arguments", '{"in_features": 3, "out_features": 2}')
    code, out, err = check("torch.nn:Linear", *arguments, "--shape", "3")
    assert (code, err) == (0, "")
    assert out.startswith("torch.nn:Linear: 3 -> 2 outputs, float64\nCan be traced exactly: affine, nothing bends.\n")
    assert re.search(r"^aten\.linear\.default +1  affine$", out, re.MULTILINE)
    assert "Next: transect.trace(model, path)" in out


def test_a_model_of_torchvision_with_its_bending_operations(check):
    pytest.importorskip("torchvision")
    code, out, _ = check("squeezenet1_1", *SMALL, "--dtype", "float32", "--operations")
    assert code == 0
    assert "squeezenet1_1: 3x32x32 -> 1,000 outputs, float32" in out
    assert re.search(r"^aten\.relu\.default +26  bends: 2 pieces +[\d,]+$", out, re.MULTILINE)
    assert re.search(r"^aten\.max_pool2d_with_indices\.default +3  bends: envelope of 9 +[\d,]+$", out, re.MULTILINE)
    assert re.search(r"^features\.3\.squeeze_activation +[\d,]+ +2$", out, re.MULTILINE)


def test_an_exported_program_with_weights(check, tmp_path: Path):
    save(convnet(), tmp_path / "model.pt2")
    torch.save(convnet().state_dict(), tmp_path / "weights.pt")
    code, out, _ = check("model.pt2", "--weights", "weights.pt")
    assert code == 0
    assert "model.pt2: 3x8x8 -> 5 outputs, float64\nCan be traced exactly: 2 bending operations with 180 units." in out


def test_json_is_all_that_is_printed(check, tmp_path: Path):
    save(convnet(), tmp_path / "model.pt2")
    code, out, _ = check("model.pt2", "--json")
    found = json.loads(out)
    assert (code, found["name"], found["traceable"], found["outputs"]) == (0, "model.pt2", True, 5)
    code, out, _ = check("torch.nn:GELU", "--shape", "4", "--json")
    assert (code, json.loads(out)["problems"][0]["operation"]) == (1, "aten.gelu.default")


PARTS = """
from torch import nn

class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.gate = nn.Linear(4, 3), nn.Sigmoid()

    def forward(self, x):
        y = self.body(x)
        return y, self.gate(y)
"""


def test_one_of_several_outputs_by_index_or_by_submodule(check, tmp_path: Path):
    (tmp_path / "parts_of_mine.py").write_text(PARTS)
    assert check("parts_of_mine:Two", "--shape", "4", "--output", "0")[0] == 0
    code, out, _ = check("parts_of_mine:Two", "--shape", "4", "--output", "body")
    assert (code, out.startswith("parts_of_mine:Two[body]: 4 -> 3 outputs")) == (0, True)
    code, out, _ = check("parts_of_mine:Two", "--shape", "4", "--output", "1")
    assert (code, "aten.sigmoid.default, 1 time" in out) == (1, True)
    code, _, err = check("parts_of_mine:Two", "--shape", "4")
    assert (code, "output" in err) == (2, True)


# Family: operations that are refused, each with a module, and a line of torchvision where it has one.
REFUSED = {
    "mobilenet_v3_small": [
        ("hardswish.default", "features.0.2 (Hardswish)", r"mobilenetv3\.py:\d+"),
        ("mul.Tensor", "features.1.block.1 (SqueezeExcitation)", r"ops/misc\.py:\d+: return scale \* input"),
    ],
    "efficientnet_b0": [
        ("silu.default", "features.0.2 (SiLU)", r"efficientnet\.py:\d+"),
        ("sigmoid.default", "features.1.0.block.1.scale_activation (Sigmoid)", r"ops/misc\.py:\d+"),
        ("mul.Tensor", "features.1.0.block.1 (SqueezeExcitation)", r"ops/misc\.py:\d+: return scale \* input"),
    ],
    "convnext_tiny": [
        ("layer_norm.default", "features.0.1 (LayerNorm2d)", r"convnext\.py:\d+"),
        ("gelu.default", "features.1.0.block.4 (GELU)", r"convnext\.py:\d+"),
    ],
    "vit_b_16": [
        ("layer_norm.default", "encoder.layers.encoder_layer_0.ln_1 (LayerNorm)", r"vision_transformer\.py:\d+"),
        ("gelu.default", "encoder.layers.encoder_layer_0.mlp.1 (GELU)", r"vision_transformer\.py:\d+"),
    ],
    "swin_t": [
        ("layer_norm.default", "features.0.2 (LayerNorm)", r"swin_transformer\.py:\d+"),
        ("gelu.default", "features.1.0.mlp.1 (GELU)", r"swin_transformer\.py:\d+"),
    ],
    "regnet_y_400mf": [
        ("sigmoid.default", "trunk_output.block1.block1-0.f.se.scale_activation (Sigmoid)", r"ops/misc\.py:\d+"),
        ("mul.Tensor", "trunk_output.block1.block1-0.f.se (SqueezeExcitation)", r"ops/misc\.py:\d+: return scale"),
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", REFUSED)
def test_networks_that_are_not_piecewise_affine_are_refused_with_the_full_list(name: str, check):
    pytest.importorskip("torchvision")
    options = ("--arguments", '{"image_size": 32}') if name == "vit_b_16" else ()
    code, out, err = check(name, *SMALL, *options)
    assert (code, err) == (1, "")
    listed = int(re.search(r"REFUSED: (\d+) operations cannot be traced exactly\.", out)[1])
    assert sum(int(times) for times in re.findall(r"^aten\S+, (\d+) times?: ", out, re.MULTILINE)) == listed
    for operation, module, line in REFUSED[name]:
        block = re.search(
            rf"^aten\.{re.escape(operation)}, \d+ times?: .+\.\n  What to do: .+\.\n(?:  .*\n)+", out, re.M
        )
        assert block, operation
        assert re.search(rf"^  at .*{line}.*\n(?:    in .*\n)*?    in {re.escape(module)}$", block[0], re.M), operation
    assert re.search(r"^aten\.linear\.default +\d+  affine$", out, re.MULTILINE)
    assert "--output NAME" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere:Net", "--shape", "4"], "no module 'nowhere'"),
        (["torch.nn:Lineer", "--shape", "4"], "torch.nn has no 'Lineer' (did you mean Linear"),
        (["torch.nn:Linear", "--shape", "4"], "missing 2 required positional arguments"),
        (["torch.nn:functional", "--shape", "4"], "torch.nn:functional is of type module"),
        (["torch.nn:ReLU"], "give the shape of one input of torch.nn:ReLU, without the batch, such as --shape 3,32,32"),
        (["torch.nn:ReLU", "--shape", "3,big"], "expected the sizes of one input without the batch, such as 3,224,224"),
        (["torch.nn:ReLU", "--shape", "0"], "expected the sizes of one input"),
        (["torch.nn:ReLU", "--shape", "4", "--arguments", "inplace"], "expected a JSON object"),
        (["torch.nn:ReLU", "--shape", "4", "--arguments", "[1]"], "expected a JSON object"),
        (["torch.nn:ReLU", "--shape", "4", "--weights", "none.pt"], "there is no file none.pt"),
        (["torch.nn:ReLU", "--shape", "4", "--weights", "model.h5"], "there is no file model.h5"),
        (["torch.nn:ReLU", "--shape", "4", "--output", "logits"], "there is no 'logits'"),
        (["torch.nn:Flatten", "--shape", "4", "--arguments", '{"start_dim": 0}'], "row for each input"),
        (["none.pt2"], "there is no file none.pt2"),
        (["weights.safetensors"], "is a file of weights"),
    ],
)
def test_errors_are_one_message_and_exit_code_2(words: list[str], message: str, check):
    code, out, err = check(*words)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err


def test_a_shape_that_does_not_fit_is_named_with_what_the_model_said(check):
    arguments = ("--arguments", '{"in_features": 3, "out_features": 2}')
    code, _, err = check("torch.nn:Linear", *arguments, "--shape", "7")
    assert code == 2
    assert "shape (7,)" in err
    assert "mat1 and mat2 shapes cannot be multiplied" in err


def test_weights_of_another_model_are_named(check, tmp_path: Path):
    torch.save(nn.Linear(3, 5).state_dict(), tmp_path / "weights.pt")
    arguments = ("--arguments", '{"in_features": 3, "out_features": 2}')
    code, _, err = check("torch.nn:Linear", *arguments, "--shape", "3", "--weights", "weights.pt")
    assert code == 2
    assert "2 of another shape: weight (5, 3) instead of (2, 3), bias (5,) instead of (2,)" in err


def test_an_unknown_dtype_is_refused_with_the_choices(check):
    code, out, err = check("torch.nn:ReLU", "--shape", "4", "--dtype", "float16")
    assert code != 0
    assert "float64" in out + err


def test_a_typo_in_a_name_of_torchvision(check):
    pytest.importorskip("torchvision")
    code, _, err = check("rsnet18")
    assert (code, "did you mean resnet18" in err) == (2, True)
