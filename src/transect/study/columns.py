"""The columns of the tables of a study."""

from __future__ import annotations

from types import MappingProxyType

import pyarrow as pa

from transect.tables.files import make_schema
from transect.tables.names import MEASURES

_TEXT, _COUNT, _NUMBER, _TRUTH = pa.string(), pa.int64(), pa.float64(), pa.bool_()

RUN = (
    ("study", _TEXT),
    ("run", _TEXT),
    ("label", _TEXT),
    ("data", _TEXT),
    ("label_noise", _NUMBER),
    ("model", _TEXT),
    ("batch_norm", _TRUTH),
    ("width", _COUNT),
    ("seed", _COUNT),
    ("variant", _TEXT),
)
"""Which network: ``run`` is the hash of all its settings, ``label`` says for people how it differs from the others, and
``variant`` the same of those settings that have no column."""

MEASURING = (
    ("measuring", _TEXT),
    ("epoch", _COUNT),
    ("last", _TRUTH),
    ("kind", _TEXT),
    ("around", _TEXT),
    ("split", _TEXT),
    ("samples", _TEXT),
    ("legacy", _TEXT),
    ("method", _TEXT),
    ("way", _TEXT),
)
"""Which way of measuring it: ``measuring`` is the hash of all its settings, ``last`` says whether the epoch is the last
one of the training, ``legacy`` names the faults of the released code that were switched on, joined by ``+``, and
``way`` says what differs from the other ways in settings that have no column."""

_NOT_ALWAYS = ("batch_norm", "width", "seed")
"""Empty of models that have no such setting, and ``seed`` of networks that come from files."""
_ONLY_EXACT = ("anchor_crossings", "path_crossings", "linear_crossings", "unresolved")

SETTING_OF = MappingProxyType(
    {
        "data": "data.name",
        "label_noise": "data.label_noise",
        "model": "model.name",
        "batch_norm": "model.batch_norm",
        "width": "model.width",
        "seed": "train.seed",
        "epoch": "measures.epoch",
        "kind": "paths.kind",
        "around": "paths.around",
        "split": "paths.split",
        "samples": "paths.samples",
        "method": "measures.method",
    }
)
"""Columns of settings that every table has. Any other setting in which the networks or ways of measuring of a study
differ has a column too, after all others, called by its full name: ``train.learning_rate``, ``data.seed``,
``paths.radius``, ``model.arguments.depth``. Numbers and truth values are columns of their type, lists are JSON; what
was not given is empty."""

RUN_SCHEMA: pa.Schema = make_schema(
    *RUN,
    *MEASURING,
    ("parameters", _COUNT),
    ("train_error", _NUMBER),
    ("validation_error", _NUMBER),
    ("test_error", _NUMBER),
    ("train_loss", _NUMBER),
    ("test_loss", _NUMBER),
    ("logit_std", _NUMBER),
    ("weight_norm", _NUMBER),
    ("paths", _COUNT),
    ("segments", _COUNT),
    ("path_length", _NUMBER),
    *((column, _NUMBER) for name in MEASURES for column in (name, f"{name}_std")),
    ("anchor_crossings", _NUMBER),
    ("path_crossings", _NUMBER),
    ("linear_crossings", _NUMBER),
    ("unresolved", _COUNT),
    also_null=(*_NOT_ALWAYS, "validation_error", *MEASURES, *(f"{name}_std" for name in MEASURES), *_ONLY_EXACT),
)
"""The run table: one row for each network and way of measuring it.

Errors are fractions, losses mean cross entropies in nats; the errors and losses on the training part are against the
(noisy) labels the network was trained on. ``logit_std`` is that of the split's own samples. Measures are means over the
paths, with the standard deviations over them as ``*_std``; empty where the method does not give them (samples show no
crossings). ``crossings`` are those inside of segments, ``path_crossings`` these and the anchor crossings, ``density``
crossings per unit of length. Lengths are in units of the network's input.
"""

PER_PATH = (
    ("path", _COUNT),
    ("segments", _COUNT),
    ("path_length", _NUMBER),
    *((name, _NUMBER) for name in MEASURES),
    *((f"{name}_{end}", _NUMBER) for name in ("absolute_deviation", "flips") for end in ("low", "high")),
    ("anchor_crossings", _COUNT),
    ("path_crossings", _COUNT),
    ("linear_crossings", _COUNT),
    ("samples_taken", _COUNT),
    ("converged", _TRUTH),
    ("unresolved", _COUNT),
)
"""What is known of one path; ``*_low`` and ``*_high`` as in :data:`transect.measuring.columns.SCHEMA`."""

PATH_SCHEMA: pa.Schema = make_schema(*RUN, *MEASURING, *PER_PATH, nullable=True)
"""The path table: one row for each network, way of measuring it, and path."""

PART_SCHEMA: pa.Schema = make_schema(*PER_PATH, ("seconds", _NUMBER), nullable=True)
"""What a file of one block of paths holds, until all blocks are joined."""

TIMING_SCHEMA: pa.Schema = make_schema(
    *RUN, *MEASURING, ("train_seconds", _NUMBER), ("measure_seconds", _NUMBER), also_null=_NOT_ALWAYS
)
"""How long everything took; apart from the run table, which is the same however often a study is interrupted."""
