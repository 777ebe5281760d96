"""Files of weights: what is in them arrives in the model, and nothing in them is run."""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from support.harm import Harm
from transect.errors import InvalidInput, OutOfMemory
from transect.networks import load_weights, read_weights


def _model(width: int = 5) -> nn.Module:
    return nn.Sequential(nn.Linear(4, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, 2))


def _prefixed(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: value for name, value in state.items()}


WRITTEN: dict[str, Callable[[dict[str, Tensor], Path], object]] = {
    "weights.safetensors": safetensors.torch.save_file,
    "weights.pt": torch.save,
    "weights.pth": torch.save,
    "checkpoint.pt": lambda state, path: torch.save({"state_dict": state, "epoch": 3}, path),
    "model.pt": lambda state, path: torch.save({"model": state, "optimizer": {"lr": 0.1}}, path),
    "nested.pt": lambda state, path: torch.save({"model_state_dict": state, "loss": torch.ones(())}, path),
    "parallel.pt": lambda state, path: torch.save(_prefixed("module.", state), path),
    "compiled.safetensors": lambda state, path: safetensors.torch.save_file(_prefixed("_orig_mod.", state), path),
    "training.safetensors": lambda state, path: safetensors.torch.save_file(
        _prefixed("model.", state) | {"optimizer.0.step": torch.ones(())}, path
    ),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_weights_arrive_in_the_model(name: str, tmp_path: Path):
    trained, model = _model(), _model()
    nn.init.normal_(trained[1].running_mean)
    WRITTEN[name](trained.state_dict(), tmp_path / name)
    load_weights(model, tmp_path / name)
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in trained.state_dict().items())


@pytest.mark.parametrize("write", [
    lambda harm, path: torch.save(harm, path),
    lambda harm, path: torch.save({"state_dict": {"0.weight": harm}}, path),
    lambda harm, path: torch.save(harm, path, _use_new_zipfile_serialization=False),
    lambda harm, path: path.write_bytes(pickle.dumps(harm)),
], ids=["alone", "in a checkpoint", "old format", "pickle"])  # fmt: skip
def test_a_malicious_pickle_is_refused_and_not_run(write: Callable[[Harm, Path], object], tmp_path: Path):
    path, folder = tmp_path / "weights.pt", tmp_path / "harm"
    write(Harm(folder), path)
    with pytest.raises(InvalidInput, match=r"weights\.pt .*run code of the file.*state_dict\(\)"):
        read_weights(path)
    assert not folder.exists()


def test_a_module_pickled_whole_is_refused_with_the_way_to_save_it(tmp_path: Path):
    torch.save(_model(), tmp_path / "model.pt")
    with pytest.raises(InvalidInput, match=r"whole pickled module.*nothing in it was loaded.*model\.state_dict\(\)"):
        read_weights(tmp_path / "model.pt")


@pytest.mark.parametrize("name", ["weights.pt", "weights.safetensors"])
@pytest.mark.parametrize("contents", [b"", b"garbage" * 100, None], ids=["empty", "garbage", "cut short"])
def test_damaged_files_are_named(name: str, contents: bytes | None, tmp_path: Path):
    path = tmp_path / name
    if contents is None:
        WRITTEN[name](_model().state_dict(), path)
        contents = path.read_bytes()[:-200]
    path.write_bytes(contents)
    with pytest.raises(InvalidInput, match=rf"{name} is damaged, or not"):
        read_weights(path)


def test_a_file_that_is_not_there_and_one_of_another_kind_are_named(tmp_path: Path):
    with pytest.raises(InvalidInput, match=r"there is no file .*none\.pt"):
        read_weights(tmp_path / "none.pt")
    (tmp_path / "weights.h5").write_bytes(b"")
    with pytest.raises(InvalidInput, match=r"ends in \.safetensors, .*\.tar, got weights\.h5"):
        read_weights(tmp_path / "weights.h5")


@pytest.mark.parametrize(
    ("found", "described"),
    [
        (torch.zeros(3), "found Tensor"),
        ([torch.zeros(3)], "found list"),
        ({"epoch": 3, "weights": {}}, "keys epoch, weights"),
        ({}, "a dictionary"),
    ],
)
def test_what_is_no_state_dict_is_described(found: object, described: str, tmp_path: Path):
    torch.save(found, tmp_path / "weights.pt")
    with pytest.raises(InvalidInput, match=f"expected a state dict.*under one of state_dict.*{described}"):
        read_weights(tmp_path / "weights.pt")


def test_every_difference_is_listed_and_the_model_is_left_as_it_was(tmp_path: Path):
    model, state = _model(), _model(6).state_dict()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    del state["3.bias"]
    state["head.weight"] = torch.zeros(2)
    torch.save(state, tmp_path / "weights.pt")
    with pytest.raises(InvalidInput) as caught:
        load_weights(model, tmp_path / "weights.pt")
    message = str(caught.value)
    for part in ("expects 9 tensors; the file has 9", "1 missing: 3.bias", "1 unexpected: head.weight",
                 "7 of another shape: 0.weight (6, 4) instead of (5, 4), ", ", ...", "number of classes"):  # fmt: skip
        assert part in message, part
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in before.items())


def _norms() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))


def _weight_normed(new: bool) -> nn.Module:
    norm = nn.utils.parametrizations.weight_norm if new else nn.utils.weight_norm
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return nn.Sequential(norm(nn.Linear(4, 3)), nn.ReLU())


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 4), nn.Linear(4, 4)
        self.last.weight = self.first.weight


def _renamed(state: dict, change: Callable[[str], str]) -> dict:
    return {change(name): value for name, value in state.items()}


