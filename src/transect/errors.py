"""Every exception and warning a user can meet; each message says what was expected, what was given, what to do."""

from __future__ import annotations


class TransectError(Exception):
    """Base of every error raised on purpose by Transect."""


class InvalidInput(TransectError, ValueError):
    """An argument is not what the function can work with (shape, dtype, NaN, a zero-length segment, ...)."""


class UnsupportedModel(TransectError):
    """The model is not piecewise affine, mixes rows, or uses an operation without a rule; lists every such node."""


class VerificationError(TransectError):
    """A trace and the module disagree beyond the tolerance: the numbers must not be used."""


class TraceTooLarge(TransectError, MemoryError):
    """What ``keep="all"`` would hold exceeds the stated size; raised before it is allocated."""


class MissingDependency(TransectError, ImportError):
    """An optional package is needed; the message names the extra that installs it."""


class StudyError(TransectError):
    """A study cannot go on: a bad setting, data that is not there, results of another configuration."""


class TransectWarning(UserWarning):
    """Base of every warning issued by Transect."""


class UnresolvedWarning(TransectWarning):
    """Some crossings are closer than rounding can tell apart; ``trace.unresolved`` lists them."""


class RoundingWarning(TransectWarning):
    """A measure is not much larger than its own rounding bound."""
