"""From an exported program to the canonical graph: constants folded, dtypes unified, rows followed."""

from __future__ import annotations

import linecache
import math
import operator
import os
import re
import sysconfig
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind

from transect.errors import InvalidInput, UnsupportedModel
from transect.graph.calling import Called, own_name
from transect.graph.node import ROWS, Graph, Node, Rows, Value, is_random, leaves, mapped

UNWRITTEN = ("aten.empty", "aten.new_empty")  # operations whose results hold what was in memory before
_CHECKS = ("aten._assert_tensor_metadata.default", "aten._assert_scalar.default", "aten.sym_constrain_range.default")
# Operations of activations with whole numbers, which alone would be rounded to torch's default dtype.
_ARITHMETIC = tuple(f"aten.{name}." for name in "add sub rsub mul div maximum minimum".split())
_SHAPE_ONLY = "aten.full_like."  # reads the shape of what it is given, and none of its numbers
_PRODUCTS = tuple(f"aten.{name}." for name in "mul div mm bmm matmul einsum".split())  # of which one factor is constant
_PROBES = (3, 5)  # numbers of rows with which it is found out what of a constant depends on them


def canonical_graph(
    program: ExportedProgram, dtype: torch.dtype, device: torch.device, unwritten: float = 0.0
) -> Graph:
    """Fold what does not depend on the input, convert every floating tensor to ``dtype``, follow the row dimension.

    Args:
        program: The exported program.
        dtype: Dtype of every floating tensor.
        device: Where constants lie.
        unwritten: What memory holds to which nothing is written (``torch.empty``).

    Raises:
        InvalidInput: The model does not return one tensor, or returns a tensor without rows.
        UnsupportedModel: The output depends on a buffer that the forward pass changes.
    """
    fold = _Fold(program, dtype, device, unwritten)
    for node in program.graph.nodes:
        fold.visit(node)
    output = fold.known[_output_name(program)]
    if not isinstance(output, Value):
        raise InvalidInput("model: its output does not depend on the input; expected a function of the input.")
    nodes = reachable(fold.nodes, output)
    return Graph(nodes, fold.input, output, dtype, device)


@dataclass(frozen=True)
class _Several:
    """An operation with several results, of which each that is read becomes a node of its own."""

    node: fx.Node
    args: Any
    kwargs: dict[str, Any]


