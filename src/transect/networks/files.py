"""Weights and saved programs read as data: tensors only, every name and shape
accounted for, nothing unpickled or run."""

from __future__ import annotations

import io
import json
import math
import os
import pickle
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.nn.parameter import is_lazy

from transect.errors import InvalidInput, refuse_for_memory
from transect.support.terminal import quiet
from transect.support.untrusted import Untrusted, check_records, is_size, refuse, regular_file

_PROGRAM, _OLD_PROGRAM = "models/model.json", "serialized_exported_program.json"
_JSON = (_PROGRAM, "data/weights/model_weights_config.json", "data/constants/model_constants_config.json")
_PICKLED = ("data/weights/model.pt", "data/constants/model.pt", "data/sample_inputs/model.pt")
_NUMBERS = re.compile(r"data/(weights/weight|constants/tensor)_\d+")  # bytes of tensors, as they are
_MARKS = ("archive_format", "archive_version", "byteorder", ".data/version")
_EXPANDED = 2**26  # numbers by which a tensor that repeats its bytes may be larger than they are
_LEFT_OUT = ("guards_code", "treespec_namedtuple_fields", "torch_fn", "source_fn_stack", "from_node", "custom")

_PLAIN = re.compile(r"[\w .,:+*/<>\[\]-]*")
_NAME = re.compile(r"\w*")
_ANY = re.compile(r".*", re.DOTALL)
_PATTERNS = {
    "name": _NAME,
    "as_name": _NAME,
    "forward_arg_names": _NAME,
    "path_name": re.compile(r"(weight|tensor)_\d+"),
    "target": re.compile(
        r"torch\.ops\.aten\.(?!(save|from_file|warn|_print)\.)\w+\.[A-Za-z]\w*|torch\.sym_\w+|math\.(floor|ceil|trunc)|"
        r"torch\.ops\.higher_order\.wrap_with_set_grad_enabled|"
        r"_operator\.(getitem|add|sub|mul|floordiv|truediv|mod|pow|neg|eq|ne|lt|le|gt|ge|and_|or_|not_)"
    ),
    "nn_module_stack": re.compile(r"[\w.,:;@<>$\[\] -]*"),
    "stack_trace": _ANY,  # shown, never run
    "as_string": _ANY,  # an argument, given as it is
}
_TREES = (None, "builtins.tuple", "builtins.list", "builtins.dict")


def load_program(path: str | os.PathLike[str]) -> ExportedProgram:
    """A program saved by ``torch.export.save``; nothing in the file is unpickled or run.

    Raises:
        InvalidInput: There is no such file, it is damaged, of another version of torch, or it holds what a program of
            ATen operations does not need and what loading could run.
    """
    path = Path(path)
    if not path.is_file():
        raise InvalidInput(f"model: there is no file {path}.")
    try:
        with quiet():
            return torch.export.load(_copy_of_data(path))
    except _Old as error:
        raise InvalidInput(
            f"model: {path} was saved by a version of torch before 2.8, whose programs cannot be read without "
            "unpickling; save it again with a newer one, or give the model itself instead, as package.module:callable."
        ) from error
    except _Unsafe as error:
        raise InvalidInput(
            f"model: {path} was not loaded: {error}. Only programs of ATen operations on tensors are loaded; "
            "if the file is your own, give the model itself instead, as package.module:callable."
        ) from error
    except Exception as error:  # whatever torch raises on a file that is not what it writes
        refuse_for_memory(error)
        why = f": {error}" if isinstance(error, Untrusted) else ""
        raise InvalidInput(
            f"model: {path} is damaged, or was not saved by torch.export.save of this version of torch "
            f"({torch.__version__}){why}."
        ) from error


class _Old(Exception):
    """The file is of the form that torch wrote before it had archives of records."""


class _Unsafe(Exception):
    """The file holds what could run."""


