"""``transect trace``: one network along one path, for a person."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from statistics import fmean

import pyarrow as pa
from rich.console import Console
from rich.text import Text

from transect.cli.inputs import Question, Way, about_normalisation, opened, path_of
from transect.cli.printing import LONG, cell, columns_of, print_json, print_notes
from transect.errors import InvalidInput, RoundingWarning, TransectWarning
from transect.estimation import Estimate, estimate
from transect.measures import BY_NAME, MEASURES
from transect.measuring import forecast
from transect.networks.network import Network
from transect.paths import Path as Polyline
from transect.support.types import Row, number
from transect.tables.files import replacing, write_csv
from transect.tracing import trace
from transect.tracing.result import Trace
from transect.tracing.trace import MAX_BYTES

_BYTES_OF_A_KNOT = 64  # of what is kept of a crossing beside its outputs: position, bound, flip
_EXACT = {"crossings": "crossings", "density": "density", "flips": "flips"}
_ESTIMATED = {"flips": "flips", "flips_low": "at least", "flips_high": "at most", "samples": "samples"}
_BOTH = {"absolute_deviation": "deviation", "total_variation": "variation"}


@dataclass(frozen=True)
class Found:
    """What was found along a path.

    Attributes:
        name: The model, and which output of it.
        result: The trace or estimate.
        rows: One a segment; measures as l2 norms across the outputs.
        whole: The same of the whole path.
        notes: What a reader must know: warnings, how images were normalised.
    """

    name: str
    result: Trace | Estimate
    rows: list[Row]
    whole: Row
    notes: tuple[str, ...]


def find(question: Question, way: Way, sampled: bool, rtol: float | None, console: Console) -> Found:
    """Walk along the path, exactly or by samples.

    Args:
        question: The model.
        way: The path.
        sampled: Whether to estimate instead of tracing.
        rtol: Relative tolerance of an estimate; 0.01 where None.
        console: Hears how long a long trace will take, and shows that it is under way.

    Raises:
        TransectError: There is no such model or input, or the model cannot be traced.
    """
    if rtol is not None and not sampled:
        raise InvalidInput("rtol: it is the tolerance of --estimate; a trace is exact, and has none.")
    asked = opened(question)
    path = path_of(way, asked)
    notes = [said] if (said := about_normalisation(way, asked)) else []
    with warnings.catch_warnings(record=True) as caught, console.status("Capturing") as status:
        warnings.simplefilter("always", TransectWarning)
        if sampled:
            status.update("Estimating")
            # A module that cannot be captured is sampled all the same, if it has one output.
            model = asked.loaded.module if question.output is None else asked.captured()
            result: Trace | Estimate = estimate(
                model, path, rtol=1e-2 if rtol is None else rtol, dtype=None if question.dtype is None else asked.dtype
            )
        else:
            network = asked.captured()
            status.update("Looking ahead")
            keep = _keep(network, path, console)
            status.update("Tracing")
            result = trace(network, path, keep="all" if keep else "measures")
        rows, whole = _rows(result), _whole(result)
    if isinstance(result, Estimate) and result.uncounted is not None:
        notes.append(f"Flips: {result.uncounted}")
    notes += [str(warning.message) for warning in caught if issubclass(warning.category, TransectWarning)]
    return Found(question.name, result, rows, whole, tuple(dict.fromkeys(notes)))


def show(found: Found, console: Console) -> None:
    """Print what was found for a person."""
    known = (_EXACT if isinstance(found.result, Trace) else _ESTIMATED) | _BOTH
    columns = {name: heading for name, heading in known.items() if name in found.whole}
    table = columns_of("segment", "length", *columns.values())
    for index, row in enumerate(found.rows):
        table.add_row(str(index), *(cell(row[name]) for name in ("length", *columns)))
    if len(found.rows) > 1:
        table.add_section()
        table.add_row("path", *(cell(found.whole[name]) for name in ("length", *columns)), style="bold")
    console.print(Text(f"{found.name}: {_headline(found)}", style="bold"), soft_wrap=True)
    console.print()
    console.print(table)
    print_notes(found.notes, console)


def show_json(found: Found, console: Console) -> None:
    """Print what was found for a program."""
    said = {"model": found.name, "segments": found.rows, "path": found.whole, "notes": list(found.notes)}
    print_json(said, console)


def write(found: Found, folder: Path) -> list[Path]:
    """Write the table of segments and, of a trace, the trace itself and its figure; each file atomically.

    Returns:
        The files.
    """
    files = [folder / "segments.csv"]
    write_csv(pa.Table.from_pylist([{"segment": index} | row for index, row in enumerate(found.rows)]), files[0])
    if isinstance(found.result, Trace):
        files.append(found.result.save(folder / "trace.safetensors"))
        if found.result.kept is not None:
            from transect.plots import render  # matplotlib takes a second to import

            files.append(folder / "trace.png")
            with replacing(files[-1]) as temporary:
                temporary.write_bytes(render(found.result.plot(title=found.name), "png"))
    return files


def _keep(network: Network, path: Polyline, console: Console) -> bool:
    """Whether all knots of a trace fit in memory; says how long it will take, where that is long."""
    expected = forecast(network, path)
    if expected.exact_seconds is not None and expected.exact_seconds.value > LONG:
        console.print(Text(f"Forecast: {expected}"), soft_wrap=True)
    assert expected.crossings is not None
    bytes_needed = expected.crossings.high * (_BYTES_OF_A_KNOT + 8 * network.outputs)
    return bytes_needed < MAX_BYTES


def _rows(result: Trace | Estimate) -> list[Row]:
    columns = _columns(result)
    return [{name: values[index] for name, values in columns.items()} for index in range(len(result.length))]


def _columns(result: Trace | Estimate) -> Mapping[str, Sequence[float | None]]:
    found: dict[str, Sequence[float | None]] = {"length": result.length.tolist()}
    if isinstance(result, Trace):
        for name in ("crossings", "flips", "linear_crossings", "density"):
            found[name] = getattr(result, name).tolist()
    else:
        if result.uncounted is None:
            low, high = result.flips_interval.T.tolist()
            found |= {"flips": result.flips.tolist(), "flips_low": low, "flips_high": high}
        found |= {"samples": result.samples.tolist(), "converged": result.converged.tolist()}
    for measure in MEASURES:
        if measure.reducer is None or measure.name in found or (isinstance(result, Estimate) and not measure.estimated):
            continue
        with warnings.catch_warnings():
            if measure.name not in _BOTH:  # what a person is shown says it for all
                warnings.simplefilter("ignore", RoundingWarning)
            values = result.measure(measure.name)
        one = values if measure.per == "segment" else result.across_outputs(values)
        found[measure.name] = [None if isnan(value) else value for value in one.tolist()]
    return found


def _whole(result: Trace | Estimate) -> Row:
    columns = _columns(result)
    sums: Row = {name: _total(name, values) for name, values in columns.items() if name not in ("density", "converged")}
    if isinstance(result, Trace):
        anchors = {"anchor_crossings": result.anchor_crossings, "path_crossings": result.path_crossings}
        return {**sums, **anchors, "density": number(sums["crossings"]) / number(sums["length"])}
    return sums | {"converged": all(columns["converged"])}


def _total(name: str, values: Sequence[float | None]) -> float | None:
    """Of the whole path; None where no segment has a value."""
    known = [value for value in values if value is not None]
    return _TOTALS[BY_NAME[name].total if name in BY_NAME else "sum"](known) if known else None


_TOTALS: Mapping[str, Callable[[list[float]], float]] = {"sum": sum, "mean": fmean, "max": max}


def _headline(found: Found) -> str:
    result, whole = found.result, found.whole
    over = f"a path of length {whole['length']:.4g} in {len(found.rows)} segment{'s' if len(found.rows) > 1 else ''}"
    if isinstance(result, Estimate):
        sure = "" if whole["converged"] else ", NOT converged: --rtol was not reached"
        flips = f"about {whole['flips']:,.0f} flips on" if "flips" in whole else "deviation along"
        return f"{flips} {over}, estimated from {whole['samples']:,} samples{sure}"
    at_anchors = f" and {whole['anchor_crossings']:,} at anchors" if whole["anchor_crossings"] else ""
    verified = result.verification
    checked = "" if verified is None else f"; differs from the model by {verified.relative_error:.0e} at most"
    return f"{whole['crossings']:,} crossings{at_anchors} on {over}, exactly{checked}"
