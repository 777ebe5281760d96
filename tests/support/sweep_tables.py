"""Run tables and path tables made by hand, with curves of a known shape."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa

from transect.study.columns import RUN_SCHEMA
from transect.tables.files import make_table

WIDTHS = (10, 20, 40, 80, 160)

# A double descent: the test error and the deviation peak at 40, the density only rises; 80 interpolates.
DESCENT = {
    "train_error": [0.5, 0.3, 0.1, 0.005, 0.0],
    "test_error": [0.5, 0.55, 0.6, 0.5, 0.4],
    "absolute_deviation": [10.0, 40.0, 100.0, 60.0, 25.0],
    "scaled_deviation": [5.0, 8.0, 12.0, 9.0, 6.0],
    "density": [1.0, 2.0, 3.0, 6.0, 10.0],
    "crossings": [20.0, 40.0, 60.0, 120.0, 200.0],
}

ROW = {
    "study": "hand-made",
    "run": "0123456789",
    "label": "",
    "data": "mnist1d",
    "label_noise": 0.2,
    "model": "mlp",
    "batch_norm": False,
    "measuring": "9876543210",
    "epoch": 100,
    "last": True,
    "kind": "circle",
    "around": "samples",
    "samples": "all",
    "legacy": "",
    "method": "exact",
    "parameters": 1000,
    "paths": 48,
    "segments": 384,
    "unresolved": 0,
}
"""What a row says that a test does not change."""


def sweep(widths=WIDTHS, seeds=(0, 1), **curves) -> pa.Table:
    """A run table of both splits; each curve has a value a width, ``(W,)``, or one a width and seed, ``(W, K)``."""
    curves = {name: _by_seed(values, len(seeds)) for name, values in ({**_fitting(widths), **curves}).items()}
    rows = []
    for w, width in enumerate(widths):
        for k, seed in enumerate(seeds):
            values = {name: values[w, k] for name, values in curves.items()}
            rows += [_row(width, seed, split) | values for split in ("train", "test")]
    return make_table(rows, RUN_SCHEMA)


def rows_of(positions=WIDTHS, seeds=(0, 1), over="width", columns=None, **curves) -> list[dict]:
    """Rows of one split, as mappings: those of :func:`sweep`, with ``columns`` changed (a value or one a row)."""
    curves = {name: _by_seed(values, len(seeds)) for name, values in ({**_fitting(positions), **curves}).items()}
    places = list(itertools.product(range(len(positions)), range(len(seeds))))
    return [
        _row(32, seeds[k], "train")
        | {over: positions[p]}
        | {name: values[p, k] for name, values in curves.items()}
        | (columns or {})
        for p, k in places
    ]


def table_of(*parts: list[dict]) -> pa.Table:
    """A run table of all these rows; what they do not have is empty."""
    return make_table([row for part in parts for row in part], RUN_SCHEMA)


def _fitting(widths):
    return DESCENT if len(widths) == len(WIDTHS) else {}


def _by_seed(values, seeds):
    values = np.asarray(values, dtype=float)
    return np.repeat(values[:, None], seeds, axis=1) if values.ndim == 1 else values


def _row(width, seed, split):
    numbers = dict.fromkeys(RUN_SCHEMA.names, 0.5)
    known = {name: value for name, value in ROW.items() if name in RUN_SCHEMA.names}

    return numbers | known | {"width": width, "seed": seed, "split": split}
