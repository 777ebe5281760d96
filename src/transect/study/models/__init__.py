"""Networks of a given width, seeded; those of torchvision and of the user; and trained ones from files."""

from transect.study.models.build import BUILDERS, build_model, check_model, load_network

__all__ = ["BUILDERS", "build_model", "check_model", "load_network"]