def _copy_of_data(path: Path) -> io.BytesIO:
    copy = io.BytesIO()
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(copy, "w") as rebuilt:
        check_records(archive, path.stat().st_size)
        if _OLD_PROGRAM in archive.namelist():
            raise _Old
        root = archive.namelist()[0].partition("/")[0]
        if f"{root}/{_PROGRAM}" not in archive.namelist():
            refuse(f"it has no {_PROGRAM}")
        for name in archive.namelist():
            for contents in _record(name.removeprefix(f"{root}/"), archive, name):
                rebuilt.writestr(name, contents)
    copy.seek(0)
    return copy


def _record(record: str, archive: zipfile.ZipFile, name: str) -> Iterator[bytes]:
    """What a record becomes in the copy: nothing for what is not needed."""
    if record in _JSON:
        found = _checked(json.loads(archive.read(name)))
        if record != _PROGRAM:
            _check_tensors(found["config"], archive, name.rpartition("/")[0])
        yield json.dumps(found).encode()
    elif record in _PICKLED:
        yield _tensors_only(record, archive.read(name))
    elif record in _MARKS or _NUMBERS.fullmatch(record):
        yield archive.read(name)


def _check_tensors(config: dict[str, Any], archive: zipfile.ZipFile, folder: str) -> None:
    """Hold that tensors are no larger than the bytes that are there for them: what has none is made of zeros."""
    for tensor, about in config.items():
        sizes = [size["as_int"] for size in about["tensor_meta"]["sizes"]]
        there = archive.getinfo(f"{folder}/{about['path_name']}").file_size
        if min(sizes, default=0) < 0 or math.prod(sizes) > (there + _EXPANDED if there else 0):
            refuse(f"its tensor {tensor[:80]!r} of shape {str(sizes)[:80]} has only {there:,} bytes")


def _tensors_only(record: str, pickled: bytes) -> bytes:
    if not pickled:
        return pickled
    try:
        with zipfile.ZipFile(io.BytesIO(pickled)) as inner:
            check_records(inner, len(pickled))
        found = torch.load(io.BytesIO(pickled), weights_only=True)
    except pickle.UnpicklingError as error:
        raise _Unsafe(f"{record} in it holds pickled Python objects, and not only tensors") from error
    written = io.BytesIO()
    torch.save(found, written)
    return written.getvalue()


def _checked(value: Any, key: str = "") -> Any:
    """The same JSON without what is not needed, every string in it checked."""
    if isinstance(value, dict):
        return {_string(name, ""): _checked(part, name) for name, part in value.items() if name not in _LEFT_OUT}
    if isinstance(value, list):
        return [_checked(part, key) for part in value]
    if key == "use_pickle" and value:
        raise _Unsafe("it holds pickled Python objects, and not only tensors")
    return _string(value, key) if isinstance(value, str) else value


def _string(text: str, key: str) -> str:
    if key == "expr_str":
        allowed = is_size(text)
    elif key in ("in_spec", "out_spec"):
        allowed = _is_tree(json.loads(text)[1])
    else:
        allowed = _PATTERNS.get(key, _PLAIN).fullmatch(text) is not None
    if not allowed:
        what = "the operation" if key == "target" else f"as {key or 'key'}"
        grows = ", or which could grow without bound" if key == "expr_str" else ""
        raise _Unsafe(f"it uses {what} {text[:80]!r}, which loading could run{grows}")
    return text


def _is_tree(tree: dict[str, Any]) -> bool:
    """Whether arguments or results are nested in tuples, lists and dictionaries only."""
    context = tree["context"]
    plain = context in (None, "null") or bool(re.fullmatch(r'\[("\w+"(, )?)*\]', context))
    return plain and tree["type"] in _TREES and all(map(_is_tree, tree["children_spec"]))


_SUFFIXES = (".pt", ".pth", ".ckpt", ".bin", ".tar")
WEIGHTS_SUFFIXES = (".safetensors", *_SUFFIXES)
_NESTED = ("state_dict", "model_state_dict", "model", "net", "ema", "model_ema", "ema_state_dict", "weights")
_PREFIXES = ("module.", "model.", "net.")  # of DataParallel, Lightning and others that hold the model as a part
_COMPILED = "_orig_mod."  # what torch.compile puts into names, at any place
_DEEPEST = 6  # wrappers in one another
# Weight norm under its older names, and as a parametrization.
_RENAMED = (("weight_g", "parametrizations.weight.original0"), ("weight_v", "parametrizations.weight.original1"))
_COUNTER = "num_batches_tracked"  # which older norms do not have, and no function depends on
_SHOWN = 5


