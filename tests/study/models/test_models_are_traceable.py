"""Every network of the table is piecewise affine: the engine accepts it, and finds its function."""

from __future__ import annotations

import pytest
import torch

import transect
from support.study_models import OF_SIGNALS
from transect.study.config import ModelConfig
from transect.study.models import BUILDERS, build_model

DEEP = ("vgg13", "vgg16", "vgg19", "resnet34")  # longer chains of what the others are made of


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in DEEP else ()) for name in BUILDERS]
)
def test_networks_can_be_traced(name, batch_norm):
    shape = (20,) if name in OF_SIGNALS else (2, 8, 8)
    model = build_model(ModelConfig(name=name, width=2, batch_norm=batch_norm), shape, 3, seed=0).double().eval()
    ends = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    trace = transect.trace(transect.capture(model, ends[0]), transect.Path(ends), verify=False)
    (segment,) = trace.segments
    t = segment.t.reshape(-1, *[1] * len(shape))
    with torch.no_grad():
        outputs = model(ends[0] + t * (ends[1] - ends[0]))
    torch.testing.assert_close(segment.outputs, outputs, rtol=1e-9, atol=1e-9 * outputs.abs().max().item())
    assert trace.regions.item() > 1
