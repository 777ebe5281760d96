"""The paths of a study, against the paths made by hand from the prepared samples."""

from __future__ import annotations

import pytest
import torch

from transect.errors import StudyError
from transect.paths import translation_arc, translation_circle
from transect.study.config import PathConfig
from transect.study.data.dataset import DataSet, Normalisation, Split
from transect.study.data.samples import chosen_pairs, chosen_samples
from transect.study.running.measuring import paths_around

RADIUS, ANCHORS = 2.0, 8


def ramps(count: int = 30) -> DataSet:
    """Signal number i is a ramp with mean i: its paths tell which sample they are around."""
    inputs = torch.arange(count, dtype=torch.float32)[:, None] + torch.linspace(-1, 1, 40)
    split = Split.clean(inputs, torch.arange(count) % 2)
    return DataSet("ramps", 2, split, split, split)


def pictures(count: int = 20) -> DataSet:
    """Noise images of 9 x 9 pixels of two classes; those of the test part are others."""
    generator = torch.Generator().manual_seed(0)
    stored = torch.randint(0, 256, (2 * count, 3, 9, 9), generator=generator, dtype=torch.uint8)
    stored[:, 0] //= 2
    labels = torch.arange(count) % 2
    train = Split(stored[:count], torch.where(labels == 0, 1, labels), labels, (labels == 0).nonzero().flatten())
    test = Split.clean(stored[count:], labels)
    nothing = Split.clean(stored[:0], labels[:0])
    return DataSet("pictures", 2, train, nothing, test, Normalisation.of(train.inputs))


def config(**settings) -> PathConfig:
    return PathConfig(**{"kind": "circle", "paths": 5, "radius": RADIUS, "anchors": ANCHORS} | settings)


def means(data: DataSet, settings: PathConfig) -> list[float]:
    """Shift and scale both swing evenly around the sample, so that the mean over the anchors is the sample's."""
    return [round(float(path.anchors.mean()), 6) for path in paths_around(data, settings)]


def test_signals_get_closed_paths_around_different_samples_that_the_seed_chooses():
    data, settings = ramps(), config(kind="shift_scale_circle", paths=10)
    paths = paths_around(data, settings)
    assert all(path.closed and path.anchors.shape == (8, 40) for path in paths)
    assert all(path.anchors.dtype == torch.float64 for path in paths)
    assert means(data, settings) == chosen_samples(data.train, settings).tolist()
    assert means(data, settings) != means(data, config(kind="shift_scale_circle", paths=10, seed=1))


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize(
    ("kind", "one_path", "anchors"), [("circle", translation_circle, 8), ("arc", translation_arc, 5)]
)
def test_images_are_translated_as_pixels_and_then_seen_as_the_network_does(split, kind, one_path, anchors):
    data, settings = pictures(), config(kind=kind, split=split, anchors=anchors)
    chosen = data.split(split).inputs[chosen_samples(data.split(split), settings)]
    for path, image in zip(paths_around(data, settings), chosen, strict=True):
        stored = one_path(image.double(), RADIUS, anchors).anchors.to(torch.uint8)  # whole pixels move: exact
        assert path.closed == (kind == "circle")
        assert torch.equal(path.anchors, data.prepare(stored, torch.float64))


@pytest.mark.parametrize("samples", ["clean", "noisy"])
def test_paths_are_around_samples_of_the_kind_asked_for(samples):
    data, settings = pictures(), config(kind="arc", anchors=2, samples=samples)
    allowed = data.prepare(data.train.inputs[data.train.indices(samples)], torch.float64)
    for path in paths_around(data, settings):
        middle = path.anchors[0, :, 4, 4]  # moved by (2, -2)
        assert bool((allowed[:, :, 6, 2] == middle).all(1).any())


@pytest.mark.parametrize("kind", ["between_same_class", "between_classes"])
def test_lines_lead_from_a_prepared_sample_to_another(kind):
    data, settings = pictures(), config(kind=kind, split="test")
    seen = data.prepare(data.test.inputs, torch.float64)
    starts, ends = chosen_pairs(data.test, settings)
    for path, start, end in zip(paths_around(data, settings), starts, ends, strict=True):
        assert torch.equal(path.anchors, torch.stack([seen[start], seen[end]]))
        assert not path.closed


def test_lines_between_signals():
    data = ramps()
    for path in paths_around(data, config(kind="between_classes")):
        start, end = (round(float(anchor.mean())) for anchor in path.anchors)
        assert (start - end) % 2 == 1


