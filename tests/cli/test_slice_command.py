"""``transect slice``: what it finds, prints and writes, and the message of every error a user can cause with it."""

from __future__ import annotations

import csv
import json
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import nn

import transect
from support.commands import NETWORKS, run_command, write_inputs
from transect.cli import slice as slicing
from transect.slicing.result import Slice


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """``run(words)``: exit code, what was printed, and what was said of an error, on one line."""
    monkeypatch.chdir(tmp_path)
    points = {"a": [0.0, 0.0], "b": [1.0, 0.0], "c": [0.0, 1.0], "m": [0.5, 0.5]}
    write_inputs(tmp_path, "sliced_networks", points, ["one.png", "two.png", "three.png", "four.png"])
    return partial(run_command, capsys, "slice")


@pytest.fixture
def figures(monkeypatch):
    """What figures were asked for."""
    asked: list[dict] = []
    monkeypatch.setattr(Slice, "plot", lambda self, **options: asked.append(options) or Figure())
    return asked


TRIANGLE = ("sliced_networks:hinges", "--shape", "2", "--through", "a.npy", "b.npy", "c.npy")
SQUARE = ("sliced_networks:hinges", "--shape", "2", "--around", "m.npy")
CONVNET = ("sliced_networks:convnet", "--shape", "3,8,8")
IMAGES = ("--through", "one.png", "two.png", "three.png")


def pixels(file: str) -> torch.Tensor:
    return torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1).double() / 255


def model(name: str) -> nn.Module:
    namespace: dict = {}
    exec(NETWORKS, namespace)
    return namespace[name]()


