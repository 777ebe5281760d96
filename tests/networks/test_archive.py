"""Saved programs: loaded as they were, and never run, unpickled or evaluated while they are loaded."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import transect
from support.exported import PROGRAM, SAMPLE, SHAPE, WEIGHTS, changed, convnet, save, skip_without_archives
from support.harm import Harm
from transect.errors import InvalidInput
from transect.networks import load_model
from transect.networks.files import load_program
from transect.support.untrusted import is_size


class Varied(nn.Module):
    """Strings, sizes, constants, a part without gradients: what is written into the file of a program."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular")
        self.register_buffer("scale", torch.rand(1, 4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        y = functional.interpolate(torch.relu(self.convolution(x)), scale_factor=2, mode="bilinear")
        y = torch.einsum("bchw,dc->bdhw", y, torch.tensor([[1.0, 2.0, 3.0, 4.0]] * 4)) * self.scale
        with torch.no_grad():
            z = functional.pad(y, (1, 1, 1, 1), mode="reflect")
        return z.reshape(x.size(0), -1).clamp(0, 3).chunk(2, 1)[1]


@pytest.mark.parametrize("model", [convnet(), Varied().eval()], ids=["convnet", "varied"])
def test_a_program_computes_what_the_module_did(model: nn.Module, tmp_path: Path):
    loaded = load_model(str(save(model, tmp_path / "model.pt2")))
    x = torch.randn(5, *SHAPE, generator=torch.Generator().manual_seed(1))
    assert loaded.input_shape == SHAPE
    torch.testing.assert_close(loaded.module(x), model(x), rtol=0, atol=0)
    network, own = (transect.capture(module, x) for module in (loaded.module, model))
    assert network.units == own.units
    torch.testing.assert_close(network(x), own(x))


def _text(old: str, new: str) -> Callable[[bytes], bytes]:
    def change(contents: bytes) -> bytes:
        assert old in contents.decode()
        return contents.decode().replace(old, new).encode()

    return change


def _harm(where: str, folder: Path) -> tuple[str, Callable[[bytes], bytes]]:
    """A record, and how it is changed so that ``torch.export.load`` could make a folder."""
    code = f"__import__('os').mkdir('{folder}')"
    pickled = io.BytesIO()
    torch.save(((Harm(folder),), {}), pickled)
    return {
        "pickle": (SAMPLE, lambda contents: pickled.getvalue()),
        "pickled weight": (WEIGHTS, _text('"use_pickle": false', '"use_pickle": true')),
        "path of a weight": (WEIGHTS, _text('"weight_0"', '"../weight_0"')),
        "size": (
            PROGRAM,
            _text('"as_int": 3}, {"as_int": 8}', f'"as_expr": {{"expr_str": "{code}"}}}}, {{"as_int": 8}}'),
        ),
        "attribute in a size": (PROGRAM, _text("positive=True", "positive=().__class__")),
        "operation": (PROGRAM, _text("torch.ops.aten.relu.default", "torch.os.mkdir")),
        "file operation": (PROGRAM, _text("torch.ops.aten.relu.default", "torch.ops.aten.save.default")),
        "name": (PROGRAM, _text('"relu"', json.dumps(f"relu = 0; {code}; x"))),
        "tree": (PROGRAM, _text("builtins.dict", "collections.defaultdict")),
    }[where]


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("pickle", "pickled Python objects"),
        ("pickled weight", "pickled Python objects"),
        ("path of a weight", "weight_0"),
        ("size", "expr_str"),
        ("attribute in a size", "expr_str"),
        ("operation", r"the operation 'torch\.os\.mkdir'"),
        ("file operation", r"the operation 'torch\.ops\.aten\.save\.default'"),
        ("name", "as name"),
        ("tree", "in_spec"),
    ],
)
def test_files_that_loading_could_run_are_refused(where: str, message: str, tmp_path: Path):
    path = changed(save(convnet(), tmp_path / "model.pt2"), *_harm(where, tmp_path / "harm"))
    with pytest.raises(InvalidInput, match=rf"was not loaded: .*{message}.*package\.module:callable"):
        load_program(path)
    assert not (tmp_path / "harm").exists()


