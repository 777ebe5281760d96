"""Reports: counted by hand, and with hooks on the modules that are called."""

from __future__ import annotations

import json
import os
import pickle
from collections import Counter

import pytest
import torch
from torch import Tensor, nn

import transect
from transect.errors import Problem, UnsupportedModel
from transect.networks.report import OperationRow, Report, report_refusal
from transect.study.models.architectures import resnet18


def _report(model: nn.Module, *shape: int) -> Report:
    return transect.capture(model.eval(), torch.zeros(shape)).report()


def _row(report: Report, operation: str) -> OperationRow:
    (row,) = [row for row in report.rows if row.operation.split(".")[1] == operation]
    return row


def test_an_mlp_by_hand():
    layers = (
        nn.Linear(2, 8),
        nn.ReLU(),
        nn.Linear(8, 5),
        nn.LeakyReLU(0.1),
        nn.Linear(5, 4),
        nn.ReLU6(),
        nn.Linear(4, 3),
    )
    report = _report(nn.Sequential(*layers), 2)
    assert report.rows == (
        OperationRow("aten.relu.default", 1, "bends: 2 pieces", 8),
        OperationRow("aten.leaky_relu.default", 1, "bends: 2 pieces", 5),
        OperationRow("aten.hardtanh.default", 1, "bends: 3 pieces", 4),
        OperationRow("aten.linear.default", 4, "affine", 0),
    )
    assert [(bend.name.partition(".")[0], bend.units, bend.pieces) for bend in report.operations] == [
        ("1", 8, 2), ("3", 5, 2), ("5", 4, 3)]  # fmt: skip
    assert (report.name, report.input_shape, report.outputs, report.units) == ("Sequential", (2,), 3, 17)
    assert (report.traceable, report.dtype, report.problems) == (True, torch.float64, ())


def test_a_convnet_by_hand():
    layers = (nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.BatchNorm1d(36))
    report = _report(nn.Sequential(*layers), 3, 8, 8)
    found = {(row.operation.split(".")[1], row.treatment): (row.times, row.units) for row in report.rows}
    assert found == {
        ("relu", "bends: 2 pieces"): (1, 4 * 6 * 6),
        ("max_pool2d_with_indices", "bends: envelope of 4"): (1, 4 * 3 * 3),
        ("convolution", "affine"): (1, 0),
        ("_native_batch_norm_legit_no_training", "affine, folded into the convolution before it"): (1, 0),
        ("view", "affine"): (1, 0),
        ("_native_batch_norm_legit_no_training", "affine"): (1, 0),
    }


def test_a_resnet_by_hooks():
    model = resnet18(2, (3, 16, 16), 5, batch_norm=True).eval()
    calls: Counter[type[nn.Module]] = Counter()
    units: Counter[type[nn.Module]] = Counter()

    def note(module: nn.Module, given: tuple[Tensor, ...], made: Tensor) -> None:
        calls[type(module)] += 1
        units[type(module)] += made[0].numel()

    hooks = [module.register_forward_hook(note) for module in model.modules() if not list(module.children())]
    model(torch.zeros(1, 3, 16, 16))
    for hook in hooks:
        hook.remove()
    report = _report(model, 3, 16, 16)
    for kind, operation in ((nn.ReLU, "relu"), (nn.Conv2d, "convolution"), (nn.Linear, "linear"),
                            (nn.BatchNorm2d, "_native_batch_norm_legit_no_training")):  # fmt: skip
        assert calls[kind] > 0
        assert _row(report, operation).times == calls[kind], operation
    assert _row(report, "relu").units == units[nn.ReLU] == report.units
    assert sum(bend.units for bend in report.operations) == report.units


class Written(nn.Module):
    """Bending operations that are not written as such."""

    def forward(self, x: Tensor) -> Tensor:
        y = x * (x > 0)
        return torch.minimum(y, x.flip(1) + 1) + y.amin(1, keepdim=True)


def test_what_stands_for_one_operation_is_counted_as_one():
    rows = {row.operation: row for row in _report(Written(), 6).rows}
    assert rows["aten.minimum.default"] == OperationRow("aten.minimum.default", 1, "bends: envelope of 2", 6)
    assert rows["aten.amin.default"] == OperationRow("aten.amin.default", 1, "bends: envelope of 6", 1)
    assert rows["aten.mul.Tensor"] == OperationRow("aten.mul.Tensor", 1, "bends: 2 pieces", 6)
    assert rows["aten.gt.Scalar"] == OperationRow("aten.gt.Scalar", 1, "part of the operation that reads it", 0)
    assert "aten.neg.default" not in rows