def test_random_images_are_uniform_between_minus_and_plus_one_as_the_network_sees_them():
    paths = paths_around(pictures(), config(around="random", paths=300))
    values = torch.stack([path.anchors[0] for path in paths])[..., 2:7, 4:].transpose(0, 1).reshape(3, -1)
    assert float(values.abs().max()) <= 1 + 1e-12
    for channel in values:
        counts = torch.histc(channel, 4, -1, 1)
        assert bool((counts - counts.mean()).abs().max() < 5 * counts.mean().sqrt())


def test_random_images_are_moved_as_others_and_need_no_samples():
    data = pictures(4)
    first, again, other = (paths_around(data, config(around="random", paths=6, seed=seed))[5] for seed in (1, 1, 2))
    assert torch.equal(
        first.anchors[0, :, :, 4:], first.anchors[4, :, :, :5]
    )  # two pixels to the right, and to the left
    assert torch.equal(first.anchors, again.anchors)
    assert not torch.equal(first.anchors, other.anchors)


def test_repeated_normalisation_normalises_early_anchors_more_often():
    data = pictures()
    mean, std = (part.reshape(3, 1, 1) for part in (data.normalisation.mean, data.normalisation.std))
    rightly, repeatedly = (paths_around(data, config(repeated_normalisation=fault)) for fault in (False, True))
    for right, wrong in zip(rightly, repeatedly, strict=True):
        assert wrong.closed
        for k in range(ANCHORS):
            expected = right.anchors[k]
            for _ in range(ANCHORS - k - 1):
                expected = (expected - mean) / std
            torch.testing.assert_close(wrong.anchors[k], expected, rtol=1e-9, atol=0)


@pytest.mark.parametrize("repeated", [False, True])
def test_rolled_closure_ends_each_path_where_the_next_one_starts(repeated):
    closed = paths_around(pictures(), config(repeated_normalisation=repeated))
    rolled = paths_around(pictures(), config(repeated_normalisation=repeated, rolled_closure=True))
    for index, path in enumerate(rolled):
        assert not path.closed
        assert torch.equal(path.anchors[:-1], closed[index].anchors)
        assert torch.equal(path.anchors[-1], closed[(index + 1) % len(closed)].anchors[0])


def test_a_constant_image_is_named_as_the_sample_it_is():
    data = pictures()
    data.test.inputs[7] = 90
    with pytest.raises(StudyError, match=r"sample 7 of the test part: .*not constant.*Choose another paths.seed"):
        paths_around(data, config(split="test", paths=20))


def test_two_samples_that_are_the_same_are_named():
    data = pictures()
    data.train.inputs[:] = data.train.inputs[0].clone()
    with pytest.raises(StudyError, match=r"between the samples \d+ and \d+ of the train part.*length zero"):
        paths_around(data, config(kind="between_classes"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"paths": 21}, "at least 21 samples in the train part"),
        ({"split": "validation"}, "in the validation part, .*got 0; .*more samples in the section data"),
        ({"kind": "shift_scale_circle"}, "for signals, but pictures has images; use 'circle' or 'arc'"),
        ({"kind": "between_classes", "around": "random"}, "'circle' or 'arc' around random images"),
        ({"around": "random", "samples": "clean"}, "random images have no labels.*'clean'"),
        ({"kind": "arc", "rolled_closure": True}, "rolled_closure: .*circles, got kind 'arc'"),
        ({"kind": "between_classes", "repeated_normalisation": True}, "repeated_normalisation: .*'between_classes'"),
        ({"radius": 0.5, "anchors": 12}, "paths: radius, anchors: .*same pixel.*larger radius"),
        ({"anchors": 2}, "paths: anchors: expected at least 3"),
    ],
)
def test_what_does_not_fit_images_is_refused(settings, message):
    with pytest.raises(StudyError, match=message):
        paths_around(pictures(), config(**settings))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "circle"}, "'circle' translates images, but ramps has signals; use 'shift_scale_circle'"),
        ({"kind": "arc", "around": "random"}, "'arc' translates images"),
        ({"kind": "shift_scale_circle", "around": "random"}, "around random images, got 'shift_scale_circle'"),
        ({"kind": "shift_scale_circle", "paths": 31}, "at least 31 samples"),
    ],
)
def test_what_does_not_fit_signals_is_refused(settings, message):
    with pytest.raises(StudyError, match=message):
        paths_around(ramps(), config(**settings))


def test_a_shift_and_scale_that_give_no_path_name_the_sample():
    data, settings = ramps(3), config(kind="shift_scale_circle", paths=3)
    assert len(paths_around(data, settings)) == 3
    data.train.inputs[1] = 0
    with pytest.raises(StudyError, match=r"sample 1 of the train part: .*length zero"):
        paths_around(data, settings)
