"""A folder of weights as models."""

from __future__ import annotations

import gc
import weakref

import pytest
import safetensors.torch
import torch

from support.measured import mlp, paths
from transect import checkpoints, measure
from transect.errors import InvalidInput


def saved(folder, names, width=12):
    for seed, name in enumerate(names):
        state = mlp(width, seed).state_dict()
        (folder / name).parent.mkdir(exist_ok=True)
        if name.endswith(".safetensors"):
            safetensors.torch.save_file(state, folder / name)
        else:
            torch.save(state, folder / name)


def test_rows_are_those_of_the_models_in_natural_order(tmp_path):
    names = ["epoch_9.safetensors", "epoch_10.pt", "epoch_100.pth"]
    saved(tmp_path, names)
    (tmp_path / "notes.txt").write_text("not weights")
    found = measure(checkpoints(tmp_path, mlp), paths(3), progress=False)
    assert found.models == ("epoch_9", "epoch_10", "epoch_100")
    expected = measure([mlp(12, seed) for seed in range(3)], paths(3), progress=False)
    for name in ("crossings", "mean_deviation", "total_variation"):
        assert found.column(name).tolist() == expected.column(name).tolist()


def test_a_builder_may_want_the_path_and_a_pattern_may_choose(tmp_path):
    saved(tmp_path, ["width_5/a.pt"], width=5)
    saved(tmp_path, ["width_7/a.pt", "width_7/b.pt"], width=7)
    found = checkpoints(tmp_path, lambda file: mlp(int(file.parent.name.split("_")[1])), "**/a.*")
    assert list(found) == ["width_5/a", "width_7/a"]
    assert [found[name][0].out_features for name in found] == [5, 7]
    assert not found["width_5/a"].training
    assert repr(found) == "Checkpoints(2: width_5/a to width_7/a)"


def test_two_files_of_one_stem_keep_their_suffix(tmp_path):
    saved(tmp_path, ["a.pt", "a.safetensors", "b.pt"])
    assert list(checkpoints(tmp_path, mlp)) == ["a.pt", "a.safetensors", "b"]


def test_only_one_model_is_in_memory(tmp_path):
    saved(tmp_path, [f"{k}.pt" for k in range(4)])
    alive: weakref.WeakSet[torch.nn.Module] = weakref.WeakSet()
    most = 0

    def build():
        nonlocal most
        made = mlp()
        alive.add(made)
        gc.collect()
        most = max(most, len(alive))
        return made

    assert len(measure(checkpoints(tmp_path, build), paths(2), progress=False)) == 8
    assert most == 1


def test_what_does_not_fit_is_named_before_anything_is_measured(tmp_path):
    saved(tmp_path, ["a.pt"])
    saved(tmp_path, ["b.pt"], width=5)
    steps = []
    with pytest.raises(InvalidInput, match=r"b\.pt does not fit the model"):
        measure(checkpoints(tmp_path, mlp), paths(2), progress=steps.append)
    assert steps == []


def test_errors(tmp_path):
    with pytest.raises(InvalidInput, match="there is no folder"):
        checkpoints(tmp_path / "nowhere", mlp)
    with pytest.raises(InvalidInput, match=r"no file of .* ends in \.safetensors, \.pt, \.pth"):
        checkpoints(tmp_path, mlp)
    saved(tmp_path, ["a.pt"])
    with pytest.raises(InvalidInput, match=r"no file of .* fits 'epoch\*' and ends in"):
        checkpoints(tmp_path, mlp, "epoch*")
    with pytest.raises(InvalidInput, match="builder: expected a function"):
        checkpoints(tmp_path, None)
    with pytest.raises(InvalidInput, match=r"builder: expected a torch\.nn\.Module for .*a\.pt, got .* dict"):
        measure(checkpoints(tmp_path, dict), paths(1))


def test_every_ending_that_weights_have_is_taken(tmp_path):
    saved(tmp_path, ["a_1.pt", "a_2.pth", "a_3.ckpt", "a_4.bin", "a_5.pth.tar", "a_6.tar", "a_7.safetensors"])
    found = checkpoints(tmp_path, mlp)
    assert list(found) == [f"a_{index}" for index in range(1, 8)]
    assert len(list(found.values())) == 7
