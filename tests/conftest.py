"""Puts this folder on the import path: every test can write ``from oracle.rational import restrict``."""

from __future__ import annotations

import gc

import torch

torch.set_num_threads(1)  # the networks are tiny: threads only cost, and sums must not depend on their number


def pytest_collection_finish() -> None:
    """What imports left stays until the end: no collection of garbage need look at it again."""
    gc.collect()
    gc.freeze()