def test_code_of_guards_is_left_out(tmp_path: Path):
    code = f"__import__('os').mkdir('{tmp_path / 'harm'}') or True"

    def guarded(contents: bytes) -> bytes:
        return json.dumps(json.loads(contents) | {"guards_code": [code]}).encode()

    loaded = load_model(str(changed(save(convnet(), tmp_path / "model.pt2"), PROGRAM, guarded)))
    assert transect.capture(loaded.module, torch.zeros(SHAPE)).units == (144, 36)
    assert not (tmp_path / "harm").exists()


def test_a_program_of_a_fixed_batch_is_refused_with_the_way_to_export_it(tmp_path: Path):
    path = save(convnet(), tmp_path / "model.pt2", dynamic=False)
    with pytest.raises(InvalidInput, match=r"fixes its batch.*\(3, 3, 8, 8\).*dynamic_shapes=\(\{0: "):
        load_model(str(path))


class Two(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x + y


def test_a_program_of_two_inputs_is_refused(tmp_path: Path):
    sizes = ({0: torch.export.Dim.DYNAMIC},) * 2
    program = torch.export.export(Two(), (torch.zeros(3, 4), torch.ones(3, 4)), dynamic_shapes=sizes)
    skip_without_archives()
    torch.export.save(program, tmp_path / "two.pt2")
    with pytest.raises(InvalidInput, match="takes 2 inputs; expected one"):
        load_model(str(tmp_path / "two.pt2"))


@pytest.mark.parametrize("kind", ["absent", "empty", "garbage", "cut short", "of weights"])
def test_files_that_are_no_programs_are_named(kind: str, tmp_path: Path):
    path = tmp_path / "model.pt2"
    if kind == "of weights":
        torch.save(convnet().state_dict(), path)
    elif kind == "cut short":
        path.write_bytes(save(convnet(), path).read_bytes()[:-3000])
    elif kind != "absent":
        path.write_bytes(b"" if kind == "empty" else b"garbage" * 100)
    message = "there is no file" if kind == "absent" else r"damaged, or was not saved by torch\.export\.save"
    with pytest.raises(InvalidInput, match=rf"model\.pt2.*{message}|{message}.*model\.pt2"):
        load_model(str(path))


def test_a_program_of_an_older_torch_is_named_with_the_way_out(tmp_path: Path):
    path = tmp_path / "model.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("serialized_exported_program.json", "{}")
    with pytest.raises(InvalidInput, match=r"model\.pt2 was saved by a version of torch before 2\.8.*save it again"):
        load_model(str(path))


_SIZE = "Symbol('s{}', positive=True, integer=True)"


@pytest.mark.parametrize(
    "expression",
    [
        "Pow(s31, Integer(99999999))",
        "9**9**9",
        "Pow(Integer(9), Pow(Integer(9), Integer(9)))",
        "PowByNatural(s31, s31)",
        "Pow(s31, -9999999)",
        "Pow(Pow(Pow(Pow(s31, 8), 8), 8), 8)",
        "Mul(" + ", ".join(["Pow(Integer(9223372036854775806), Integer(8))"] * 5) + ")",
        "Pow(Add(" + ", ".join(f"s{index}" for index in range(60)) + "), Integer(8))",
        "Mul(" + ", ".join(["Add(s1, s2)"] * 9) + ")",
        "FloorDiv(Pow(Add(s1, s2, s3), 8), Pow(Add(s4, s5, s6, s7, s8, s9, s10, s11, s12, s13, s14, s15), 8))",
        "Max(" + ", ".join(f"s{index}" for index in range(99)) + ")",
        "Integer(" + "9" * 4000 + ")",
        "9" * 6000,
        "Integer('99')",
        "1e308",
        "Rational(1, 10**10)",
        "-" * 9000 + "s31",
        "Add(" * 60 + "s31" + ", 1)" * 60,
        "+".join(["s31"] * 9000),
        "1 << 99999999999",
        "Symbol('s31', **{'positive': True})",
        "Add()",
    ],
)
def test_sizes_that_would_grow_are_refused_before_anything_works_them_out(expression: str):
    assert not is_size(expression)


@pytest.mark.parametrize(
    "expression",
    [
        _SIZE.format(31),
        f"Mul(Integer(3), Pow({_SIZE.format(5)}, Integer(2)), {_SIZE.format(6)})",
        f"Add(FloorDiv(Add({_SIZE.format(5)}, Integer(-1)), Integer(2)), Integer(1))",
        f"Mul(Rational(1, 2), {_SIZE.format(0)})",
        "Mod(s0, 2) + s1 // 2",
    ],
)
def test_sizes_of_real_programs_are_taken(expression: str):
    assert is_size(expression)


def test_a_size_that_would_grow_is_refused_in_a_file(tmp_path: Path):
    bomb = _text("Symbol('s", "Pow(9**9**9, 99) + Symbol('s")
    path = changed(save(convnet(), tmp_path / "model.pt2"), PROGRAM, bomb)
    with pytest.raises(InvalidInput, match=r"Pow.* could grow without bound"):
        load_program(path)


def _compressed(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/models/model.json", b" " * 10_000_000 + b"{}")


def _twice(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/models/model.json", "{}")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a/models/model.json", "[]")


def _elsewhere(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/../models/model.json", "{}")


def _overlapping(path: Path) -> None:
    """The second entry of the directory gives the bytes of the first once more."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/models/model.json", "{}" * 99)
        archive.writestr("a/models/other.json", "{}" * 99)
        archive.getinfo("a/models/other.json").header_offset = 0


def _inflated(path: Path) -> None:
    """The directory says that a record has a terabyte."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/models/model.json", "{}")
        archive.getinfo("a/models/model.json").file_size = archive.getinfo("a/models/model.json").compress_size = 2**40


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (_compressed, r"is compressed, [\d,]+ bytes that say they are 10,000,002"),
        (_twice, "two of its records have one name"),
        (_elsewhere, r"the name of its record 'a/\.\./models/model\.json' leads elsewhere"),
        (_overlapping, "longer than its place"),
        (_inflated, "longer than its place"),
    ],
)
def test_archives_that_are_not_what_they_say_are_refused(write: Callable[[Path], None], message: str, tmp_path: Path):
    write(tmp_path / "model.pt2")
    with pytest.raises(InvalidInput, match=rf"model\.pt2 is damaged.*{message}"):
        load_program(tmp_path / "model.pt2")


@pytest.mark.parametrize(
    ("record", "change", "said"),
    [
        ("weight_0", lambda contents: b"", r"of shape \[4, 3, 3, 3\] has only 0 bytes"),
        (WEIGHTS, _text('{"as_int": 36}', '{"as_int": 3600000000}'), r"\[5, 3600000000\] has only 720 bytes"),
        (PROGRAM, lambda contents: b"[" * 100_000, r"\(2\.\S*\)\.$"),
        (PROGRAM, _text("aten.relu.default", "aten.no_such.default"), r"\(2\.\S*\)\.$"),
        (PROGRAM, _text('"as_int": 36', '"as_int": ' + "9" * 4000), r"\(2\.\S*\)\.$"),
        (SAMPLE, lambda contents: contents[:-30], r"\(2\.\S*\)\.$"),
    ],
)
def test_damage_inside_is_told_in_our_words_alone(record, change, said: str, tmp_path: Path, capfd):
    path = changed(save(convnet(), tmp_path / "model.pt2"), record, change)
    with pytest.raises(InvalidInput, match=said):
        load_program(path)
    assert capfd.readouterr() == ("", "")
