"""``network.report()``: which operations a model consists of, how each is treated, and how many units bend there."""

from __future__ import annotations

import dataclasses
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch

from transect.engine.program import Instruction, Program
from transect.errors import Problem, Treated, UnsupportedModel, by_kind
from transect.graph import Graph, Node, Value
from transect.rules.coverage import exported_name, in_words
from transect.rules.normalisation import RULES as NORMS

_FOLDED = "affine, folded into the convolution before it"
_READ = "part of the operation that reads it"
_PACKAGES = re.compile(r"^([A-Za-z]:)?[^:]*[/\\](site|dist)-packages[/\\]")
_KINDS = MappingProxyType({"refused": 0, "bends": 1})  # the rest follows


@dataclass(frozen=True)
class OperationRow:
    """One kind of operation, treated in one way.

    Attributes:
        operation: As ATen names it, such as ``aten.relu.default``.
        times: How many times it occurs.
        treatment: ``affine``, ``bends: 2 pieces``, ``bends: envelope of 9``, ``refused: ...``, ...
        units: How many units bend there, all occurrences together.
    """

    operation: str
    times: int
    treatment: str
    units: int


@dataclass(frozen=True)
class BendingOperation:
    """One bending operation: its name, the number of its units and of the pieces of each."""

    name: str
    units: int
    pieces: int


@dataclass(frozen=True, repr=False)
class Report:
    """What a model consists of; as text, a table.

    Attributes:
        name: Of the model.
        input_shape: Shape of one input.
        outputs: Number of outputs of one input; None for a refused model.
        dtype: Working dtype.
        rows: One for each kind of operation: first what is refused, then what bends, then the rest.
        operations: The bending operations in order of execution; none for a refused model.
        problems: Every operation that cannot be traced exactly; none for a captured network.
        notes: What ``capture`` remarked.
    """

    name: str
    input_shape: tuple[int, ...]
    outputs: int | None
    dtype: torch.dtype
    rows: tuple[OperationRow, ...]
    operations: tuple[BendingOperation, ...] = ()
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def traceable(self) -> bool:
        """Whether the model can be traced exactly."""
        return not self.problems

    @property
    def units(self) -> int:
        """Number of bending units, all operations together."""
        return sum(row.units for row in self.rows)

    def to_dict(self) -> dict[str, object]:
        """What JSON can hold of it: all of it."""
        return {
            "traceable": self.traceable,
            **dataclasses.asdict(self),
            "dtype": str(self.dtype).removeprefix("torch."),
        }

    def text(self, operations: bool = False) -> str:
        """The report as lines of text.

        Args:
            operations: Whether to add a table of the bending operations by name.
        """
        rows = [(row.operation, row.times, row.treatment, row.units or "") for row in self.rows]
        parts = [self._heading(), _table(("operation", "times", "treatment", "bending units"), rows)]
        if operations and self.operations:
            bends = [(bend.name, bend.units, bend.pieces) for bend in self.operations]
            parts.append(_table(("bending operation", "units", "pieces"), bends))
        if self.problems:
            parts.append("\n\n".join(_described(self.problems)))
        return "\n\n".join([*parts, *(f"Note: {note}." for note in self.notes)])

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return self.text()

    def _heading(self) -> str:
        outputs = "" if self.outputs is None else f" -> {_number(self.outputs, 'output')}"
        dtype = str(self.dtype).removeprefix("torch.")
        shape = "x".join(map(str, self.input_shape)) or "one number"
        if self.traceable:
            verdict = (
                f"Can be traced exactly: {_number(len(self.operations), 'bending operation')} with "
                f"{_number(self.units, 'unit')}."
                if self.operations
                else "Can be traced exactly: affine, nothing bends."
            )
        else:
            verdict = f"REFUSED: {_number(len(self.problems), 'operation')} cannot be traced exactly."
        return f"{self.name}: {shape}{outputs}, {dtype}\n{verdict}"