class _Fold:
    """One pass over the exported nodes; ``known`` maps a name to a constant, a :class:`Value` or a :class:`Rows`."""

    def __init__(self, program: ExportedProgram, dtype: torch.dtype, device: torch.device, unwritten: float) -> None:
        self.dtype, self.device, self.unwritten = dtype, device, unwritten
        self.state = _state_by_placeholder(program)
        self.known: dict[str, Any] = {}
        self.probes: tuple[dict[str, Any], ...] = tuple({} for _ in _PROBES)  # what depends on nothing but the rows
        self.nodes: list[Node] = []
        self.filled: tuple[dict[str, Any], ...] = tuple({} for _ in _PROBES)  # what reads nothing but shapes
        self.constants: dict[str, Any] = {}  # such of these as are the same for every row, with one
        self.input: Value

    def visit(self, node: fx.Node) -> None:
        if node.op == "placeholder":
            self._placeholder(node)
        elif node.op == "get_attr":
            self.known[node.name] = self.convert(getattr(node.graph.owning_module, str(node.target)))
        elif node.op == "call_function" and str(node.target) not in _CHECKS:
            self._call(node)

    def _placeholder(self, node: fx.Node) -> None:
        if node.name in self.state:
            self.known[node.name] = self.convert(self.state[node.name])
        else:
            self.input = _value(node.name, node.meta["val"])
            self.known[node.name] = self.input

    def _call(self, node: fx.Node) -> None:
        target, made = node.target, node.meta.get("val")
        assert callable(target)
        args = self._resolve(node.args)
        kwargs = self._working_dtype(self._resolve(dict(node.kwargs)))
        if target is operator.getitem and isinstance(args[0], _Several):
            self._append(args[0].node, args[0].args, args[0].kwargs, _value(node.name, made), True, part=args[1])
            return
        from_input, from_rows = self._depends(node)
        from_input = from_input or is_random(target, args, kwargs)  # which is no constant: it is refused later
        if not from_input and not from_rows and not _symbolic(made):
            self.known[node.name] = self.convert(self._made(target, args, kwargs))
            return
        if isinstance(made, tuple | list) and from_input:
            self.known[node.name] = _Several(node, args, kwargs)
            return
        value = _value(node.name, made) if isinstance(made, Tensor) else None
        if not from_input:
            for probe in self.probes:
                probe[node.name] = self._made(target, *(self._probed(part, probe) for part in (node.args, node.kwargs)))
            constant = _same_for_all_rows([probe[node.name] for probe in self.probes], value)
            if constant is not None:
                self.known[node.name] = self.convert(constant)
                return
        if from_input and value is not None:
            if not is_random(target, args, kwargs):
                self._fill(node, value)
            args = self._with_constants(args) if operation_name(target).startswith(_PRODUCTS) else args
            if operation_name(target).startswith("aten.where."):
                args = (*self._with_constants(args[:1], all_of_them=True), *args[1:])
        self._append(node, args, kwargs, value, from_input and value is not None)

    def _fill(self, node: fx.Node, value: Value) -> None:
        """Note what is computed from nothing but the shapes of activations, by ``ones_like`` and the like."""
        shape_only = operation_name(node.target).startswith(_SHAPE_ONLY) and isinstance(node.args[1], int | float)
        read = [one for one in node.all_input_nodes if isinstance(self.known[one.name], Value)]
        if value.row_dim is None or not all(
            one.name in self.filled[0] or (shape_only and self.known[one.name].row_dim is not None) for one in read
        ):
            return
        for probe, filled, rows in zip(self.probes, self.filled, _PROBES, strict=True):
            stand_ins = {one.name: self._zeros(one, rows) for one in read if one.name not in filled}
            known = {**probe, **filled, **stand_ins}
            parts = (self._probed(part, known) for part in (node.args, node.kwargs))
            filled[node.name] = self._made(node.target, *parts)
        constant = _same_for_all_rows([filled[node.name] for filled in self.filled], value)
        if constant is not None:
            self.constants[node.name] = self.convert(constant)

    def _zeros(self, node: fx.Node, rows: int) -> Tensor:
        """So many rows of the shape of a value, of which nothing else is read."""
        value: Value = self.known[node.name]
        dtype = self.dtype if value.floating else node.meta["val"].dtype
        return torch.zeros([rows if size == ROWS else size for size in value.shape], dtype=dtype, device=self.device)

    def _with_constants(self, args: Any, all_of_them: bool = False) -> Any:
        """Arguments with constants in the place of what is one, unless all of them are: then it is one itself."""
        values = [part for part in leaves(args) if isinstance(part, Value)]
        if not all_of_them and all(value.name in self.constants for value in values):
            return args
        return mapped(args, lambda part: self.constants.get(part.name, part) if isinstance(part, Value) else part)

    def _made(self, target: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        made = target(*args, **kwargs)
        is_unwritten = isinstance(made, Tensor) and operation_name(target).startswith(UNWRITTEN)
        return made.fill_(self.unwritten if made.is_floating_point() else 0) if is_unwritten else made

    def _append(
        self,
        node: fx.Node,
        args: Any,
        kwargs: dict[str, Any],
        value: Value | None,
        from_input: bool,
        part: int | None = None,
    ) -> None:
        target, name = node.target, node.name if value is None else value.name
        assert callable(target)
        self.known[name] = value if value is not None else Rows(name)
        if str(target) == "aten.sym_size.int":
            for probe, rows in zip(self.probes, _PROBES, strict=True):
                probe[name] = rows
        if value is not None and value.floating and operation_name(target).startswith(_ARITHMETIC):
            args = mapped(args, lambda part: part.to(self.dtype) if isinstance(part, Tensor) else part)
        origin = module_path(node), source_line(node)
        self.nodes.append(
            Node(name, operation_name(target), target, tuple(args), kwargs, value, *origin, from_input, part)
        )

    def _resolve(self, argument: Any) -> Any:
        return mapped(argument, lambda part: self.known[part.name] if isinstance(part, fx.Node) else part)

    def _probed(self, argument: Any, probe: dict[str, Any]) -> Any:
        """An argument with constants as they are for one number of rows."""
        made = mapped(
            argument, lambda part: probe.get(part.name, self.known[part.name]) if isinstance(part, fx.Node) else part
        )
        return self._working_dtype(made) if isinstance(made, dict) else made

    def _depends(self, node: fx.Node) -> tuple[bool, bool]:
        """Whether a node depends on the input, and on the number of rows."""
        names = [read.name for read in node.all_input_nodes]
        from_rows = [name in self.probes[0] for name in names]
        from_input = any(isinstance(self.known[name], Value | Rows | _Several) and not rows
                         for name, rows in zip(names, from_rows, strict=True))  # fmt: skip
        return from_input, any(from_rows)

    def _working_dtype(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        changed = dict(kwargs)
        if isinstance(changed.get("dtype"), torch.dtype) and changed["dtype"].is_floating_point:
            changed["dtype"] = self.dtype
        if changed.get("device") is not None:
            changed["device"] = self.device
        return changed

    def convert(self, constant: Any) -> Any:
        if not isinstance(constant, Tensor):
            return constant
        constant = constant.detach()
        dtype = self.dtype if constant.is_floating_point() else constant.dtype
        return constant.to(device=self.device, dtype=dtype, copy=True)


def operation_name(target: Any) -> str:
    """``aten.relu.default`` for the overload, ``getitem`` or ``mul`` for Python operators."""
    return str(target) if isinstance(target, torch._ops.OpOverload) else getattr(target, "__name__", str(target))


def _state_by_placeholder(program: ExportedProgram) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for spec in program.graph_signature.input_specs:
        if spec.kind in (InputKind.USER_INPUT, InputKind.TOKEN):  # tokens keep checks in order
            continue
        target = str(spec.target)
        found[spec.arg.name] = program.state_dict[target] if target in program.state_dict else program.constants[target]
    return found


def _output_name(program: ExportedProgram) -> str:
    specs = [spec for spec in program.graph_signature.output_specs if spec.kind == OutputKind.USER_OUTPUT]
    names = [getattr(spec.arg, "name", None) for spec in specs]
    if len(names) != 1 or names[0] is None:
        raise InvalidInput(
            f"model: expected one tensor as output, got {len(names)} values. "
            "Wrap the model in a module whose forward returns the one tensor to trace."
        )
    name: str = names[0]
    return name


def _symbolic(made: Any) -> bool:
    if isinstance(made, torch.SymInt):
        return True
    return isinstance(made, Tensor) and any(isinstance(size, torch.SymInt) for size in made.shape)


def _value(name: str, made: Any) -> Value:
    """The row dimension is the one whose size is exactly the batch symbol; a multiple of it is a fold."""
    symbolic = [dim for dim, size in enumerate(made.shape) if isinstance(size, torch.SymInt)]
    whole = [dim for dim in symbolic if made.shape[dim].node.expr.is_symbol]
    row_dim = whole[0] if len(symbolic) == 1 and whole == symbolic else None
    shape = tuple(ROWS if dim in symbolic else int(size) for dim, size in enumerate(made.shape))
    return Value(name, shape, row_dim, made.is_floating_point(), made.is_complex())


def _same_for_all_rows(probes: Sequence[Any], value: Value | None) -> Any:
    """What a constant is whatever the number of rows, with one row where it has rows; None where it depends on them."""
    if value is not None and value.row_dim is not None:
        rows = [probe.narrow(value.row_dim, 0, 1) for probe in probes]
        same = all(_equal(row.expand_as(probe), probe) for row, probe in zip(rows, probes, strict=True))
        probes = rows if same else (None,)
    equal = all(type(probe) is type(probes[0]) and _equal(probe, probes[0]) for probe in probes)
    return probes[0] if equal else None


def _equal(one: Any, other: Any) -> bool:
    if not isinstance(one, Tensor):
        return bool(one == other)
    return one.shape == other.shape and bool(((one == other) | (one != one) & (other != other)).all())


def reachable(nodes: Sequence[Node], output: Value) -> tuple[Node, ...]:
    """The nodes that the output depends on, in their order."""
    needed, kept = {output.name}, []
    for node in reversed(nodes):
        if node.name in needed:
            kept.append(node)
            arguments = leaves((node.args, dict(node.kwargs)))
            needed |= {part.name for part in arguments if isinstance(part, Value | Rows)}
    return tuple(reversed(kept))


def refuse_mutated_output(program: ExportedProgram) -> None:
    """Refuse a model whose output depends on a buffer that its own forward pass changes.

    Raises:
        UnsupportedModel: It does: the function would differ from call to call.
    """
    signature = program.graph_signature
    mutated = {str(s.target) for s in signature.output_specs if s.kind == OutputKind.BUFFER_MUTATION}
    held = {s.arg.name for s in signature.input_specs if s.target in mutated}
    by_name = {node.name: node for node in program.graph.nodes}
    stack, seen = [_output_name(program)], set()
    while stack:
        name = stack.pop()
        if name in seen:
            continue
        seen.add(name)
        stack.extend(parent.name for parent in by_name[name].all_input_nodes)
    if guilty := sorted(held & seen):
        raise UnsupportedModel(
            f"model: its output depends on buffers that its forward pass changes ({', '.join(map(own_name, guilty))}): "
            "it is another function at every call; freeze them in evaluation mode."
        )


def refuse_unwritten_output(program: ExportedProgram, batch: Tensor) -> None:
    """Refuse a model whose output depends on memory that it asks for (``torch.empty``) and does not write to.

    Raises:
        UnsupportedModel: It does: the function would be chance.
    """
    nodes = [node for node in program.graph.nodes if operation_name(node.target).startswith(UNWRITTEN)]
    if not nodes:
        return
    with torch.no_grad():
        graph = canonical_graph(program, torch.float64, batch.device, unwritten=math.nan)
        found = graph.evaluate(batch[:1].double())
    if not bool(found.isfinite().all()):
        raise UnsupportedModel(
            "model: its output depends on memory that it never wrote to (torch.empty, empty_like, new_empty), which "
            f"can hold anything: write all of it ({source_line(nodes[0]) or module_path(nodes[0])})."
        )


_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<function>\S+)\n\s*(?P<text>[^\n]*)')
# Torch, and not torchvision, which lies beside it; and what calls the user's module here.
_NOT_THE_USERS = tuple(str(Path(file).parent) + os.sep for file in (torch.__file__, __file__))
_LIBRARY = sysconfig.get_path("stdlib") + os.sep
_PACKAGES = tuple({sysconfig.get_path(kind) + os.sep for kind in ("purelib", "platlib")})  # they may lie inside it


def module_path(node: fx.Node) -> str:
    """Path and class of the deepest module, such as ``layer1.0.relu (ReLU)``; empty outside every module."""
    stack = [entry for entry in node.meta.get("nn_module_stack", {}).values() if isinstance(entry, tuple)]
    if not stack:
        return ""
    path, kind = stack[-1]
    if _name(stack[0][1]) == Called.__name__:
        if len(stack) == 1:
            return ""
        path = own_name(path)
    return f"{path or 'model'} ({_name(kind)})"


def _name(kind: object) -> str:
    return kind.__name__ if isinstance(kind, type) else str(kind).rpartition(".")[2]


def source_line(node: fx.Node) -> str:
    """``file:line: text`` of the deepest frame in the user's own files, or an empty string."""
    frames = [match for match in _FRAME.finditer(node.meta.get("stack_trace") or "")]
    outside = [frame for frame in frames if not frame["file"].startswith(_NOT_THE_USERS)]
    if not outside:
        return ""
    deepest = outside[-1]
    return f"{deepest['file']}:{deepest['line']}: {deepest['text'].strip()}"


def raised_at(error: BaseException, called: Called) -> tuple[str, str]:
    """The deepest module that an error was raised in, as path and class, and ``file:line: text`` of the user's source.

    Each is an empty string where there is none.
    """
    frames = [found for raised in _chain(error) for found in traceback.walk_tb(raised.__traceback__)]
    names = {id(vars(module)): name for name, module in called.model.named_modules()}
    modules = [frame.f_locals.get("self") for frame, _ in frames]
    inside = [module for module in modules if isinstance(module, nn.Module) and id(vars(module)) in names]
    lines = [(frame.f_code.co_filename, line) for frame, line in frames if _is_the_users(frame)]
    module = f"{names[id(vars(inside[-1]))] or 'model'} ({type(inside[-1]).__name__})" if inside else ""
    return module, "{}:{}: {}".format(*lines[-1], linecache.getline(*lines[-1]).strip()) if lines else ""


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what caused it, the cause last."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_the_users(frame: FrameType) -> bool:
    file = frame.f_code.co_filename
    packaged = file.startswith(_PACKAGES) or not file.startswith(_LIBRARY)
    return packaged and not file.startswith((*_NOT_THE_USERS, "<string>", "<frozen"))