WAYS: dict[str, tuple[Callable[[], nn.Module], Callable[[dict], Any]]] = {
    "norms.pt": (_norms, lambda state: {name: value for name, value in state.items() if "num_b" not in name}),
    "wrapped.pth": (_norms, lambda state: _renamed(state, "module._orig_mod.".__add__)),
    "wrapped-again.pth": (_norms, lambda state: _renamed(state, "_orig_mod.module.model.module.".__add__)),
    "inside.bin": (_norms, lambda state: _renamed(state, lambda name: name.replace("0.", "0._orig_mod.", 1))),
    "last.ckpt": (_norms, lambda state: {"state_dict": _renamed(state, "model.".__add__), "epoch": 3}),
    "beside.ckpt": (_norms, lambda state: {"state_dict": {**_renamed(state, "net.".__add__), "loss.w": torch.ones(2)}}),
    "best.pth.tar": (_norms, lambda state: {"epoch": 3, "ema": state, "optimizer": {"lr": 0.1}}),
    "tied.pt": (Tied, lambda state: {name: value for name, value in state.items() if name != "last.weight"}),
    "old-weight-norm.pt": (lambda: _weight_normed(True), lambda state: _renamed(
        state, lambda name: name.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"))),
    "new-weight-norm.pt": (lambda: _weight_normed(False), lambda state: _renamed(
        state, lambda name: name.replace("weight_g", "parametrizations.weight.original0").replace(
            "weight_v", "parametrizations.weight.original1"))),
}  # fmt: skip


@pytest.mark.parametrize("name", WAYS)
def test_what_people_have_is_loaded(name: str, tmp_path: Path):
    build, change = WAYS[name]
    torch.manual_seed(1)
    trained = build()
    torch.manual_seed(2)
    model = build()
    torch.save(change(dict(trained.state_dict())), tmp_path / name)
    load_weights(model, tmp_path / name)
    expected = trained.state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in model.state_dict().items())


def test_lazy_layers_take_their_shapes_from_the_file(tmp_path: Path):
    linear = nn.Linear(4, 5)
    torch.save(linear.state_dict(), tmp_path / "lazy.pt")
    model = nn.LazyLinear(5)
    load_weights(model, tmp_path / "lazy.pt")
    assert torch.equal(model.weight, linear.weight)


def test_tensors_that_nothing_shares_must_all_be_there(tmp_path: Path):
    state = {name: value for name, value in Tied().state_dict().items() if name != "last.bias"}
    torch.save(state, tmp_path / "short.pt")
    with pytest.raises(InvalidInput, match=r"missing: last\.bias"):
        load_weights(Tied(), tmp_path / "short.pt")


def test_one_of_several_different_state_dicts_is_asked_for(tmp_path: Path):
    one, other = _model().state_dict(), {name: value + 1 for name, value in _model().state_dict().items()}
    found: dict[str, Any]
    for found in (
        {"model": one, "ema": other},
        {"state_dict": one, "model_ema": {"state_dict": other}, "epoch": 3},
        {"model": {"net": one, "ema": other}},
    ):
        torch.save(found, tmp_path / "both.pt")
        with pytest.raises(InvalidInput, match=r"several state dicts.*torch\.load\('both\.pt', weights_only=True\)\["):
            read_weights(tmp_path / "both.pt")
    for found in ({"model": one, "ema": dict(one)}, {"model": one, "ema": {}}, {"ema": {"decay": 0.9}, "model": one}):
        torch.save(found, tmp_path / "one.pt")
        assert read_weights(tmp_path / "one.pt").keys() == one.keys()


def _compressed(state: dict[str, Tensor], path: Path) -> None:
    torch.save(state, path.with_suffix(".stored"))
    with (
        zipfile.ZipFile(path.with_suffix(".stored")) as stored,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in stored.namelist():
            new.writestr(name, stored.read(name))


def _overlapping(state: dict[str, Tensor], path: Path) -> None:
    torch.save(state, path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("more", b"0" * 99)
        archive.getinfo("more").header_offset = 0


@pytest.mark.parametrize("write", [
    _compressed,
    _overlapping,
    lambda state, path: path.write_bytes(pickle.dumps(bytearray) + b"\x80\x02" * 9),
    lambda state, path: path.write_bytes(b"\x80\x02cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R."),
    lambda state, path: path.write_bytes(b"\x80\x02" + b"(" * 99_999),
    lambda state, path: path.write_bytes(b"\x80\x04\x8d" + b"\xff" * 8),
    lambda state, path: path.mkdir(),
], ids=["compressed", "overlapping", "pickles", "huge array", "nested", "huge text", "folder"])  # fmt: skip
def test_crafted_files_are_one_error(write: Callable[[dict[str, Tensor], Path], object], tmp_path: Path, capfd):
    write(_model().state_dict(), tmp_path / "weights.pt")
    with pytest.raises(InvalidInput, match=r"weights: .*weights\.pt"):
        read_weights(tmp_path / "weights.pt")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("length", [2**63, 2**40, 100, 0])
def test_headers_of_safetensors_that_declare_too_much_are_one_error(length: int, tmp_path: Path):
    about = b'{"a":{"dtype":"F64","shape":[99999999999,999],"data_offsets":[0,8]}}'
    (tmp_path / "a.safetensors").write_bytes(length.to_bytes(8, "little") + about.ljust(100) + b"\0" * 8)
    with pytest.raises(InvalidInput, match=r"a\.safetensors is damaged, or not a safetensors file"):
        read_weights(tmp_path / "a.safetensors")


def test_a_lack_of_memory_is_called_that(tmp_path: Path, monkeypatch):
    torch.save(_model().state_dict(), tmp_path / "weights.pt")

    def load(*_: object, **__: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(torch, "load", load)
    with pytest.raises(OutOfMemory, match="not enough memory"):
        read_weights(tmp_path / "weights.pt")
