"""``transect trace``: what it finds, prints and writes, and the message of every error a user can cause with it."""

from __future__ import annotations

import json
import re
import struct
import zlib
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

import transect
from support.commands import NETWORKS, run_command, write_inputs
from transect.measures import MEASURES


@pytest.fixture
def trace(capsys, monkeypatch, tmp_path):
    """``trace(words)``: exit code, what was printed, and what was said of an error, on one line."""
    monkeypatch.chdir(tmp_path)
    write_inputs(tmp_path, "traced_networks", {"a": [0.0, 0.0], "b": [1.0, 2.0]}, ["one.png", "other.png"])
    return partial(run_command, capsys, "trace")


HINGES = ("traced_networks:hinges", "--shape", "2", "--from", "a.npy", "--to", "b.npy")
CONVNET = ("traced_networks:convnet", "--shape", "3,8,8")


def pixels(file: str) -> torch.Tensor:
    return torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1).double() / 255


def test_a_line_between_two_arrays_has_the_crossings_we_know(trace):
    code, out, err = trace(*HINGES, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    (row,) = found["segments"]
    length = 5**0.5
    assert (row["crossings"], row["flips"], row["linear_crossings"]) == (3, 3, 3)
    assert row["length"] == pytest.approx(length)
    assert row["density"] == pytest.approx(3 / length)
    # the sum of hinges less its chord: the integral of chord - f, with f(1) = 1.5
    assert row["absolute_deviation"] == pytest.approx(length * (0.75 - (0.75**2 + 0.5**2 + 0.25**2) / 2))
    assert row["total_variation"] == pytest.approx(1.5)
    assert row["slope_similarity"] == pytest.approx(1.0)  # of slopes 1, 2 and 3; the pair with 0 is left out
    assert found["path"]["crossings"] == 3


@pytest.mark.parametrize("sampled", [(), ("--estimate",)])
def test_programs_get_every_listed_measure_and_what_has_no_value_is_empty(trace, sampled):
    np.save("c.npy", np.array([0.1, 0.0]))  # before the first turn: one region, no pair of slopes
    code, out, _ = trace(*HINGES[:-1], "c.npy", "--json", "--out", "found", *sampled)
    assert code == 0
    found = json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    wanted = {one.name for one in MEASURES if one.reducer is not None and (one.estimated or not sampled)}
    head, line = Path("found/segments.csv").read_text().splitlines()
    for said in (found["path"], *found["segments"]):
        assert wanted <= said.keys()
        assert said.get("slope_similarity") is None
    assert wanted <= set(head.replace('"', "").split(","))
    assert sampled or line.endswith(",")


def test_a_person_sees_a_line_a_segment_and_one_for_the_path(trace):
    code, out, _ = trace(*CONVNET, "--around", "one.png", "--radius", "2")
    assert code == 0
    assert re.match(r"traced_networks:convnet: [\d,]+ crossings( and \d+ at anchors)? on a path of length", out)
    lines = [line.split() for line in out.splitlines()]
    assert [line[0] for line in lines if line and line[0].isdecimal()] == [str(index) for index in range(8)]
    assert sum(line[:1] == ["path"] for line in lines) == 1
    assert "were not normalised" in out


def test_the_numbers_are_those_of_the_library(trace, tmp_path: Path):
    words = (*CONVNET, "--around", "one.png", "--radius", "2", "--mean", "0.5", "--std", "0.25,0.5,1")
    code, out, _ = trace(*words, "--json", "--out", "found")
    assert code == 0
    found = json.loads(out)
    namespace: dict = {}
    exec(NETWORKS, namespace)
    normalise = ((0.5,), (0.25, 0.5, 1.0))
    path = transect.paths.translation_circle(pixels("one.png"), radius=2, normalise=normalise)
    theirs = transect.trace(namespace["convnet"](), path)
    assert [row["crossings"] for row in found["segments"]] == theirs.crossings.tolist()
    whole, length = found["path"], float(theirs.length.sum())
    assert whole["crossings"] == int(theirs.crossings.sum())
    assert whole["path_crossings"] == theirs.path_crossings
    assert whole["density"] == pytest.approx(float(theirs.per_length(theirs.crossings)))
    assert whole["density"] == pytest.approx(whole["crossings"] / length)
    deviations = theirs.across_outputs(theirs.absolute_deviation()).tolist()
    assert [row["absolute_deviation"] for row in found["segments"]] == pytest.approx(deviations)
    saved = transect.load_trace("found/trace.safetensors")
    assert torch.equal(saved.segments[3].t, theirs.segments[3].t)
    assert Image.open("found/trace.png").width > 500
    table = Path("found/segments.csv").read_text().splitlines()
    assert table[0].startswith('"segment","length","crossings",')
    assert len(table) == 9
    assert sorted(path.name for path in (tmp_path / "found").iterdir()) == [
        "segments.csv",
        "trace.png",
        "trace.safetensors",
    ]


def test_images_are_resized_and_made_grey_as_the_model_wants_them(trace):
    arguments = ("--arguments", '{"channels": 1}', "--shape", "1,8,8")
    Image.open("one.png").convert("L").save("grey.png")
    grey = trace("traced_networks:convnet", *arguments, "--from", "grey.png", "--to", "other.png", "--json")
    colour = trace("traced_networks:convnet", *arguments, "--from", "one.png", "--to", "other.png", "--json")
    lengths = [json.loads(out)["path"]["length"] for _, out, _ in (grey, colour)]
    assert lengths[0] == pytest.approx(lengths[1], rel=1e-2)  # Pillow rounds greys to 8 bits
    Image.open("one.png").resize((16, 16), Image.Resampling.NEAREST).save("large.png")
    large = trace(*CONVNET, "--from", "large.png", "--to", "other.png", "--json")
    wanted = functional.interpolate(pixels("large.png")[None], size=(8, 8), mode="bilinear", antialias=True)[0]
    assert json.loads(large[1])["path"]["length"] == pytest.approx(float((wanted - pixels("other.png")).norm()))


def test_models_of_torchvision_have_their_own_normalisation(trace):
    pytest.importorskip("torchvision")
    words = ("squeezenet1_1", "--shape", "3,32,32", "--output", "features.2", "--from", "one.png", "--to", "other.png")
    code, out, _ = trace(*words, "--estimate")
    assert code == 0
    assert "less mean 0.485, 0.456, 0.406, over standard deviation 0.229, 0.224, 0.225" in out


def test_an_array_is_taken_as_it_is_also_around_a_circle(trace):
    np.save("one.npy", pixels("one.png").numpy())
    words = ("--radius", "2", "--json")
    plain, array = (trace(*CONVNET, "--around", file, *words)[1] for file in ("one.png", "one.npy"))
    assert json.loads(plain)["segments"] == json.loads(array)["segments"]
    assert json.loads(array)["notes"] == []


def test_an_estimate_says_so_and_is_near(trace):
    code, out, _ = trace(*HINGES, "--estimate", "--json")
    (row,) = json.loads(out)["segments"]
    assert code == 0
    assert row["flips"] == 3
    assert row["absolute_deviation"] == pytest.approx(5**0.5 * (0.75 - 0.4375), rel=1e-2)
    code, out, _ = trace(*HINGES, "--estimate", "--out", "found")
    assert "estimated from" in out
    assert [path.name for path in Path("found").iterdir()] == ["segments.csv"]


def test_a_smooth_model_can_be_estimated_though_not_traced(trace):
    code, out, _ = trace("traced_networks:smooth", *HINGES[1:], "--estimate")
    assert code == 0
    assert "deviation along a path of length 2.236" in out
    assert "Flips: " in out
    (row,) = json.loads(trace("traced_networks:smooth", *HINGES[1:], "--estimate", "--json")[1])["segments"]
    assert "flips" not in row
    assert row["absolute_deviation"] > 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (HINGES[:3], "say where to walk: --from FILE --to FILE, or --around IMAGE"),
        (HINGES[:5], "say where to walk"),
        ((*CONVNET, "--from", "one.png", "--around", "one.png"), "give either --from and --to, or --around"),
        ((*CONVNET, "--around", "nowhere.png"), "cannot read the image nowhere.png: there is no such file"),
        (
            (*HINGES[:3], "--from", "a.npy", "--to", "nowhere.npy"),
            "nowhere.npy: there is no such file",
        ),
        (
            (*HINGES[:3], "--from", "a.npy", "--to", "pickled.npy"),
            "pickled.npy: expected real numbers of shape (2,), found values of",
        ),
        (
            (*HINGES[:3], "--from", "a.npy", "--to", "long.npy"),
            "expected real numbers of shape (2,), found float64 of",
        ),
        ((*HINGES[:3], "--from", "one.png", "--to", "b.npy"), "which are no images; give arrays as .npy files"),
        ((*HINGES[:3], "--from", "a.npy", "--to", "a.npy"), "length zero"),
        ((*CONVNET, "--from", "text.png", "--to", "one.png"), "cannot read the image text.png"),
        ((*CONVNET, "--from", "one.png", "--to", "other.png", "--mean", "0.5"), "mean, std: give both"),
        (
            (*CONVNET, "--around", "one.png", "--mean", "a", "--std", "1"),
            "expected finite numbers with commas",
        ),
        ((*CONVNET, "--around", "one.png", "--mean", "1,2", "--std", "1"), "expected 1 or 3 numbers each"),
        ((*HINGES, "--mean", "0.5", "--std", "0.1"), "arrays are taken as they are"),
        ((*HINGES, "--radius", "4"), "radius, anchors: they are those of the circle"),
        ((*HINGES, "--anchors", "8"), "radius, anchors: they are those of the circle"),
        ((*HINGES, "--rtol", "0.1"), "rtol: it is the tolerance of --estimate"),
        ((*HINGES, "--estimate", "--rtol", "nan"), "rtol: expected"),
        ((*CONVNET, "--around", "one.png", "--radius", "1e300"), "finite number of pixels, got 1e+300"),
        ((*CONVNET, "--around", "one.png", "--anchors", "1000000000"), "at most 100,000, got 1000000000"),
        ((*CONVNET, "--around", "one.png", "--mean", "nan", "--std", "1"), "expected finite numbers"),
        ((CONVNET[0], "--shape", "3,99999999999,8", *HINGES[3:]), "shape: expected one input of at most"),
        ((CONVNET[0], "--shape", "9" * 5000, *HINGES[3:]), "shape: expected the sizes of one input"),
        ((*CONVNET, "--arguments", "[" * 99_999, "--around", "one.png"), "expected a JSON object"),
        (("traced_networks:hinges", *HINGES[3:]), "shape: give the shape of one input"),
        (("traced_networks:smooth", *HINGES[1:]), "aten.gelu.default"),
    ],
)
def test_what_cannot_be_traced_says_why(trace, words, message):
    np.save("pickled.npy", np.array([{"a": 1}, None], dtype=object))
    np.save("long.npy", np.zeros(3))
    Path("text.png").write_text("no image")
    code, out, err = trace(*words)
    assert (code, out) == (1 if words[0].endswith("smooth") else 2, ""), err
    assert message in err


