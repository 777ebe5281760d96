"""A trace, drawn: outputs, chords, crossings, all at their places."""

from __future__ import annotations

import io

import pytest
import torch
from torch import nn

import transect
from transect.errors import InvalidInput


def hat() -> nn.Module:
    """Two outputs of one number x: |x| and relu(x - 1)."""
    first, second = nn.Linear(1, 3), nn.Linear(3, 2, bias=False)
    with torch.no_grad():
        first.weight.copy_(torch.tensor([[1.0], [-1.0], [1.0]]))
        first.bias.copy_(torch.tensor([0.0, 0.0, -1.0]))
        second.weight.copy_(torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]))
    return nn.Sequential(first, nn.ReLU(), second)


@pytest.fixture(scope="module")
def trace() -> transect.Trace:
    return transect.trace(hat(), transect.Path([[-2.0], [2.0], [0.5]]))


def curves(axes, dashes: str) -> list[list[tuple[float, float]]]:
    lines = [line for line in axes.get_lines() if line.get_linestyle() == dashes and len(line.get_xdata())]
    return [[tuple(point) for point in line.get_xydata().round(12).tolist()] for line in lines]


def test_outputs_and_their_chords_lie_where_the_function_says(trace):
    above = trace.plot(outputs=[0]).axes[0]
    assert curves(above, "-") == [[(0, 2), (2, 0), (3, 1), (4, 2)], [(4, 2), (5, 1), (5.5, 0.5)]]
    assert curves(above, "--") == [[(0, 2), (4, 2)], [(4, 2), (5.5, 0.5)]]


def test_ticks_mark_the_crossings_along_the_path(trace):
    below = trace.plot().axes[1]
    ticks = max((each.get_segments() for each in below.collections), key=len)
    borders = [segment[0][0] for each in below.collections for segment in each.get_segments() if segment[1][1] == 1]
    found = [segment[0][0] for each in below.collections for segment in each.get_segments() if segment[1][1] != 1]
    assert sorted(found) == pytest.approx([2.0, 3.0, 5.0])
    assert borders == pytest.approx([0.0, 4.0, 5.5])
    assert len(ticks) == 3


def test_the_histogram_is_in_crossings_per_unit_of_length(trace):
    below = trace.plot().axes[1]
    (stairs,) = below.patches
    heights, edges, _ = stairs.get_data()
    assert sum(heights * (edges[1:] - edges[:-1])) == pytest.approx(3)
    assert (edges[0], edges[-1]) == (0, 5.5)


def test_the_outputs_that_bend_most_are_chosen():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 20), nn.ReLU(), nn.Linear(20, 6))
    with torch.no_grad():
        model[2].weight[[0, 3]] *= 1e-3
        model[2].weight[5] *= 1e-6
    trace = transect.trace(model, transect.Path(torch.randn(3, 3)), outputs=[1, 2, 3, 4, 5])
    labels = trace.plot().axes[0].get_legend_handles_labels()[1]
    assert labels == ["output 1", "output 2", "output 4", "affine interpolation"]
    labels = trace.plot(outputs=[5, 3]).axes[0].get_legend_handles_labels()[1]
    assert labels == ["output 5", "output 3", "affine interpolation"]


def test_the_title_counts_regions(trace):
    assert trace.plot().get_suptitle() == "5 linear regions on 2 segments"
    assert trace.plot(title="Ours").get_suptitle() == "Ours"


def test_an_affine_function_without_crossings_can_be_drawn():
    figure = transect.trace(nn.Linear(2, 1), transect.Path([[0.0, 0.0], [1.0, 2.0]])).plot()
    figure.savefig(io.BytesIO(), format="png")
    assert figure.get_suptitle() == "1 linear region on 1 segment"


@pytest.mark.parametrize(("outputs", "said"), [([0, 2], r"those traced, \(0, 1\); got \[2\]"), ([], "at least one")])
def test_outputs_that_were_not_traced_are_refused(trace, outputs, said):
    with pytest.raises(InvalidInput, match=said):
        trace.plot(outputs=outputs)


def test_a_trace_that_kept_its_measures_only_is_refused():
    trace = transect.trace(hat(), transect.Path([[-2.0], [2.0]]), keep="measures")
    with pytest.raises(InvalidInput, match='keep="all"'):
        trace.plot()
