"""Networks of a given width, seeded."""

from transect.study.models.build import BUILDERS, build_model

__all__ = ["BUILDERS", "build_model"]