def _header(text: str) -> bytes:
    """What ``numpy.save`` writes before the numbers, with a header of one's own."""
    return b"\x93NUMPY\x01\x00" + len(text.encode()).to_bytes(2, "little") + text.encode()


def _described(shape: str, dtype: str = "<f8", fortran: str = "False") -> bytes:
    return _header(f"{{'descr': '{dtype}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n")


@pytest.mark.parametrize(
    ("name", "contents", "message"),
    [
        ("huge.npy", _described("(9999999999, 9999999)"), "found float64 of shape (9999999999, 9999999)"),
        ("short.npy", _described("(2,)") + b"\0" * 8, "declares 16 bytes of numbers, and 8 follow"),
        ("long.npy", _described("(2,)") + b"\0" * 24, "declares 16 bytes of numbers, and 24 follow"),
        ("object.npy", _described("(2,)", "|O") + b"\0" * 16, "values of type object"),
        ("complex.npy", _described("(2,)", "<c16") + b"\0" * 32, "values of type complex128"),
        ("text.npy", _described("(2,)", "<U2") + b"\0" * 16, "values of type <U2"),
        ("negative.npy", _described("(-2,)") + b"\0" * 16, "found float64 of shape (-2,)"),
        ("digits.npy", _described("(" + "9" * 5000 + ",)"), "it is damaged, or was not written by numpy.save"),
        ("nested.npy", _header("(" * 9000), "it is damaged, or was not written by numpy.save"),
        ("code.npy", _header("__import__('os').mkdir('harm')"), "it is damaged, or was not written by numpy.save"),
        ("version.npy", b"\x93NUMPY\x09\x00" + b"\0" * 99, "it is damaged, or was not written by numpy.save"),
        ("cut.npy", _described("(2,)")[:20], "it is damaged, or was not written by numpy.save"),
        ("zip.npy", b"PK\x03\x04" + b"\0" * 99, "it is a zip archive, such as numpy.savez writes"),
        ("zip.npz", b"PK\x03\x04" + b"\0" * 99, "it is a zip archive, such as numpy.savez writes"),
        ("empty.npy", b"", "it is empty"),
        ("folder.npy", None, "it is a folder"),
        ("nan.npy", _described("(2,)") + np.array([0.0, np.nan]).tobytes(), "finite"),
        ("infinite.npy", _described("(2,)") + np.array([0.0, np.inf]).tobytes(), "finite"),
        ("loud\x1b[31m.npy", b"x", r"loud\x1b[31m.npy: it is damaged"),
    ],
)
def test_arrays_that_are_not_what_they_say_are_one_message(trace, name: str, contents: bytes | None, message: str):
    Path(name).mkdir() if contents is None else Path(name).write_bytes(contents)
    code, out, err = trace(*HINGES[:3], "--from", "a.npy", "--to", name)
    assert (code, out) == (2, ""), err
    assert message in err
    assert "Traceback" not in err
    assert not Path("harm").exists()