def test_text_has_a_line_for_every_row_and_on_request_for_every_bending_operation():
    report = _report(nn.Sequential(nn.Linear(2, 1200), nn.ReLU(), nn.Linear(1200, 1)), 2)
    assert str(report).splitlines() == [
        "Sequential: 2 -> 1 output, float64",
        "Can be traced exactly: 1 bending operation with 1,200 units.",
        "",
        "operation            times  treatment        bending units",
        "-------------------  -----  ---------------  -------------",
        "aten.relu.default        1  bends: 2 pieces          1,200",
        "aten.linear.default      2  affine",
    ]
    assert repr(report) == str(report)
    assert report.text(operations=True) == "\n".join([
        str(report),
        "",
        "bending operation  units  pieces",
        "-----------------  -----  ------",
        "1                  1,200       2",
    ])  # fmt: skip


def test_an_affine_network_is_said_to_be_one():
    assert "affine, nothing bends" in str(_report(nn.Linear(2, 3), 2))


def test_all_of_a_report_goes_into_json():
    report = _report(nn.Sequential(nn.Linear(2, 4), nn.ReLU()), 2)
    kept = json.loads(json.dumps(report.to_dict()))
    assert kept["rows"][0] == {"operation": "aten.relu.default", "times": 1, "treatment": "bends: 2 pieces", "units": 4}
    assert kept["operations"] == [{"name": "1", "units": 4, "pieces": 2}]
    assert (kept["traceable"], kept["dtype"], kept["input_shape"], kept["outputs"]) == (True, "float64", [2], 4)


class Gated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear, self.gate, self.relu = nn.Linear(4, 4), nn.Sigmoid(), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.linear(x))
        y = y * self.gate(y)
        return y * self.gate(y)


@pytest.fixture
def refused() -> UnsupportedModel:
    with pytest.raises(UnsupportedModel) as caught:
        transect.capture(nn.Sequential(Gated(), nn.ReLU()), torch.zeros(4))
    return caught.value


def test_a_refusal_carries_every_problem_and_what_could_be_traced(refused: UnsupportedModel):
    assert [problem.operation for problem in refused.problems] == ["aten.sigmoid.default", "aten.mul.Tensor"] * 2
    assert {problem.module for problem in refused.problems} == {"0.gate (Sigmoid)", "0 (Gated)"}
    assert all(__file__ in problem.source for problem in refused.problems)
    assert [(entry.operation, entry.treatment, entry.units) for entry in refused.treated] == [
        ("aten.linear.default", "affine", 0),
        ("aten.relu.default", "bends: 2 pieces", 4),
        ("aten.relu.default", "bends: 2 pieces", 4),
    ]


def test_the_report_of_a_refusal_lists_equal_problems_once_with_all_their_places(refused: UnsupportedModel):
    report = report_refusal("gated", refused, (4,), torch.float64)
    assert (report.traceable, report.outputs) == (False, None)
    assert [(row.operation, row.times, row.units) for row in report.rows] == [
        ("aten.sigmoid.default", 2, 0), ("aten.mul.Tensor", 2, 0), ("aten.relu.default", 2, 8),
        ("aten.linear.default", 1, 0)]  # fmt: skip
    text = str(report)
    assert "REFUSED: 4 operations cannot be traced exactly." in text
    assert text.count("aten.sigmoid.default, 2 times: it bends smoothly") == 1
    assert text.count("    in 0.gate (Sigmoid)") == 2
    assert text.count("return y * self.gate(y)") == 2  # for the sigmoid and for the product
    assert text.count("What to do: ") == 2


def test_lines_of_source_are_shown_from_the_current_folder_or_the_package_on():
    here = os.getcwd()
    sources = {
        os.path.join(here, "nets", "mine.py:3: return x * y"): os.path.join("nets", "mine.py:3: return x * y"),
        f"{here}/venv/lib/python3.12/site-packages/torchvision/ops/misc.py:261: y": "torchvision/ops/misc.py:261: y",
        r"C:\venv\Lib\site-packages\timm\x.py:1: y": r"timm\x.py:1: y",
        "/elsewhere/mine.py:3: y": "/elsewhere/mine.py:3: y",
    }
    for source, shown in sources.items():
        refused = UnsupportedModel("", (Problem("aten.mul.Tensor", "", source, "why", "what"),))
        assert f"  at {shown}\n" in str(report_refusal("x", refused, (4,), torch.float64))


def test_a_refusal_survives_the_way_between_processes(refused: UnsupportedModel):
    again = pickle.loads(pickle.dumps(refused))
    assert (str(again), again.problems, again.treated) == (str(refused), refused.problems, refused.treated)