def load_weights(model: nn.Module, path: str | os.PathLike[str]) -> None:
    """Load a file of weights into a model; all of its parameters and buffers must be there, and nothing else.

    Names may be those of a wrapped model (DataParallel, ``torch.compile``, Lightning), or older ones of norms and of
    weight norm; tensors that a model shares need be there once; lazy layers take their shapes from the file.

    Args:
        model: Filled in place.
        path: See :func:`read_weights`.

    Raises:
        InvalidInput: The file cannot be read as data, or its names or shapes are not those of the model; the model is
            as it was.
    """
    own = model.state_dict()
    state = _fitted(read_weights(path), own)
    differences = _differences(state, own)
    if differences:
        raise InvalidInput(
            f"weights: {os.fspath(path)} does not fit the model, which expects {len(own)} tensors; the file has "
            f"{len(state)}.\n{differences}\nBuild the model with the arguments it was trained with (number of classes, "
            "width, ...), or give the file that belongs to it."
        )
    model.load_state_dict(state)


def read_weights(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """The tensors of a file by name, on the CPU; no code in it is run.

    Args:
        path: ``.safetensors``, or ``.pt``, ``.pth``, ``.ckpt``, ``.bin``, ``.tar`` as ``torch.save`` writes a state
            dict, alone or in a dictionary under ``state_dict``, ``model_state_dict``, ``model``, ``ema`` or the like;
            of a dictionary with several (weights and their moving averages) none is taken.

    Raises:
        InvalidInput: There is no such file, it is damaged, of another kind, or holds objects that are not data.
    """
    path = Path(path)
    if not path.is_file():
        raise InvalidInput(f"weights: there is no file {path}.")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if path.suffix in _SUFFIXES:
        return _state_dict(_read_torch(path), path)
    raise InvalidInput(
        f"weights: expected a file that ends in .safetensors, {', '.join(_SUFFIXES)}, got {path.name}. "
        'Save weights with safetensors.torch.save_model(model, "weights.safetensors") or '
        'torch.save(model.state_dict(), "weights.pt").'
    )


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load_file(regular_file(path))
    except Exception as error:  # whatever is raised on a file that is something else
        refuse_for_memory(error)
        raise InvalidInput(f"weights: {path} is damaged, or not a safetensors file.") from error


def _read_torch(path: Path) -> Any:
    try:
        with quiet():  # what torch would say of a file that is then refused
            if zipfile.is_zipfile(regular_file(path)):
                with zipfile.ZipFile(path) as archive:
                    check_records(archive, path.stat().st_size)
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever torch raises on a file that is something else
        refuse_for_memory(error)
        if isinstance(error, pickle.UnpicklingError) and zipfile.is_zipfile(path):
            raise InvalidInput(
                f"weights: {path} holds Python objects, such as a whole pickled module, and not only tensors. "
                "Unpickling would run code of the file, so nothing in it was loaded. If you trust the file, load it "
                'where its code is and save the tensors alone: torch.save(model.state_dict(), "weights.pt").'
            ) from error
        why = f" ({error})" if isinstance(error, Untrusted) else ""
        raise InvalidInput(
            f"weights: {path} is damaged, or not a file of tensors alone{why}: modules that were pickled whole and "
            "TorchScript archives are not loaded, since that would run code of the file. Save weights with "
            'torch.save(model.state_dict(), "weights.pt").'
        ) from error


def _state_dict(found: Any, path: Path) -> dict[str, Tensor]:
    """The state dict itself, or the one a checkpoint holds.

    Raises:
        InvalidInput: It holds none, or several that are not the same.
    """
    states = _states(found, "", _DEEPEST)
    first = next(iter(states.values()), None)
    if first is not None and all(_same(first, other) for other in states.values()):
        return {str(name): value for name, value in first.items()}
    if states:
        chosen = "".join(f"[{key!r}]" for key in next(iter(states)).split("."))
        raise InvalidInput(
            f"weights: {path} holds several state dicts with other values, {', '.join(states)}; expected one. Save the "
            f'one you mean alone: torch.save(torch.load({path.name!r}, weights_only=True){chosen}, "weights.pt").'
        )
    what = (
        f"a dictionary with the keys {_some(map(str, found))}" if isinstance(found, Mapping) else type(found).__name__
    )
    raise InvalidInput(
        f"weights: expected a state dict in {path} (names and tensors), alone or under one of {', '.join(_NESTED)}; "
        f'found {what}. Save one with torch.save(model.state_dict(), "weights.pt").'
    )


def _states(found: Any, place: str, depth: int) -> dict[str, Mapping[Any, Tensor]]:
    """Every state dict in nested dictionaries under the names that people give them, by where it is."""
    if not isinstance(found, Mapping) or not found or not depth:
        return {}
    if all(isinstance(value, Tensor) for value in found.values()):
        return {place: found}
    parts = [_states(found.get(key), f"{place}.{key}".lstrip("."), depth - 1) for key in _NESTED]
    return {name: state for part in parts for name, state in part.items()}


def _same(one: Mapping[Any, Tensor], other: Mapping[Any, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def _fitted(state: dict[str, Tensor], own: Mapping[str, Any]) -> dict[str, Tensor]:
    """The state under the names of the model, where it can be had by removing what wrappers add to names."""
    names = {name.replace(_COMPILED, ""): name for name in own}
    tried = [{name.replace(_COMPILED, ""): value for name, value in state.items()}]
    for part in tried:  # which grows
        found = _under_own_names(part, names, own)
        if found.keys() == own.keys():
            return found
        if len(tried) < _DEEPEST * len(_PREFIXES):
            tried += [shorter for prefix in _PREFIXES if (shorter := _without_prefix(part, prefix))]
    whole = [part for part in tried if len(part) == len(state)]
    return _under_own_names(whole[-1], names, own)  # for the message: all that is there, under the shortest names


def _without_prefix(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def _under_own_names(
    state: Mapping[str, Tensor], names: Mapping[str, str], own: Mapping[str, Any]
) -> dict[str, Tensor]:
    """A state with names as the model writes them, and with what a file may leave out."""
    found = {}
    for name, value in state.items():
        if not name.endswith(_COUNTER) or name in names:
            found[names.get(name, names.get(_other_name(name), name))] = value
    for name, value in own.items():
        if name not in found and name.endswith(_COUNTER):
            found[name] = value
        elif name not in found and (twin := _twin(name, own, found)) is not None:
            found[name] = found[twin]
    return found


def _other_name(name: str) -> str:
    for pair in _RENAMED:
        for one, other in (pair, pair[::-1]):
            if name == one or name.endswith(f".{one}"):
                return name.removesuffix(one) + other
    return name


def _twin(name: str, own: Mapping[str, Any], found: Mapping[str, Tensor]) -> str | None:
    """Another name of a tensor that the model shares, which the file has."""
    tensor = own[name]
    if not isinstance(tensor, Tensor) or is_lazy(tensor):
        return None
    same = (other for other in found if other in own and isinstance(own[other], Tensor) and not is_lazy(own[other])
            and own[other].data_ptr() == tensor.data_ptr() != 0 and own[other].shape == tensor.shape)  # fmt: skip
    return next(same, None)


def _differences(state: Mapping[str, Tensor], own: Mapping[str, Any]) -> str:
    """One line for each way in which two state dicts differ; empty for none."""
    shapes = [
        f"{name} {tuple(state[name].shape)} instead of {tuple(own[name].shape)}"
        for name in own
        if name in state
        and isinstance(own[name], Tensor)
        and not is_lazy(own[name])
        and state[name].shape != own[name].shape
    ]
    found = {
        "missing": [name for name in own if name not in state],
        "unexpected": [name for name in state if name not in own],
        "of another shape": shapes,
    }
    return "\n".join(f"  {len(names)} {what}: {_some(names)}" for what, names in found.items() if names)


def _some(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