def test_a_triangle_has_the_regions_borders_and_deviation_we_know(run):
    code, out, err = run(*TRIANGLE, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    row = found["measures"]
    assert (row["regions"], row["borders"]) == (4, 3)
    assert row["area"] == pytest.approx(1 / 2)
    assert row["region_density"] == pytest.approx(8)
    assert row["border_length"] == pytest.approx(3 / 4 + 1 / 2 + 1 / 4)
    assert row["border_density"] == pytest.approx(3)
    assert (row["smallest_region"], row["largest_region"]) == pytest.approx((1 / 32, 1 / 2 - (3 / 4) ** 2 / 2))
    assert row["largest_slope"] == pytest.approx(3)
    # 3/2 x less the hinges: the integral of relu(x - c) is (1 - c)^3 / 6
    deviation = (3 / 2) / 6 - (0.75**3 + 0.5**3 + 0.25**3) / 6
    assert row["absolute_deviation"] == pytest.approx(deviation)
    assert row["mean_deviation"] == pytest.approx(2 * deviation)
    assert [(entry["units"], entry["border_length"]) for entry in found["operations"]] == [(3, pytest.approx(1.5))]
    areas = {entry["class"]: entry["area"] for entry in found["classes"]}
    assert areas == {"not positive": pytest.approx(7 / 32), "positive": pytest.approx(9 / 32)}
    assert found["verification"]["error"] < 1e-12
    assert sorted(map(tuple, found["plane"]["corners"])) == sorted(map(tuple, found["plane"]["anchors"]))
    assert found["notes"] == []


def test_a_person_sees_tables(run):
    code, out, _ = run(*CONVNET, *IMAGES)
    assert code == 0
    assert re.match(r"sliced_networks:convnet: [\d,]+ regions on a triangle of area [\d.]+, exactly; differs", out)
    first_words = [line.split()[0] for line in out.splitlines() if line.strip()]
    assert {"measure", "regions", "borders", "deviation", "operation", "largest", "Images"} <= set(first_words)
    assert "were not normalised" in out
    shares = [float(share) for share in re.findall(r"([\d.]+)%", out)]
    assert sum(shares) == pytest.approx(100, abs=0.3)
    assert shares == sorted(shares, reverse=True)


def test_the_numbers_are_those_of_the_library(run, figures, tmp_path: Path):
    words = (*CONVNET, *IMAGES, "--margin", "0.1", "--mean", "0.5", "--std", "0.25,0.5,1")
    code, out, _ = run(*words, "--json", "--out", "found", "--colour", "class")
    assert code == 0
    found = json.loads(out)
    mean, std = torch.tensor(0.5), torch.tensor([0.25, 0.5, 1.0]).reshape(3, 1, 1)
    points = [(pixels(file) - mean) / std for file in IMAGES[1:]]
    theirs = transect.slice(model("convnet"), transect.Plane.through(*points, margin=0.1))
    row = found["measures"]
    assert (row["regions"], row["borders"], row["vertices"]) == (theirs.regions, theirs.borders, theirs.vertices)
    assert (row["border_length"], row["mean_slope"]) == pytest.approx((theirs.border_length, theirs.mean_slope))
    assert [entry["area"] for entry in found["classes"]] == pytest.approx(theirs.class_areas.tolist())
    assert "absolute_deviation" not in row
    assert sorted(path.name for path in (tmp_path / "found").iterdir()) == [
        "slice.csv",
        "slice.png",
        "slice.safetensors",
    ]
    assert transect.load_slice("found/slice.safetensors").polygons.area.tolist() == theirs.polygons.area.tolist()
    with open("found/slice.csv", newline="") as file:
        (written,) = csv.DictReader(file)
    assert written["model"] == "sliced_networks:convnet"
    assert {name: float(written[name]) for name in row if name != "method"} == pytest.approx(
        {name: value for name, value in row.items() if name != "method"}
    )
    assert figures == [{"title": "sliced_networks:convnet", "colour": "class"}]
    assert Image.open("found/slice.png").width > 100


def test_measures_alone_have_no_figure_not_even_an_earlier_one(run, figures):
    Path("found").mkdir()
    Path("found/slice.png").write_bytes(b"of another slice")
    code, out, _ = run(*TRIANGLE, "--keep", "measures", "--out", "found")
    assert code == 0
    assert "Written: found/slice.csv" in out
    assert sorted(path.name for path in Path("found").iterdir()) == ["slice.csv", "slice.safetensors"]
    assert transect.load_slice("found/slice.safetensors").kept is None
    assert figures == []


def test_what_there_may_be_no_room_for_keeps_its_measures(run, monkeypatch):
    monkeypatch.setattr(slicing, "MAX_BYTES", 10)
    monkeypatch.setattr(slicing, "LONG", 0.0)
    code, out, err = run(*TRIANGLE, "--out", "found")
    assert code == 0
    assert "There may be no room for the polygons: measures only. --keep all tries." in out
    assert err.startswith("Forecast: an area of 0.5: about 4 (4 to 4) regions")
    assert transect.load_slice("found/slice.safetensors").kept is None
    assert "no room" not in run(*TRIANGLE, "--keep", "measures")[1]
    assert "no room" not in run(*TRIANGLE, "--keep", "all")[1]


def test_a_square_is_as_large_as_asked_and_goes_where_asked(run):
    def corners(*words: str) -> np.ndarray:
        code, out, err = run(*words, "--json")
        assert code == 0, err
        return np.array(json.loads(out)["plane"]["corners"])

    assert np.abs(corners(*SQUARE)).max() == pytest.approx(0.1 * 0.5**0.5)  # a tenth of the length of the input
    assert np.abs(corners(*SQUARE, "--radius", "0.25")).max() == 0.25
    towards = corners(*SQUARE, "--directions", "a.npy", "b.npy")
    assert np.abs(towards).max() == pytest.approx(0.5**0.5)  # as far as a and b are
    principal = ("--directions", "principal", "one.png", "two.png", "three.png", "four.png", "--radius", "1")
    assert np.abs(corners(*CONVNET, "--around", "one.png", *principal)).max() == 1


def test_directions_are_those_of_the_library(run):
    four = torch.stack([pixels(f"{name}.png") for name in ("one", "two", "three", "four")])
    words = (*CONVNET, "--around", "one.png", "--radius", "2", "--json")
    cases = {
        (): {},
        ("--directions", "random"): {},
        ("--directions", "random", "--seed", "7"): {"seed": 7},
        ("--seed", "7"): {"seed": 7},
        ("--directions", "principal", "one.png", "two.png", "three.png", "four.png"): {"principal": four},
        ("--directions", "two.png", "three.png"): {"to": (four[1], four[2])},
    }
    for more, options in cases.items():
        code, out, err = run(*words, *more)
        assert code == 0, err
        plane = transect.Plane.around(four[0], 2.0, **options)
        regions = transect.slice(model("convnet"), plane, keep="measures").regions
        assert json.loads(out)["measures"]["regions"] == regions


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (TRIANGLE[:3], "say where to slice: --through FILE FILE FILE, or --around FILE"),
        ((*TRIANGLE, "--around", "m.npy"), "say where to slice"),
        ((*TRIANGLE, "--radius", "1"), "radius, directions, seed: they are those of the square of --around"),
        ((*TRIANGLE, "--directions", "random"), "radius, directions, seed: they are those of the square of --around"),
        ((*TRIANGLE, "--seed", "1"), "radius, directions, seed: they are those of the square of --around"),
        ((*TRIANGLE, "--margin", "-1"), "margin: expected a number that is at least 0"),
        ((*SQUARE, "--margin", "1"), "margin: it is that of the rectangle of --through"),
        ((*SQUARE, "--radius", "-1"), "radius: expected a positive, finite number"),
        ((*SQUARE, "--radius", "nan"), "radius: expected a positive, finite number"),
        ((*SQUARE, "--directions", "a.npy"), "directions: expected random, principal and the files of at least 3"),
        ((*SQUARE, "--directions", "random", "a.npy"), "directions: expected random, principal and the files"),
        ((*SQUARE, "--directions", "principal", "a.npy", "b.npy"), "directions: expected random, principal and"),
        ((*SQUARE, "--directions", "a.npy", "b.npy", "--seed", "1"), "seed: it is that of --directions random"),
        ((*SQUARE, "--directions", "a.npy", "m.npy"), "expected three different inputs"),
        ((*TRIANGLE[:3], "--around", "a.npy"), "radius: a.npy is zero, and has no length to take a part of"),
        ((*TRIANGLE[:3], "--through", "a.npy", "b.npy", "b.npy"), "expected three different inputs"),
        ((*TRIANGLE[:3], "--through", "a.npy", "b.npy", "nowhere.npy"), "nowhere.npy: there is no such file"),
        ((*TRIANGLE[:3], "--through", "a.npy", "b.npy"), "--through"),
        ((*TRIANGLE[:3], "--through", "one.png", "b.npy", "c.npy"), "which are no images; give arrays as .npy files"),
        ((*TRIANGLE, "--mean", "0.5", "--std", "0.1"), "arrays are taken as they are"),
        ((*CONVNET, *IMAGES, "--mean", "0.5"), "mean, std: give both"),
        ((*TRIANGLE, "--colour", "class"), "colour: it is that of the figure, which --out FOLDER writes"),
        ((*TRIANGLE, "--colour", "class", "--out", "x", "--keep", "measures"), "colour: it is that of the figure"),
        (("sliced_networks:smooth", *TRIANGLE[1:]), "aten.gelu.default"),
    ],
)
def test_what_cannot_be_sliced_says_why(run, words, message):
    code, out, err = run(*words)
    assert (code, out) == (1 if words[0].endswith("smooth") else 2, ""), err
    assert message in err
    assert "Traceback" not in err


def test_one_region_is_one_region(run):
    np.save("corner.npy", np.array([0.1, 0.1]))
    code, out, _ = run("sliced_networks:hinges", "--shape", "2", "--around", "corner.npy", "--radius", "0.01")
    assert (code, out.startswith("sliced_networks:hinges: 1 region on a domain of area")) == (0, True)
