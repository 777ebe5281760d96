"""Tables of a made-up but lifelike study: the double descent of the prototype figures, with seeds, noise and faults."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from support.sweep_tables import rows_of, table_of
from transect.study.columns import PATH_SCHEMA
from transect.tables.files import make_table

MNIST_WIDTHS = (9, 16, 27, 36, 47, 61, 80, 104, 177, 300, 600)
# MNIST-1D, MLP 40-h-h-10, 15 % noise, one seed: measured with a prototype.
PROTOTYPE = {
    "train_error": [0.52, 0.43, 0.30, 0.17, 0.07, 0, 0, 0, 0, 0, 0],
    "test_error": [0.55, 0.50, 0.51, 0.54, 0.58, 0.57, 0.53, 0.52, 0.48, 0.47, 0.45],
    "absolute_deviation": [10, 28, 61, 111, 203, 195, 170, 163, 124, 118, 93],
    "crossings": [17, 53, 98, 135, 176, 203, 255, 318, 519, 862, 1737],
}
FAULTS = {
    "repeated_normalisation": 1.5e8,
    "upper_bound_integral": (np.log(MNIST_WIDTHS) * 2).tolist(),
    "drop_last_region": 0.97,
    "repeated_normalisation+upper_bound_integral": 1.2e9,
}


def lifelike(seeds=3, scale=1.0, method="exact", over="width", spread=0.03, **columns) -> list[dict]:
    """Rows of the prototype's sweep, each seed a little different; ``scale`` (one, or one a width) multiplies
    the deviation."""
    random = np.random.default_rng(0)
    values = {name: np.asarray(curve, dtype=float) for name, curve in PROTOTYPE.items()}
    values["absolute_deviation"] = values["absolute_deviation"] * np.asarray(scale)
    values["logit_std"] = np.sqrt(values["absolute_deviation"])
    values["scaled_deviation"] = values["absolute_deviation"] / values["logit_std"]
    values["density"] = values["crossings"] / 25
    values["flips"] = values["crossings"] * 1.03
    values["slope_similarity"] = 1.1 - values["test_error"]
    values["parameters"] = np.asarray(MNIST_WIDTHS, dtype=float) ** 2 + 50 * np.asarray(MNIST_WIDTHS)
    jitter = {name: random.normal(1.0, spread, size=(len(MNIST_WIDTHS), seeds)) for name in values}
    for name in ("parameters", "train_error"):
        jitter[name][:] = 1.0
    by_seed = {name: curve[:, None] * jitter[name] for name, curve in values.items()}
    by_seed["parameters"] = by_seed["parameters"].round()
    rows = rows_of(MNIST_WIDTHS, tuple(range(seeds)), over, columns | {"method": method}, **by_seed)
    empty = ("crossings", "density", "slope_similarity") if method == "estimate" else ()
    return [{**row, **dict.fromkeys(empty)} for row in rows]


def with_noise() -> pa.Table:
    """Two label noises: without noise the error only falls and the deviation is a third."""
    falling = [0.5, 0.4, 0.33, 0.3, 0.27, 0.25, 0.24, 0.23, 0.22, 0.21, 0.2]
    clean = lifelike(scale=1 / 3, label_noise=0.0)
    clean = [row | {"test_error": falling[MNIST_WIDTHS.index(row["width"])]} for row in clean]
    return table_of(clean, lifelike())


def with_faults() -> pa.Table:
    """Right values, and each fault's."""
    return table_of(lifelike(), *(lifelike(scale=scale, legacy=name) for name, scale in FAULTS.items()))


def path_table(kinds, seeds=(0,), paths=200, noises=(0.2,)) -> pa.Table:
    """A path table; ``kinds`` maps (kind, around) to a function of a generator and a count that draws deviations."""
    rows = []
    for noise in noises:
        for (kind, around), draw in kinds.items():
            for seed in seeds:
                deviations = draw(np.random.default_rng([seed, len(rows)]), paths)
                rows += [
                    _path_row(noise, kind, around, seed, path, value * (1 + 5 * noise))
                    for path, value in enumerate(deviations)
                ]
    return make_table(rows, PATH_SCHEMA)


def _path_row(noise, kind, around, seed, path, deviation):
    return {
        "study": "hand-made",
        "run": f"run-{noise}-{seed}",
        "measuring": f"measuring-{kind}-{around}",
        "label_noise": noise,
        "width": 32,
        "seed": seed,
        "epoch": 100,
        "last": True,
        "kind": kind,
        "around": around,
        "split": "train",
        "samples": "all",
        "legacy": "",
        "method": "exact",
        "path": path,
        "absolute_deviation": float(deviation),
        "mean_deviation": float(deviation) / 50,
    }