def report_network(name: str, graph: Graph, program: Program, input_shape: tuple[int, ...], outputs: int) -> Report:
    """The report of a captured network.

    Args:
        name: Of the model.
        graph: As it was exported.
        program: As it was compiled.
        input_shape: Shape of one input.
        outputs: Number of outputs of one input.
    """
    bends = map(BendingOperation, program.bends, program.units, program.pieces)
    return Report(
        name, input_shape, outputs, graph.dtype, _rows(_treated(graph, program)), tuple(bends), (), graph.notes
    )


def report_refusal(name: str, refused: UnsupportedModel, input_shape: tuple[int, ...], dtype: torch.dtype) -> Report:
    """The report of a model that ``capture`` refused with a list of operations."""
    problems = [Treated(problem.operation, f"refused: {problem.reason}", 0) for problem in refused.problems]
    return Report(name, input_shape, None, dtype, _rows([*problems, *refused.treated]), (), refused.problems)


def _treated(graph: Graph, program: Program) -> Iterator[Treated]:
    """One entry for each exported operation, by what the program executes for it."""
    executed: dict[str, list[Instruction]] = {}
    for instruction in program.instructions:
        executed.setdefault(exported_name(instruction.writes), []).append(instruction)
    readers = {value.name: node for node in graph.nodes for value in node.inputs()}
    for node in graph.nodes:
        if node.value is None or not node.from_input:
            continue  # sizes
        instructions = executed.get(node.name, [])
        bends = [instruction for instruction in instructions if instruction.bend >= 0]
        units = sum(program.units[instruction.bend] for instruction in bends)
        if bends:
            yield Treated(node.operation, in_words(bends[0].operation), units)
        elif not instructions:
            yield Treated(node.operation, "affine" if readers[node.name].operation in NORMS else _READ, 0)
        else:
            yield Treated(node.operation, _FOLDED if _is_folded(node, executed) else "affine", 0)


def _is_folded(node: Node, executed: dict[str, list[Instruction]]) -> bool:
    """Whether a batch norm stands for the convolution before it too, which is not executed on its own."""
    source = node.args[0] if node.operation in NORMS else None
    return isinstance(source, Value) and source.name not in executed


def _rows(found: Iterable[Treated]) -> tuple[OperationRow, ...]:
    times: Counter[tuple[str, str]] = Counter()
    units: Counter[tuple[str, str]] = Counter()
    for entry in found:
        times[entry.operation, entry.treatment] += 1
        units[entry.operation, entry.treatment] += entry.units
    rows = [OperationRow(operation, count, treatment, units[operation, treatment])
            for (operation, treatment), count in times.items()]  # fmt: skip
    return tuple(sorted(rows, key=lambda row: _KINDS.get(row.treatment.partition(":")[0], len(_KINDS))))


def _described(problems: Sequence[Problem]) -> Iterator[str]:
    """What is refused for the same reason, once, with every place where it is."""
    for found in by_kind(problems):
        operation, reason, remedy = found[0].kind
        heading = f"{operation}, {_number(len(found), 'time')}: {reason}.\n  What to do: {remedy}."
        yield "\n".join([heading, *_places(found)])


def _places(found: Sequence[Problem]) -> Iterator[str]:
    """Modules that share a line of source below that line."""
    modules: dict[str, list[str]] = {}
    for problem in found:
        modules.setdefault(problem.source, []).append(problem.module or "(outside every module)")
    for source, names in modules.items():
        if source:
            yield f"  at {_shortened(source)}"
        yield from (f"    {'in ' if source else ''}{name}" for name in names)


def _shortened(source: str) -> str:
    """A line of source without the folder of the installed packages, or the current one, before its file."""
    return _PACKAGES.sub("", source).removeprefix(os.getcwd() + os.sep)


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _table(headings: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> str:
    """Aligned columns, numbers to the right."""
    cells = [headings, *(tuple(f"{part:,}" if isinstance(part, int) else str(part) for part in row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    numeric = [any(isinstance(row[place], int) for row in rows) for place in range(len(headings))]
    cells.insert(1, tuple("-" * width for width in widths))
    return "\n".join(_line(row, widths, numeric) for row in cells)


def _line(row: tuple[str, ...], widths: list[int], numeric: list[bool]) -> str:
    cells = zip(row, widths, numeric, strict=True)
    return "  ".join(cell.rjust(width) if number else cell.ljust(width) for cell, width, number in cells).rstrip()
