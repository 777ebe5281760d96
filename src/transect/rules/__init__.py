"""What each operation is: affine, bending, or refused; one small file a family."""

from transect.rules.base import Affine, Bend, Envelope, Hinge
from transect.rules.coverage import RULES, Step, prove_coverage
from transect.rules.infinities import without_infinities
from transect.rules.normalisation import fold_batch_norms
from transect.rules.rewriting import rewrite

__all__ = [
    "RULES",
    "Affine",
    "Bend",
    "Envelope",
    "Hinge",
    "Step",
    "fold_batch_norms",
    "prove_coverage",
    "rewrite",
    "without_infinities",
]
