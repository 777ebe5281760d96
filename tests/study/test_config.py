"""Studies as grids: frozen, checked, hashed."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from transect.errors import StudyError
from transect.study.checks import check_study
from transect.study.config import MeasuringConfig, StudyConfig
from transect.study.data import load
from transect.study.data.load import load_data
from transect.study.files import demo_study
from transect.study.models import build_model
from transect.study.running import measuring
from transect.study.sections import (
    SETTINGS_OF_DATA,
    SETTINGS_OF_KIND,
    DataConfig,
    DataName,
    PathConfig,
    PathKind,
    canonical_json,
)
from transect.study.training.steps import batches
from transect.tables.files import with_settings

PLAIN = {"model": {"width": [9, 16]}, "train": {"epochs": 3, "seed": [0, 1]}}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"modle": {}}, r"unknown key 'modle' \(did you mean model\?"),
        ({"train": {"epoch": 3}}, r"train: unknown key 'epoch' \(did you mean epochs\?"),
        ({"data": {"xyz": 3}}, "valid keys are name, folder"),
        ({"train": {"epochs": 0}}, "train.epochs: .*got 0"),
        ({"data": {"label_noise": [0.1, 1.2]}}, "data.label_noise: .*got 1.2"),
        ({"paths": {"kind": "circel"}}, "paths.kind: .*'circle'.*got 'circel'"),
        ({"model": {"width": []}}, "width: expected at least one value"),
        ({"train": {"seed": [1, 1]}}, "every value of a list once"),
        ({"train": 3}, "train: "),
        ({"train": [3]}, "train: "),
        ({"measures": {"epoch": "first"}}, "measures.epoch"),
    ],
)
def test_wrong_settings_are_named(given, said):
    with pytest.raises(StudyError, match=said):
        StudyConfig.parse(PLAIN | given)


@pytest.mark.parametrize(
    ("section", "names", "table", "makers"),
    [
        (DataConfig, DataName, SETTINGS_OF_DATA, {**load._SIGNALS, **load._IMAGES}),
        (PathConfig, PathKind, SETTINGS_OF_KIND,
         {*measuring._TRANSLATIONS, *measuring._OF_SAMPLES, "between_same_class", "between_classes"}),
    ],
)  # fmt: skip
def test_every_data_set_and_kind_of_paths_has_a_maker_and_says_which_settings_it_has(section, names, table, makers):
    assert set(get_args(names)) == set(table) == set(makers)
    assert {setting for settings in table.values() for setting in settings} <= set(section.model_fields)


OUT_OF_BOUNDS = [
    ("data", "seed", [2**63, -1, True, "1", 0.0, 10**30]),
    ("data", "noise_seed", [2**64, 1.5]),
    ("data", "label_noise", [-0.1, 1.1, float("nan"), float("inf"), True, "0.2"]),
    ("data", "train_samples", [0, -5, 10**12, "many", 4000.0, True]),
    ("data", "validation_samples", [-1, 10**12, False]),
    ("data", "image_size", [0, 10**6, "8"]),
    ("data", "folder", ["", "a\x1b[31m", "a\nb", "a\x00", "\u202egnp.exe", "x" * 5000]),
    ("data", "download", [1, "yes"]),
    ("model", "width", [0, -3, 10**9, True, "8", 8.0, float("nan")]),
    ("model", "batch_norm", [1, "true"]),
    ("model", "name", ["", "ml\x07p", 3]),
    ("model", "arguments", [{"a": "b\x1b"}, {"a\x1b": 1}, {"a": float("nan")}, {"a": [{"b": float("inf")}]}]),
    ("model", "checkpoint", ["", "a\x9b.pt"]),
    ("train", "learning_rate", [0, -1.0, float("inf"), float("nan"), True, "0.1"]),
    ("train", "momentum", [-0.1, 1.5, float("nan")]),
    ("train", "weight_decay", [-1e-9, float("inf")]),
    ("train", "epochs", [0, 10**9, True, 3.0]),
    ("train", "batch_size", [0, 10**12]),
    ("train", "milestones", [[3, 3], [5, 4], [0], [True], ["a"]]),
    ("train", "decay", [0.0, 1.5, float("nan")]),
    ("train", "stop_error", [-0.1, 2.0, "0"]),
    ("train", "crop", [-1, 10**6]),
    ("train", "checkpoint_every", [0]),
    ("train", "seed", [2**63, True]),
    ("train", "order_seed", [-1, 2**63]),
    ("paths", "paths", [0, 10**9]),
    ("paths", "anchors", [1, 10**9, 8.5]),
    ("paths", "radius", [0, -1, float("inf"), 1e9]),
    ("paths", "shift", [0.0, float("nan")]),
    ("paths", "scale", [-0.1, 1.0, True]),
    ("measures", "rtol", [0.0, 1.0, float("nan")]),
    ("measures", "max_samples", [17, 10**15, True]),
    ("measures", "first_paths", [0]),
    ("measures", "epoch", [0, True, 1.5, "first"]),
]


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [(section, key, value) for section, key, values in OUT_OF_BOUNDS for value in values],
)
def test_settings_are_bounded_where_they_are_read(section, key, value):
    value = [value] if key == "milestones" else value
    with pytest.raises(StudyError, match=rf"{section}\.{key}") as caught:
        StudyConfig.parse({section: {key: value}})
    assert len(str(caught.value)) < 500
    assert str(caught.value).replace("\n", "").isprintable()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"train": {"seed": [0, 1, 0]}}, "seed: expected every value of a list once, got 0 twice"),
        ({"data": {"label_noise": [0, 0.0]}}, "label_noise: .*once"),
        ({"model": [{"width": 3}, {"width": 3}]}, "once"),
        ({"paths": {"split": ["train", "train"]}}, "split: .*once, got 'train' twice"),
        ({"train": {"seed": list(range(1000)), "order_seed": list(range(1000))}}, "at most 100000"),
        ({"train": {"seed": list(range(1000))}, "data": {"seed": list(range(1000))}}, "at most 100000 networks"),
        ({"paths": {"kind": "Circle"}}, r"paths.kind: .*got 'Circle' \(did you mean circle"),
        ({"data": {"name": "cifar-10"}}, r"data.name: .*did you mean cifar10"),
        ({"train": {"optimizer": "sdg"}}, r"did you mean sgd"),
        *(
            ({"name": name}, "name: ")
            for name in ("a/b", "..", "a\\b", ".hidden", "", "a\x1bb", " a", "x" * 200, "c:d")
        ),
        ({"title": "a\x1b[2J"}, "title: .*control characters"),
    ],
)
def test_lists_names_and_choices_are_checked_where_they_are_read(given, said):
    with pytest.raises(StudyError, match=said):
        StudyConfig.parse(given)


def test_the_largest_seeds_are_taken():
    largest = 2**63 - 1
    data = {"name": "digits", "seed": largest, "noise_seed": largest, "train_samples": 5, "test_samples": 5}
    study = StudyConfig.parse({"data": data | {"label_noise": 0.5}, "train": {"seed": largest, "order_seed": largest}})
    (network,) = study.networks()
    found = load_data(network.data)
    assert len(next(iter(batches(found, network.train, 3)))[0]) == 5
    build_model(network.model, found.input_shape, found.classes, network.train.seed)


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"model": {"name": "mpl"}}, r"no model 'mpl' \(did you mean mlp"),
        ({"model": {"name": "mlp", "arguments": {"depth": 3}}}, "mlp takes none, got depth"),
        ({"model": {"name": "torchvision.resnet18", "width": 8}}, "torchvision.resnet18 has no parameter 'width'"),
        ({"model": {"name": "torchvision.resnet18", "batch_norm": False}}, "has no parameter 'batch_norm'"),
        ({"model": {"checkpoint": "a.pt"}, "train": {"epochs": 3}}, "train.epochs: all networks come from files"),
    ],
)
def test_settings_that_describe_nothing_are_refused_before_anything_is_built(sections, said):
    with pytest.raises(StudyError, match=said):
        check_study(StudyConfig.parse(sections))


def test_all_problems_are_listed_at_once_and_each_once():
    with pytest.raises(StudyError) as caught:
        StudyConfig.parse({"model": {"width": 0}, "data": {"seed": -1}, "train": {"lerning_rate": 1, "seed": [0, 1]}})
    text = str(caught.value)
    assert all(word in text for word in ["model.width", "data.seed", "learning_rate"])
    assert text.count("lerning_rate") == 1


def test_it_is_frozen():
    with pytest.raises(ValidationError):
        StudyConfig.parse(PLAIN).name = "other"


def test_networks_are_the_grid_of_data_model_and_training_and_the_last_list_varies_fastest():
    config = StudyConfig.parse({"data": {"label_noise": [0.0, 0.2]}, **PLAIN})
    found = [(one.data.label_noise, one.model.width, one.train.seed) for one in config.networks()]
    assert found == [(noise, width, seed) for noise in (0.0, 0.2) for width in (9, 16) for seed in (0, 1)]


def test_ways_of_measuring_are_the_grid_of_paths_and_measures_and_train_nothing_anew():
    config = StudyConfig.parse(PLAIN | {"paths": {"split": ["train", "test"]}, "measures": {"epoch": [1, "last"]}})
    found = [(one.paths.split, one.measures.epoch) for one in config.measurings()]
    assert found == [("train", 1), ("train", "last"), ("test", 1), ("test", "last")]
    assert config.epochs() == (1, "last")
    assert [one.hash() for one in config.networks()] == [one.hash() for one in StudyConfig.parse(PLAIN).networks()]


def test_a_section_given_several_times_is_all_its_variants_one_after_the_other():
    kinds = [{"kind": "circle", "radius": [2.0, 4.0]}, {"kind": "arc", "anchors": 7}]
    config = StudyConfig.parse({"paths": kinds})
    assert [(one.kind, one.radius, one.anchors) for one in config.paths] == [
        ("circle", 2.0, 8),
        ("circle", 4.0, 8),
        ("arc", 4.0, 7),
    ]


def test_ways_of_measuring_can_be_listed_in_place_of_a_grid():
    ways = [
        {"paths": {"kind": "circle", "split": ["train", "test"]}},
        {"paths": {"kind": "arc"}, "measures": {"method": "estimate"}},
        {"measures": {"drop_last_region": True}},
    ]
    config = StudyConfig.parse(PLAIN | {"ways": ways})
    found = [(one.paths.kind, one.paths.split, one.measures.method) for one in config.measurings()]
    assert found == [
        ("circle", "train", "exact"),
        ("circle", "test", "exact"),
        ("arc", "train", "estimate"),
        ("shift_scale_circle", "train", "exact"),
    ]
    assert StudyConfig.parse(config.model_dump(mode="json")) == config
    with pytest.raises(StudyError, match=r"in place of .paths."):
        StudyConfig.parse({"paths": {"split": "test"}, "ways": ways})
    with pytest.raises(StudyError, match=r"ways.paths: unknown key 'knid' \(did you mean kind\?"):
        StudyConfig.parse({"ways": [{"paths": {"knid": "arc"}}]})


def test_a_setting_that_is_a_list_itself_takes_a_list_of_lists_for_a_grid():
    one = StudyConfig.parse({"train": {"schedule": "step", "milestones": [3, 5]}})
    assert [train.milestones for train in one.train] == [(3, 5)]
    two = StudyConfig.parse({"train": {"milestones": [[3, 5], [4]]}})
    assert [train.milestones for train in two.train] == [(3, 5), (4,)]
    arguments = {"layers": [1, 2]}
    assert StudyConfig.parse({"model": {"arguments": arguments}}).model[0].arguments == arguments


def test_the_hash_is_that_of_what_determines_a_network():
    def hash_of(**sections):
        return StudyConfig.parse(sections).networks()[0].hash()

    same = [
        {"train": {"checkpoint_every": 1, "tensorboard": True, "evaluate_every": 7}},
        {"data": {"folder": "elsewhere", "download": True}},
        {"paths": {"anchors": 4}},
        {"measures": {"method": "estimate"}},
        {"name": "other"},
    ]
    other = [
        {"train": {"epochs": 4}},
        {"train": {"seed": 1}},
        {"train": {"device": "auto"}},
        {"data": {"noise_seed": 1}},
        {"model": {"width": 3}},
        {"model": {"name": "cnn1d"}},
        {"model": {"arguments": {"a": 1}}},
    ]
    assert {hash_of(**sections) for sections in same} == {hash_of()}
    assert len({hash_of(**sections) for sections in other} | {hash_of()}) == 1 + len(other)


def test_a_folder_of_images_counts_by_what_is_in_it_and_by_its_place_while_that_is_not_known():
    def hash_of(folder, name="images", contents=()):
        given = {"data": {"name": name, "folder": folder}, "contents": contents}
        return StudyConfig.parse(given).networks()[0].hash()

    assert hash_of("data/cifar10") == hash_of(str(Path("data/cifar10").resolve())) != hash_of("/elsewhere/cifar10")
    assert hash_of("here", contents=[{"data": "a"}]) == hash_of("there", contents=[{"data": "a"}])
    assert hash_of("here", contents=[{"data": "a"}]) != hash_of("here", contents=[{"data": "b"}])
    assert hash_of("here", "cifar10") == hash_of("there", "cifar10")  # torchvision compares it with what is published


def test_all_samples_can_be_asked_for_in_a_file():
    (data,) = StudyConfig.parse({"data": {"name": "digits", "train_samples": "all", "test_samples": ["all"]}}).data
    assert (data.train_samples, data.test_samples) == (None, None)
    (data,) = StudyConfig.parse({"data": {"train_samples": "all"}}).data  # of generated data, as published
    assert (data.train_samples, data.test_samples) == (4000, 1000)


def test_ways_of_measuring_have_hashes_of_their_own():
    given = [{}, {"paths": {"seed": 1}}, {"paths": {"rolled_closure": True}}, {"measures": {"epoch": 3}}]
    assert len({MeasuringConfig.model_validate(sections).hash() for sections in given}) == 4


def test_labels_say_what_differs_and_are_unique():
    config = StudyConfig.parse({"data": {"label_noise": [0.0, 0.2]}, **PLAIN})
    labels = [label for _, label in config.labels()]
    assert labels[0] == "label_noise 0.0, width 9, seed 0"
    assert len(set(labels)) == 8
    assert [label for _, label in StudyConfig().labels()] == ["width 1"]


def some(values, most=3):
    return st.lists(values, min_size=1, max_size=most, unique_by=lambda value: canonical_json({"": value}))


SEEDS = some(st.integers(0, 2))
WORDS = st.text("ab ,01.", min_size=1, max_size=6) | st.sampled_from(["None", "True", "a, seed 1", "checkpoint b"])
ARGUMENTS = st.dictionaries(
    st.sampled_from(["seed", "depth", "a.b", "data.seed", "a b"]),
    st.none() | st.booleans() | st.integers(0, 1) | st.sampled_from([0.0, 1.0]) | WORDS | st.lists(st.integers(0, 1)),
    max_size=2,
)
GRIDS = st.fixed_dictionaries(
    {},
    optional={
        "data": st.fixed_dictionaries(
            {}, optional={"seed": SEEDS, "noise_seed": SEEDS, "name": some(st.sampled_from(["mnist1d", "digits"])),
                          "folder": some(WORDS), "label_noise": some(st.sampled_from([0.0, 0.1, 1.0]))},
        ),
        "model": st.fixed_dictionaries(
            {}, optional={"name": some(st.sampled_from(["own:mlp", "own:net"])), "width": some(st.integers(1, 3)),
                          "arguments": some(ARGUMENTS), "checkpoint": some(WORDS | st.none())},
        ),
        "train": st.fixed_dictionaries(
            {}, optional={"seed": SEEDS, "order_seed": some(st.none() | st.integers(0, 1)),
                          "learning_rate": some(st.sampled_from([0.1, 1e-17, 0.1 + 1e-17, 0.10000000000000002])),
                          "milestones": some(st.lists(st.integers(1, 3), max_size=2, unique=True).map(sorted))},
        ),
    },
)  # fmt: skip


@given(GRIDS)
@settings(deadline=None, max_examples=150)
def test_networks_of_any_grid_have_labels_and_hashes_of_their_own(grid):
    study = StudyConfig.parse(grid)
    labels = [label for _, label in study.labels()]
    assert len(set(labels)) == len(labels) == len(study.networks())
    places = [(network.hash(), network.data.folder) for network in study.networks()]
    assert len(set(places)) == len(labels)


@pytest.mark.parametrize(
    ("grid", "said"),
    [
        ({"data": {"seed": [0, 1]}, "train": {"seed": [0, 1]}}, "data.seed 1, seed 0"),
        ({"model": {"name": ["mlp", "cnn1d"]}, "data": {"name": "digits"}}, "model mlp"),
        ({"model": {"name": "own:net", "arguments": [{"depth": 1}, {"depth": 2, "seed": 3}]}},
         "depth 2, arguments.seed 3"),
        ({"model": {"name": "own:net", "arguments": [{}, {"depth": 2}]}}, "depth not given"),
        ({"model": [{"name": "own:net", "arguments": {"depth": 2}}, {"width": [3, 4], "batch_norm": True}]},
         "model own:net, depth 2"),
    ],
)  # fmt: skip
def test_labels_name_the_section_where_the_key_alone_would_not_say(grid, said):
    assert said in [label for _, label in StudyConfig.parse(grid).labels()]


@pytest.mark.parametrize(
    ("grid", "said"),
    [
        ({"train": {"checkpoint_every": [1, 2]}}, "checkpoint_every 1 and checkpoint_every 2"),
        ({"train": {"tensorboard": [True, False], "seed": [0, 1]}}, "tensorboard"),
        ({"data": {"name": "cifar10", "folder": ["a", "b"]}}, "folder a and folder b"),
        ({"data": {"name": "images", "folder": ["a", "./a"]}}, "folder a and folder ./a"),
        ({"ways": [{"paths": {"seed": 1}}, {"paths": {"seed": 1}}]}, "ways"),
    ],
)
def test_variants_that_make_the_same_network_are_refused(grid, said):
    with pytest.raises(StudyError, match=rf"(?s)the same.*{said}|{said}.*the same"):
        check_study(StudyConfig.parse(grid))


def test_settings_without_a_column_are_told_as_variants_and_ways():
    given = {"train": {"learning_rate": [0.1, 0.2], "seed": [0, 1]}, "paths": {"radius": [2.0, 4.0], "split": "test"}}
    config = StudyConfig.parse(given)
    assert config.variants() == tuple(f"learning_rate {rate}" for rate in (0.1, 0.1, 0.2, 0.2))
    assert config.way_names() == ("radius 2.0", "radius 4.0")
    assert StudyConfig.parse(PLAIN).variants() == ("",) * 4


def test_it_survives_json():
    config = demo_study()
    assert StudyConfig.parse(config.model_dump(mode="json")) == config


def test_the_demo_has_widths_on_both_sides_and_the_seeds_asked_for():
    config = demo_study(seeds=3)
    widths = [one.width for one in config.model]
    assert [one.seed for one in config.train] == [0, 1, 2]
    assert 8 <= len(widths) <= 11
    assert min(widths) <= 12
    assert max(widths) >= 300


def test_arguments_of_models_are_settings_of_their_own():
    arguments = [{"depth": 1, "units": [3, 4]}, {"depth": 2}, {"depth": 0.5, "units": [3]}]
    networks, ways = StudyConfig.parse({"model": {"name": "own:net", "arguments": arguments}}).swept()
    assert ways == [{}]
    assert networks == [
        {"model.arguments.depth": depth, "model.arguments.units": units}
        for depth, units in ((1, "[3, 4]"), (2, None), (0.5, "[3]"))
    ]
    assert with_settings(pa.schema([]), networks).types == [pa.float64(), pa.string()]
