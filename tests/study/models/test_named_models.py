"""Models of torchvision and of the user, by name, and trained ones from files."""

from __future__ import annotations

import itertools

import pytest
import safetensors.torch
import torch
from torch import nn

from transect.errors import InvalidInput, MissingDependency, StudyError
from transect.study.config import ModelConfig
from transect.study.models import build_model, load_network

USER = """
import torch
from torch import nn

def net(width, input_shape, classes, depth=1):
    hidden = [layer for _ in range(depth) for layer in (nn.LazyLinear(width), nn.ReLU())]
    made = nn.Sequential(nn.Flatten(), *hidden, nn.Linear(width, classes))
    made(torch.zeros(1, *input_shape))
    return made

def normed(batch_norm, *, classes):
    return nn.Sequential(nn.BatchNorm1d(12) if batch_norm else nn.Identity(), nn.Linear(12, classes))

def anything(**kwargs):
    assert kwargs == {"size": 3}
    return nn.Linear(12, 3)

class Broken(nn.Module):
    def __init__(self):
        raise ZeroDivisionError("by the user")

def several():
    return nn.LSTM(12, 3, batch_first=True)

def wrong(classes): return nn.Linear(12, classes + 1)
def unfit(): return nn.Linear(7, 3)
def text(): return "no module"
def of_a_sibling(classes):
    import user_sibling_of_models
    return user_sibling_of_models.head(classes)
made = nn.Linear(12, 3)
"""
numbers = itertools.count()


@pytest.fixture
def user(tmp_path, monkeypatch) -> str:
    """A module of the user's in the current folder, under a name of its own."""
    name = f"user_models_{next(numbers)}"
    (tmp_path / f"{name}.py").write_text(USER)
    (tmp_path / "user_sibling_of_models.py").write_text(
        "from torch import nn\ndef head(classes): return nn.Linear(12, classes)"
    )
    monkeypatch.chdir(tmp_path)
    return name


def built(name, seed=0, shape=(12,), classes=3, **settings):
    return build_model(ModelConfig(name=name, **settings), shape, classes, seed)


def test_a_callable_of_the_user_gets_what_it_has_parameters_for(user):
    model = built(f"{user}:net", width=5, shape=(2, 6), arguments={"depth": 2})
    sizes = [(layer.in_features, layer.out_features) for layer in model if isinstance(layer, nn.Linear)]
    assert sizes == [(12, 5), (5, 5), (5, 3)]
    assert isinstance(built(f"{user}:normed", batch_norm=True)[0], nn.BatchNorm1d)
    assert isinstance(built(f"{user}:anything", arguments={"size": 3}), nn.Linear)
    assert built(f"{user}:of_a_sibling").out_features == 3


def test_weights_of_a_users_model_come_from_the_seed_alone(user):
    before = torch.random.get_rng_state()
    one, same, other = (built(f"{user}:net", seed=seed, width=4)[1].weight for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(
    ("attribute", "settings", "said"),
    [
        ("nett", {}, "did you mean net"),
        ("Broken", {}, r"Broken\(\) cannot be built: ZeroDivisionError: by the user"),
        ("text", {}, "returned a value of type str"),
        ("made", {}, "made is a value of type Linear; expected package.module:callable"),
        ("wrong", {}, r"logits of shape \(2, 3\).*got a value of shape \(2, 4\)"),
        ("unfit", {}, r"failed on two inputs of shape \(12,\): RuntimeError"),
        ("several", {}, r"logits of shape|failed on two inputs"),
        ("net", {"arguments": {"width": 3}}, "leave out width, which the study gives"),
        ("normed", {"width": 8}, "has no parameter 'width'"),
        ("net", {"batch_norm": True}, "has no parameter 'batch_norm'"),
        ("net", {"arguments": {"depht": 3}}, r"net\(.*depht=3.*cannot be built: TypeError"),
    ],
)
def test_what_is_wrong_with_a_users_model_is_said(user, attribute, settings, said):
    with pytest.raises(StudyError, match=said):
        built(f"{user}:{attribute}", **settings)


def test_the_error_of_the_users_code_is_kept_as_the_cause(user):
    with pytest.raises(StudyError) as caught:
        built(f"{user}:Broken")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_module_that_is_not_there_is_named():
    with pytest.raises(StudyError, match="there is no module 'nowhere_to_be_found'"):
        built("nowhere_to_be_found:net")


@pytest.mark.parametrize(
    ("name", "near"),
    [("resnet81", "resnet18"), ("mpl", "mlp"), ("torchvision.resnet81", "resnet18"), ("cnn_5", "cnn5")],
)
def test_the_nearest_name_is_offered(name, near):
    with pytest.raises(StudyError, match=f"did you mean .*{near}"):
        built(name, shape=(3, 32, 32))


def test_models_of_the_table_take_no_arguments():
    with pytest.raises(StudyError, match="mlp takes none, got depth; its settings are width and batch_norm"):
        built("mlp", arguments={"depth": 3})


def test_a_model_of_torchvision_is_the_one_its_own_builder_makes():
    torchvision = pytest.importorskip("torchvision")
    model = built("torchvision.resnet18", seed=3, shape=(3, 32, 32), arguments={"width_per_group": 64})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        theirs = torchvision.models.resnet18(weights=None, num_classes=3).state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in model.state_dict().items())
    assert model.training


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"width": 2}, "model.width is 2, but torchvision.resnet18 has no parameter 'width'"),
        ({"batch_norm": True}, "has no parameter 'batch_norm'"),
        ({"arguments": {"weights": "DEFAULT"}}, "leave out weights"),  # nothing is downloaded
        ({"arguments": {"num_classes": 7}}, "leave out num_classes"),
        ({"arguments": {"groups": 7}}, "cannot be built: ValueError"),
    ],
)
def test_settings_that_a_model_of_torchvision_does_not_have_are_refused(settings, said):
    pytest.importorskip("torchvision")
    with pytest.raises(StudyError, match=said):
        built("torchvision.resnet18", shape=(3, 32, 32), **settings)


def test_torchvision_that_is_not_installed_is_asked_for(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torchvision", None)
    with pytest.raises(MissingDependency, match=r"pip install 'transect\[vision\]'"):
        built("torchvision.resnet18", shape=(3, 32, 32))


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_a_trained_network_is_loaded_from_its_file(tmp_path, suffix):
    trained, path = built("mlp", seed=5, width=4, batch_norm=True), tmp_path / f"trained{suffix}"
    save = safetensors.torch.save_file if suffix == ".safetensors" else torch.save
    save(trained.state_dict(), path)
    config = ModelConfig(name="mlp", width=4, batch_norm=True, checkpoint=str(path))
    loaded = load_network(config, (12,), 3)
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in trained.state_dict().items())
    assert not loaded.training


def test_files_of_other_networks_and_files_with_code_are_refused(tmp_path):
    torch.save(built("mlp", width=4).state_dict(), tmp_path / "other.pt")
    torch.save(built("mlp", width=4), tmp_path / "code.pt")
    for name, said in [("other", "does not fit the model"), ("code", "Unpickling would run code"), ("no", "no file")]:
        config = ModelConfig(name="mlp", width=5, checkpoint=str(tmp_path / f"{name}.pt"))
        with pytest.raises(InvalidInput, match=said):
            load_network(config, (12,), 3)
    with pytest.raises(StudyError, match="expected a file of weights"):
        load_network(ModelConfig(name="mlp"), (12,), 3)
