"""Models by name, and what is said where there is none."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import transect
from support.exported import SHAPE, convnet, save
from transect.errors import InvalidInput, MissingDependency
from transect.networks import load_model

MODELS = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Dropout(), nn.Linear(width, 3))

    def forward(self, x):
        return self.layers(x)

def make(width):
    from helpers_of_mine import times
    return Net(times(width))

class Collection:
    wide = Net(32)

ready = Net()
number = 3

def wrong():
    return {"weights": 1}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A current folder with a user's modules in it, forgotten afterwards."""
    (tmp_path / "my_models.py").write_text(MODELS)
    (tmp_path / "helpers_of_mine.py").write_text("def times(width):\n    return 2 * width\n")
    (tmp_path / "needs_more.py").write_text("import a_package_nobody_has\n")
    (tmp_path / "broken.py").write_text("def f(:\n")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in ("my_models", "helpers_of_mine", "needs_more", "broken"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("name", "arguments", "width"),
    [
        ("my_models:Net", {}, 8),
        ("my_models:Net", {"width": 5}, 5),
        ("my_models:make", {"width": 5}, 10),
        ("my_models:ready", {}, 8),
        ("my_models:Collection.wide", {}, 32),
    ],
)
def test_models_of_the_current_folder_are_made_in_evaluation_mode(name: str, arguments: dict, width: int):
    before = list(sys.path)
    loaded = load_model(name, arguments=arguments)
    assert loaded.module.layers[0].out_features == width
    assert not any(module.training for module in loaded.module.modules())
    assert (loaded.name, loaded.input_shape) == (name, None)
    assert sys.path == before


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere:Net", r"no module 'nowhere', neither in the current folder nor installed.*without \.py"),
        ("my_models.py:Net", r"no module 'my_models\.py'"),
        ("torch.nowhere:Net", r"no module 'torch\.nowhere'"),
        ("needs_more:Net", "importing needs_more failed: No module named 'a_package_nobody_has'; install"),
        ("broken:Net", "importing broken failed: SyntaxError"),
        ("my_models:Nett", r"my_models has no 'Nett' \(did you mean Net\?\)"),
        ("my_models:make", r"my_models:make\(\) failed: TypeError: .*'width'.*--arguments '\{\"width\": 64\}'"),
        ("my_models:number", "my_models:number is of type int; expected a torch.nn.Module, or a class or function"),
        ("my_models:wrong", r"my_models:wrong\(\) returned a value of type dict; expected a torch\.nn\.Module"),
        ("weights.pt", "weights.pt is a file of weights.*Name the model.*--weights"),
    ],
)
def test_names_without_a_model_are_explained(name: str, message: str):
    with pytest.raises(InvalidInput, match=message):
        load_model(name)


def test_arguments_that_do_not_fit_are_named():
    with pytest.raises(InvalidInput, match=r"Net\(depth=3\) failed: TypeError: .*unexpected keyword argument 'depth'"):
        load_model("my_models:Net", arguments={"depth": 3})
    with pytest.raises(InvalidInput, match="my_models:ready is a module already, and takes none"):
        load_model("my_models:ready", arguments={"width": 3})
    with pytest.raises(InvalidInput, match=r"model\.pt2 is a saved program, which takes none"):
        load_model("model.pt2", arguments={"width": 3})


def test_weights_are_loaded_into_the_model(folder: Path):
    trained = load_model("my_models:Net").module
    torch.save(trained.state_dict(), folder / "weights.pt")
    x = torch.randn(2, 4)
    torch.testing.assert_close(load_model("my_models:Net", folder / "weights.pt").module(x), trained(x))


def test_weights_are_loaded_into_a_program(folder: Path):
    trained, x = convnet(), torch.randn(2, *SHAPE)
    path = save(convnet(), folder / "model.pt2")
    torch.save(trained.state_dict(), folder / "weights.pt")
    torch.testing.assert_close(load_model(str(path), folder / "weights.pt").module(x), trained(x))


def test_a_program_remembers_modules_and_lines(folder: Path):
    path = save(nn.Sequential(convnet(), nn.Linear(5, 2)), folder / "model.pt2")
    network = transect.capture(load_model(str(path)).module.eval(), torch.zeros(SHAPE))
    assert network.operations == ("0.2", "0.3")
    assert "0.2 (ReLU)" in [node.module for node in network.graph.nodes]


class TestZoo:
    """Models of torchvision."""

    @pytest.fixture(autouse=True)
    def _installed(self):
        pytest.importorskip("torchvision")

    def test_a_name_gives_random_weights_always_the_same_and_the_shape_of_its_images(self):
        state = torch.random.get_rng_state()
        one, other = (load_model("squeezenet1_1") for _ in range(2))
        assert one.input_shape == (3, 224, 224)
        assert all(map(torch.equal, one.module.state_dict().values(), other.module.state_dict().values()))
        assert torch.equal(state, torch.random.get_rng_state())
        assert load_model("squeezenet1_1", arguments={"num_classes": 7}).module.num_classes == 7

    def test_films_have_frames_and_nothing_is_downloaded(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(torch.hub, "load_state_dict_from_url", lambda *given, **named: pytest.fail("a download"))
        assert load_model("r3d_18").input_shape == (3, 16, 112, 112)
        assert load_model("lraspp_mobilenet_v3_large").input_shape == (3, 224, 224)

    def test_a_typo_is_answered_with_near_names(self):
        with pytest.raises(InvalidInput, match=r"no model 'resnet81' \(did you mean .*resnet18.*\).*callable.*\.pt2"):
            load_model("resnet81")

    def test_arguments_of_another_model_are_named(self):
        with pytest.raises(InvalidInput, match=r"resnet18\(colour='red'\) failed: TypeError"):
            load_model("resnet18", arguments={"colour": "red"})


def test_without_torchvision_its_extra_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(
        MissingDependency, match=r"'resnet18' is looked for.*pip install 'transect\[vision\]'.*callable"
    ):
        load_model("resnet18")
