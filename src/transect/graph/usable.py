"""Modules that cannot be captured whatever they compute: by what they are, or by the state they are in."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import Tensor, jit, nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from transect.errors import InvalidInput, UnsupportedModel
from transect.graph.calling import Called, own_name

_AT_RANDOM = (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd, nn.RReLU)
_WITHOUT_VALUES = (UninitializedParameter, UninitializedBuffer)
_QUANTIZED = (
    "torch.ao.nn.quantized.",
    "torch.ao.nn.intrinsic.quantized.",
    "torch.ao.quantization.fake_quantize.",
    "torchao.",
    "bitsandbytes.",
)
_STAND_INS = ("FloatFunctional", "FXFloatFunctional")  # for quantised arithmetic, in models that are not quantised


def check_usable(called: Called) -> None:
    """Refuse a model with parts that cannot be captured in their present state, before it is called.

    Raises:
        InvalidInput: Parts of it have no weights yet, or act on the batch or at random in training mode.
        UnsupportedModel: Parts of it are compiled to another language, or quantised.
    """
    _refuse(
        UnsupportedModel,
        _modules(called, lambda module: isinstance(module, jit.ScriptModule)),
        "is made of TorchScript, whose operations have no modules and lines",
        "Give the module it was scripted or traced from; its weights are in scripted.state_dict().",
    )
    _refuse(
        UnsupportedModel,
        _modules(called, lambda module: isinstance(module, nn.parallel.DistributedDataParallel)),
        "is spread over processes, which torch.export does not follow",
        "Put what it wraps in its place: ddp.module.",
    )
    _refuse(
        UnsupportedModel,
        _modules(called, lambda module: _is_quantized(module) or any(tensor.is_quantized for tensor in _own(module))),
        "is quantised: it rounds activations, and so jumps",
        "Give the model as it was before quantisation, or with the same weights dequantised to floating point.",
    )
    _refuse(
        InvalidInput,
        _modules(called, lambda module: any(isinstance(tensor, _WITHOUT_VALUES) for tensor in _own(module))),
        "is a lazy layer, which has no weights before the model has been called",
        "Call the model once on a batch of inputs, or load its weights, before it is captured.",
    )
    _refuse(
        InvalidInput,
        _modules(called, lambda module: any(tensor.is_meta for tensor in _own(module))),
        "has weights on the meta device, which have a shape and no values",
        'Build the model on a device, or call model.to_empty(device="cpu") and load its weights.',
    )
    _refuse(
        InvalidInput,
        _modules(called, lambda module: isinstance(module, _AT_RANDOM) and module.training),
        "is in training mode, where it acts on the batch or at random; expected evaluation mode",
        "Call model.eval() first.",
    )


def _is_quantized(module: nn.Module) -> bool:
    kind = type(module)
    return f"{kind.__module__}.".startswith(_QUANTIZED) and kind.__name__ not in _STAND_INS


def _modules(called: Called, at_fault: Callable[[nn.Module], bool]) -> list[str]:
    found: list[str] = []
    for name, module in called.named_modules():
        inside = any(not known or name.startswith(f"{known}.") for known in found)
        if at_fault(module) and not inside:
            found.append(name)
    return [f"{own_name(name) or 'the model'} ({type(called.get_submodule(name)).__name__})" for name in found]


def _own(module: nn.Module) -> Iterator[Tensor]:
    yield from module.parameters(recurse=False)
    yield from module.buffers(recurse=False)


def _refuse(kind: type[Exception], names: list[str], fault: str, remedy: str) -> None:
    if names:
        more = f" (and {len(names) - 1} more: {', '.join(names[1:4])}{', ...' if len(names) > 4 else ''})"
        raise kind(f"model: {names[0]} {fault}{more if len(names) > 1 else ''}. {remedy}")