def test_arrays_of_other_numbers_and_orders_are_taken(trace):
    np.save("c.npy", np.asfortranarray(np.arange(192.0).reshape(3, 8, 8)))
    np.save("d.npy", np.arange(192, dtype=">i2").reshape(3, 8, 8) + 1)
    np.save("e.npy", np.arange(192.0).reshape(3, 8, 8))
    np.save("f.npy", np.arange(192.0).reshape(3, 8, 8) + 1)
    plain, other = (trace(*CONVNET, "--from", f"{a}.npy", "--to", f"{b}.npy", "--json")[1] for a, b in ("cd", "ef"))
    assert plain == other != ""


def _png(width: int, height: int) -> bytes:
    """A picture of so many pixels, by its own words."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [b"IHDR" + header, b"IDAT" + zlib.compress(b"\0" * 99), b"IEND"]
    chunks = [struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part)) for part in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize(
    ("name", "contents", "message"),
    [
        ("bomb.png", _png(90_000, 90_000), "it declares far more than 134,217,728 pixels"),
        ("large.png", _png(13_000, 11_000), "it declares 13000 x 11000 pixels, and 134,217,728 are the most"),
        ("warned.png", _png(9_500, 9_500), "it is damaged, or no image"),
        ("cut.png", _png(8, 8)[:-20], "it is damaged, or no image"),
        ("half.jpg", b"\xff\xd8\xff\xe0" + b"\0" * 40, "it is damaged, or no image"),
        ("text.png", b"no image", "it is damaged, or no image (PNG, JPEG"),
        ("program.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n", "it is damaged, or no image"),
        ("empty.png", b"", "it is empty"),
        ("folder.png", None, "it is a folder"),
    ],
)
def test_images_that_are_not_what_they_say_are_one_message(trace, name: str, contents: bytes | None, message: str):
    Path(name).mkdir() if contents is None else Path(name).write_bytes(contents)
    code, out, err = trace(*CONVNET, "--from", "one.png", "--to", name)
    assert (code, out) == (2, ""), err
    assert f"cannot read the image {name}: {message}" in err
    assert "Warning" not in err
