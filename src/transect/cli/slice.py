"""``transect slice``: one network on one plane, for a person."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from rich.console import Console
from rich.table import Table
from rich.text import Text

from transect.cli.inputs import Question, about_normalisation, opened
from transect.cli.planes import Where, plane_of
from transect.cli.printing import LONG, cell, columns_of, print_json, print_notes
from transect.errors import InvalidInput, TransectWarning
from transect.measuring.planes import row_of_slice
from transect.networks.network import Network
from transect.paths import Plane
from transect.slicing import Slice, forecast_slice, slice
from transect.slicing.slice import MAX_BYTES
from transect.tables.files import replacing, write_csv

Keep = Literal["all", "measures"]
Colour = Literal["region", "slope", "output", "class", "operation", "area"]
_MOST_CLASSES = 10  # listed for a person
_SIGNS = ("not positive", "positive")  # of a single output


@dataclass(frozen=True)
class Found:
    """What was found on a plane.

    Attributes:
        name: The model, and which output of it.
        result: The slice.
        row: Its measures.
        notes: What a reader must know: warnings, how images were normalised, what was not kept.
    """

    name: str
    result: Slice
    row: dict[str, Any]
    notes: tuple[str, ...]


def find(question: Question, where: Where, keep: Keep | None, console: Console) -> Found:
    """Slice the plane.

    Args:
        question: The model.
        where: The plane.
        keep: What is kept; None for all where there is room for it.
        console: Hears how long a long slice will take, and shows that it is under way.

    Raises:
        TransectError: There is no such model or input, the model cannot be sliced, or the slice cannot be kept.
    """
    asked = opened(question)
    plane = plane_of(where, asked)
    notes = [said] if (said := about_normalisation(where, asked)) else []
    with warnings.catch_warnings(record=True) as caught, console.status("Capturing") as status:
        warnings.simplefilter("always", TransectWarning)
        network = asked.captured()
        status.update("Looking ahead")
        fits = _look_ahead(network, plane, console)
        status.update("Slicing")
        result = slice(network, plane, keep=keep or ("all" if fits else "measures"))
        row = row_of_slice(result, network(plane.at(plane.corners)))
    if not fits and keep is None:
        notes.append("There may be no room for the polygons: measures only. --keep all tries.")
    notes += [str(warning.message) for warning in caught if issubclass(warning.category, TransectWarning)]
    return Found(question.name, result, row, tuple(dict.fromkeys(notes)))


def show(found: Found, console: Console) -> None:
    """Print what was found for a person."""
    console.print(Text(f"{found.name}: {_headline(found.result)}", style="bold"), soft_wrap=True)
    for table in (_measures(found), _operations(found.result), _classes(found.result)):
        if table.row_count:
            console.print()
            console.print(table)
    console.print()
    print_notes(found.notes, console)


def show_json(found: Found, console: Console) -> None:
    """Print what was found for a program."""
    result = found.result
    lengths = result.border_length_by_operation.tolist()
    operations = [
        {"operation": name, "units": units, "border_length": length}
        for name, units, length in zip(result.operations, result.units, lengths, strict=True)
    ]
    said = {
        "model": found.name,
        "measures": found.row,
        "operations": operations,
        "classes": [{"class": name, "area": area} for name, area in _named_areas(result)],
        "verification": None if result.verification is None else asdict(result.verification),
        "plane": {"corners": result.plane.corners.tolist(), "anchors": result.plane.anchors.tolist()},
        "notes": list(found.notes),
    }
    print_json(said, console)


def write(found: Found, folder: Path, colour: Colour | None = None) -> list[Path]:
    """Write the measures as a table of one row, the slice itself and, where polygons were kept, its figure; each file
    atomically. A figure of an earlier slice does not stay beside others' numbers.

    Args:
        found: What was found.
        folder: Where to.
        colour: What the polygons of the figure are coloured by; None for the default of ``Slice.plot``.

    Returns:
        The files.
    """
    files = [folder / "slice.csv"]
    write_csv(pa.Table.from_pylist([{"model": found.name} | found.row]), files[0])
    files.append(found.result.save(folder / "slice.safetensors"))
    if found.result.kept is not None:
        from transect.plots import render  # matplotlib takes a second to import

        figure = found.result.plot(title=found.name, colour=colour or "region")
        files.append(folder / "slice.png")
        with replacing(files[-1]) as temporary:
            temporary.write_bytes(render(figure, "png"))
    else:
        (folder / "slice.png").unlink(missing_ok=True)  # beside this table it would be taken for its picture
    return files


def check_colour(colour: Colour | None, out: Path | None, keep: Keep | None) -> None:
    """Refuse a colour where there will be no figure, before anything is done.

    Raises:
        InvalidInput: There will be none.
    """
    if colour is not None and (out is None or keep == "measures"):
        raise InvalidInput(
            "colour: it is that of the figure, which --out FOLDER writes unless --keep measures is given."
        )


def _look_ahead(network: Network, plane: Plane, console: Console) -> bool:
    """Whether all of a slice fits in memory; says how long it will take, where that is long."""
    expected = forecast_slice(network, plane)
    if expected.seconds.value > LONG:
        console.print(Text(f"Forecast: {expected}"), soft_wrap=True)
    return expected.bytes_all.high < MAX_BYTES


def _headline(result: Slice) -> str:
    verified = result.verification
    checked = "" if verified is None else f"; differs from the model by {verified.relative_error:.0e} at most"
    corners = len(result.plane.corners)
    domain = "a triangle" if corners == 3 else "a domain"
    regions = f"{result.regions:,} region{'' if result.regions == 1 else 's'}"
    return f"{regions} on {domain} of area {result.area:.4g}, exactly{checked}"


def _measures(found: Found) -> Table:
    row = found.row
    said = {
        "regions per unit of area": "region_density",
        "area of the smallest region": "smallest_region",
        "area of the largest region": "largest_region",
        "borders": "borders",
        "length of all borders": "border_length",
        "length of the decision boundary": "boundary_length",
        "mean slope": "mean_slope",
        "largest slope": "largest_slope",
        "deviation": "absolute_deviation",
        "deviation per unit of area": "mean_deviation",
    }
    table = columns_of("measure", "value", text=1)
    for name, column in said.items():
        if column in row:
            table.add_row(name, cell(row[column]))
    return table


def _operations(result: Slice) -> Table:
    table = columns_of("operation", "units", "length of borders", text=1)
    lengths = result.border_length_by_operation.tolist()
    for name, units, length in zip(result.operations, result.units, lengths, strict=True):
        table.add_row(Text(name), cell(units), cell(length))
    return table


def _classes(result: Slice) -> Table:
    """The classes with the largest areas."""
    table = columns_of("output" if len(result.outputs) == 1 else "largest output", "area", "share", text=1)
    areas = sorted(_named_areas(result), key=lambda pair: -pair[1])
    for name, area in [pair for pair in areas if pair[1] > 0][:_MOST_CLASSES]:
        table.add_row(name, cell(area), f"{area / result.area:.1%}")
    return table


def _named_areas(result: Slice) -> list[tuple[str, float]]:
    names = _SIGNS if len(result.outputs) == 1 else tuple(map(str, result.outputs))
    return list(zip(names, result.class_areas.tolist(), strict=True))
