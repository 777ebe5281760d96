"""Puts this folder on the import path, so that every test can use the oracles: ``from oracle.rational import restrict``."""

from __future__ import annotations

import torch

torch.set_num_threads(1)  # the networks are tiny: threads only cost, and sums must not depend on their number
