"""Operations that are known and cannot be traced exactly: why, and what to do instead."""

from __future__ import annotations

from collections.abc import Iterable

from transect.graph import Node
from transect.rules.base import CONTINUOUS, ESTIMATE, Affine, Refused, Rule

_SMOOTH = ("it bends smoothly: the network is not piecewise affine", ESTIMATE)
_STATISTICS = ("it divides by a statistic of the activations", "use batch norm with running statistics, or none")
_JUMPS = ("it jumps: the network is not continuous", "use a continuous operation")
_QUADRATIC = ("it is quadratic between its bends", "use relu6 or hardtanh")
RANDOM = ("it is random", "call model.eval(), give functions training=False, or remove it")
_ORDER = ("it orders activations", "use max, min, or max-pooling")

_REASONS: tuple[tuple[str, tuple[str, str]], ...] = (
    ("sigmoid tanh gelu silu mish elu celu selu softplus exp log log1p sqrt rsqrt pow erf sin cos atan reciprocal "
     "logsumexp _softmax _log_softmax softmax log_softmax log_sigmoid logit sinh cosh", _SMOOTH),
    ("native_layer_norm layer_norm native_group_norm group_norm instance_norm var std "
     "_native_batch_norm_legit _native_batch_norm_legit_functional native_batch_norm", _STATISTICS),
    ("sign copysign floor ceil round trunc frac hardshrink fmod remainder", _JUMPS),
    ("hardswish", _QUADRATIC),
    ("_cdist_forward _euclidean_dist", ("distances of this order bend smoothly, or jump", "use cdist with p=1 or inf")),
    ("sort cummax cummin topk median kthvalue argsort mode", _ORDER),
    ("eq ne gt ge lt le isnan isinf logical_not logical_and logical_or logical_xor bitwise_not bitwise_and "
     "bitwise_or bitwise_xor argmax argmin heaviside where masked_fill nonzero",
     ("it compares activations and the result jumps where they are equal", CONTINUOUS)),
    ("scaled_dot_product_attention _scaled_dot_product_flash_attention_for_cpu",
     ("it multiplies activations by one another", ESTIMATE)),
)  # fmt: skip


def refusal(operation: str) -> Rule | None:
    """The rule that refuses ``operation`` (such as ``aten.gelu.default``) with its reason, or None if unknown."""
    family = operation.split(".")[1] if operation.startswith("aten.") else operation
    return next((_refuse(*why) for names, why in _REASONS if family in _words(names)), None)


def _words(names: str) -> Iterable[str]:
    return {name for word in names.split() for name in (word, f"{word}_")}


def _refuse(reason: str, remedy: str) -> Rule:
    def rule(node: Node) -> Affine:
        raise Refused(reason, remedy)

    return rule
