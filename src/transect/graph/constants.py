"""What a forward pass works out from its constants alone is worked out once, for real.

While torch.export follows a forward pass, tensors have shapes and no numbers: a number read from a buffer, a branch on
one, the places where a mask is true could not be followed. Parameters, buffers and fixed inputs do have numbers, and so
does all that is computed from them and nothing else. Here these are carried along beside the tensors of the export, and
asked wherever numbers are needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils._pytree import tree_flatten, tree_leaves, tree_map, tree_unflatten

from transect.support.precision import full_precision

# Operations whose results have a shape that depends on numbers, or that check them.
_NOT_EXPORTED = frozenset(
    "nonzero argwhere masked_select unique unique_consecutive _unique2 unique_dim bincount repeat_interleave where "
    "combinations one_hot inverse pinverse cholesky".split()
)
# Tensors made from numbers alone.
_MAKERS = frozenset(
    "arange range zeros ones full eye linspace logspace tensor as_tensor asarray from_numpy scalar_tensor tril_indices "
    "triu_indices hann_window hamming_window blackman_window bartlett_window kaiser_window".split()
)
# Not the same at every call.
_NOT_CONSTANT = ("rand", "normal", "bernoulli", "multinomial", "poisson", "empty", "dropout", "seed", "exponential",
                 "cauchy", "geometric", "uniform", "gumbel")  # fmt: skip
# Functions of a tensor with sizes, positions and counts, which can be constants.
_OF_SIZES = frozenset(
    "view reshape expand repeat tile narrow select split chunk roll unflatten flatten movedim transpose permute pad "
    "interpolate new_zeros new_ones new_full new_empty narrow_copy tensor_split repeat_interleave unfold flip".split()
)
_PRODUCTS = frozenset("mm matmul __matmul__ _sparse_mm spmm smm".split())
_MOST_DENSE = 2**27  # numbers of a sparse constant that is written out
_WHOLE = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
_PLAIN = (Tensor, nn.Parameter, nn.Buffer)


class KnownConstants(TorchFunctionMode):
    """Carries the numbers of constants along while a forward pass is exported.

    Args:
        module: The module exported, whose parameters and buffers are those of the export by now.
        numbers: The numbers of its parameters and buffers, by name. They are not written to.
    """

    def __init__(self, module: nn.Module, numbers: Mapping[str, Tensor]) -> None:
        super().__init__()
        self._known: dict[int, tuple[Tensor, Tensor]] = {}  # a tensor of the export, kept alive, and its numbers
        # Numbers, kept alive, and the same without float32's rounding.
        self._exact: dict[int, tuple[Tensor, Tensor]] = {}
        self._given = {_memory(number) for number in numbers.values()}
        for name, part in (*module.named_parameters(), *module.named_buffers()):
            if name in numbers:
                self._learn(part, numbers[name])

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(function, "__name__", "")
        tensors = [part for part in tree_leaves((args, kwargs)) if isinstance(part, Tensor)]
        if not self._is_known(name, tensors, tree_leaves((args, kwargs))):
            self._forget_written(name, args, kwargs)
            return self._with_places(function, name, args, kwargs)
        try:
            numbers = self._computed(function, name, args, kwargs)
        except Exception:  # whatever it is, the export says it in words of its own
            return function(*args, **kwargs)
        writes = _writes(name, kwargs)
        if not writes and not any(isinstance(part, Tensor) for part in tree_leaves(numbers)):
            return numbers
        if name in _NOT_EXPORTED or name.startswith("linalg_") or _picks_by_truth(name, args):
            return tree_map(self._lifted, numbers)
        try:
            made = function(*args, **kwargs)
        except Exception:  # of what an export does not follow, such as an array
            if writes:
                raise
            return tree_map(self._lifted, numbers)
        for one, number in zip(tree_leaves(made), tree_leaves(numbers), strict=True):
            if isinstance(one, Tensor):
                self._learn(one, number)
        return made

    def _lifted(self, number: Any) -> Any:
        """A tensor of the export with such numbers; a sparse one stays outside."""
        if not isinstance(number, Tensor):
            return number
        exact = self._exact.get(id(number), (number, number))[1]
        with _disable_current_modes():
            made = exact.clone()  # what it is made of may be written to later
        made = made.to(number.dtype, copy=True) if number.layout == torch.strided else number
        self._learn(made, number)
        return made

    def _learn(self, tensor: Tensor, number: Tensor) -> None:
        self._known[id(tensor)] = (tensor, number)

    def _number(self, tensor: Tensor) -> Tensor | None:
        if (found := self._known.get(id(tensor))) is not None:
            return found[1]
        if type(tensor) in _PLAIN and not torch._is_functional_tensor(tensor):  # of a plain attribute
            with _disable_current_modes():
                self._learn(tensor, tensor.detach().clone())
            return self._known[id(tensor)][1]
        return None

    def _is_known(self, name: str, tensors: Iterable[Tensor], leaves: list[Any]) -> bool:
        if any(isinstance(part, torch.SymInt | torch.SymFloat | torch.SymBool) for part in leaves):
            return False  # it depends on the number of samples
        if any(word in name for word in _NOT_CONSTANT) or not (tensors or name in _MAKERS):
            return False
        return all([self._number(tensor) is not None for tensor in tensors])

    def _computed(self, function: Callable[..., Any], name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        with _disable_current_modes(), torch.no_grad(), torch._C.DisableTorchFunction(), full_precision():
            if _writes(name, kwargs):
                for part in (*args[:1], kwargs.get("out")):
                    number = self._number(part) if isinstance(part, Tensor) else None
                    if number is not None and _memory(number) in self._given:
                        self._learn(part, number.clone())
            own = function(*self._as_numbers(args), **self._as_numbers(kwargs))
            if _writes(name, kwargs):  # also through views: what is known beyond its dtype is not followed there
                self._exact = {}
                return own
            return self._exactly(function, own, args, kwargs)

    def _exactly(self, function: Callable[..., Any], own: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The same result with Python's floating-point numbers as float64 arithmetic makes them.

        Sizes, truth values and whole numbers are those of the module's own arithmetic.
        """
        parts, structure = tree_flatten(own)
        if not any(isinstance(part, float) or _is_rounded(part) for part in parts):
            return own
        try:
            exact = tree_leaves(function(*tree_map(self._doubled, args), **tree_map(self._doubled, kwargs)))
        except Exception:  # of dtypes that do not go together
            return own
        if len(exact) != len(parts):
            return own
        for part, more in zip(parts, exact, strict=True):
            if _is_rounded(part) and _is_near(part, more):  # unlike singular vectors of the other sign
                self._exact[id(part)] = part, more
        return tree_unflatten(
            [more if isinstance(part, float) else part for part, more in zip(parts, exact)], structure
        )

    def _doubled(self, part: Any) -> Any:
        number = self._number(part) if isinstance(part, Tensor) else None
        if number is None or not number.is_floating_point():
            return part if number is None else number
        found = self._exact.get(id(number))
        return number.double() if found is None else found[1]

    def _as_numbers(self, arguments: Any) -> Any:
        return tree_map(lambda part: self._number(part) if isinstance(part, Tensor) else part, arguments)

    def _forget_written(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """What activations are written into is no constant any more, and nothing else in the same memory is."""
        if not _writes(name, kwargs):
            return
        for part in (*args[:1], kwargs.get("out")):
            found = self._known.get(id(part))
            if found is not None:
                memory = _memory(found[1])
                self._known = {key: pair for key, pair in self._known.items() if _memory(pair[1]) != memory}

    def _with_places(
        self, function: Callable[..., Any], name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Call it with constants among indices and sizes as numbers, and masks as the places where they are true."""
        if name in ("__getitem__", "__setitem__"):
            index = args[1] if isinstance(args[1], tuple) else (args[1],)
            args = (args[0], tuple(place for part in index for place in self._places(part)), *args[2:])
        elif name == "kron":
            return _kronecker(*args, **kwargs)
        elif name == "cdist" and len(args) < 4:  # by products it would branch on the numbers of points
            kwargs = {**kwargs, "compute_mode": "donot_use_mm_for_euclid_dist"}
        elif name == "repeat_interleave" and len(args) > 2 and isinstance(args[1], Tensor):
            return args[0].index_select(args[2], self._repeated(args[0].shape[args[2]], args[1]))
        elif name == "take_along_dim" and len(args) > 2 and args[1].dim() == args[0].dim():
            sizes = [
                args[1].shape[at] if at == args[2] % args[0].dim() else size for at, size in enumerate(args[0].shape)
            ]
            return args[0].gather(args[2], args[1].expand(sizes))
        elif name in _PRODUCTS and any(isinstance(part, Tensor) and part.layout != torch.strided for part in args):
            return torch.matmul(*map(self._dense, args))
        elif name == "masked_select" and (mask := self._mask(args[-1])) is not None and mask.dim() == args[0].dim():
            return args[0][self._places(args[-1])]
        elif name in _OF_SIZES:
            args, kwargs = (args[0], *tree_map(self._whole, args[1:])), tree_map(self._whole, kwargs)
        return function(*args, **kwargs)

    def _repeated(self, size: int, repeats: Tensor) -> Tensor:
        number = self._number(repeats)
        with _disable_current_modes():
            return repeats if number is None else torch.arange(size).repeat_interleave(number)

    def _dense(self, part: Any) -> Any:
        """A sparse constant with its zeros, which a network keeps."""
        number = None if part.layout == torch.strided else self._number(part)
        if number is None or number.numel() > _MOST_DENSE:
            return part
        with _disable_current_modes():
            return number.to_dense()

    def _places(self, part: Any) -> tuple[Any, ...]:
        if isinstance(part, slice):
            return (slice(*map(self._whole, (part.start, part.stop, part.step))),)
        number = self._mask(part)
        if number is None or number.dim() == 0:
            return (self._whole(part),)
        with _disable_current_modes():
            return number.nonzero(as_tuple=True)

    def _whole(self, part: Any) -> Any:
        """A constant that is a single whole number as one of Python's; anything else as it is."""
        if isinstance(part, Tensor) and part.dim() == 0 and part.dtype in _WHOLE:
            number = self._number(part)
            with _disable_current_modes():
                return part if number is None else number.item()
        return part

    def _mask(self, part: Any) -> Tensor | None:
        if isinstance(part, Tensor) and part.dtype == torch.bool:
            return self._number(part)
        return None


def _kronecker(input: Tensor, other: Tensor) -> Tensor:
    """``torch.kron`` by a product that an export follows."""
    most = max(input.dim(), other.dim())
    sizes = [[*(1,) * (most - part.dim()), *part.shape] for part in (input, other)]
    left, right = (
        input.reshape([n for size in sizes[0] for n in (size, 1)]),
        other.reshape([n for size in sizes[1] for n in (1, size)]),
    )
    return (left * right).reshape([one * two for one, two in zip(*sizes, strict=True)])


def _is_rounded(part: Any) -> bool:
    return isinstance(part, Tensor) and part.is_floating_point() and part.dtype != torch.float64


def _is_near(own: Tensor, exact: Any) -> bool:
    """Whether they differ by rounding alone."""
    if not isinstance(exact, Tensor) or own.shape != exact.shape:
        return False
    if own.layout != torch.strided:
        return True
    return not own.numel() or float((exact.double() - own).abs().max()) <= 0.05 * float(own.abs().max())


def _memory(number: Tensor) -> int:
    """Names the memory of a tensor, which its views share."""
    return number.untyped_storage()._cdata if number.layout == torch.strided else id(number)


def _writes(name: str, kwargs: Mapping[str, Any]) -> bool:
    """Whether a function changes its first argument, or one called out."""
    if name.startswith("__"):
        return name == "__setitem__" or (name.startswith("__i") and name not in ("__int__", "__index__", "__invert__"))
    return name.endswith("_") or kwargs.get("out") is not None


def _picks_by_truth(name: str, args: tuple[Any, ...]) -> bool:
    if name != "__getitem__":
        return False
    return any(isinstance(part, Tensor) and part.dtype == torch.bool for part in tree_leaves(args[1]))
