"""Run tables made by hand, with curves of a known shape."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from transect.storage.tables import RUN_SCHEMA, make_table

WIDTHS = (10, 20, 40, 80, 160)
_TEXTS = {"study": "hand-made", "model": "mlp"}
_COUNTS = {"schema_version": 1, "parameters": 1000, "paths": 48, "segments": 384, "unresolved": 0}

# A double descent: the test error and the deviation peak at 40, the density only rises; 80 interpolates.
DESCENT = {
    "train_error": [0.5, 0.3, 0.1, 0.005, 0.0],
    "test_error": [0.5, 0.55, 0.6, 0.5, 0.4],
    "absolute_deviation": [10.0, 40.0, 100.0, 60.0, 25.0],
    "normalised_deviation": [5.0, 8.0, 12.0, 9.0, 6.0],
    "density": [1.0, 2.0, 3.0, 6.0, 10.0],
    "crossings": [20.0, 40.0, 60.0, 120.0, 200.0],
}


def sweep(widths=WIDTHS, seeds=(0, 1), **curves) -> pa.Table:
    """A run table; each curve has a value a width, ``(W,)``, or one a width and seed, ``(W, K)``."""
    curves = {name: _by_seed(values, len(seeds)) for name, values in ({**_fitting(widths), **curves}).items()}
    rows = []
    for w, width in enumerate(widths):
        for k, seed in enumerate(seeds):
            values = {name: values[w, k] for name, values in curves.items()}
            rows += [_row(width, seed, split) | values for split in ("train", "test")]
    return make_table(rows)


def _fitting(widths):
    return DESCENT if len(widths) == len(WIDTHS) else {}


def _by_seed(values, seeds):
    values = np.asarray(values, dtype=float)
    return np.repeat(values[:, None], seeds, axis=1) if values.ndim == 1 else values


def _row(width, seed, split):
    numbers = dict.fromkeys(RUN_SCHEMA.names, 0.5)
    return numbers | _TEXTS | _COUNTS | {"width": width, "seed": seed, "split": split, "label_noise": 0.2}
