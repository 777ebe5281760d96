"""Draw the figures of docs/performance.md from the results of the benchmarks, and put them into the page.

    python docs/update_performance_figures.py

Between ``<!-- NAME_figure:begin -->`` and ``<!-- NAME_figure:end -->`` of the page stands the figure, or that nothing
has been measured for it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from pages import ROOT, save, update

from transect.plots.style import BLUE, FAINT, GREEN, INK, QUIET, VERMILION, house_style, legend_above

FLOAT32 = "-float32"
SAME = 1.5  # times a crossing are called constant within this factor: the shaded bands
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Drawing:
    """A figure of the page.

    Attributes:
        benchmarks: Whose results it needs; all those that are there are drawn.
        draw: From their rows, one list a benchmark, to the figure; None where they are not enough.
        says: What it shows, for those who do not see it.
    """

    benchmarks: tuple[str, ...]
    draw: Callable[..., Figure | None]
    says: str


def main() -> None:
    """Draw all, and rewrite the page where something changed."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    from environment import read_rows

    texts = {}
    for name, drawing in DRAWINGS.items():
        figure = drawing.draw(*(list(read_rows(benchmark).values()) for benchmark in drawing.benchmarks))
        texts[f"{name}_figure"] = "*Not measured yet.*" if figure is None else save(figure, name, drawing.says)
    update(ROOT / "docs" / "performance.md", texts.get)


def forward_ratio(rows: Rows) -> Figure | None:
    """Time of a trace relative to a forward pass at its knots: a line a case, a dot a pair, the median full."""
    measured = [row for row in rows if row.get("ratio")]
    if not measured:
        return None
    cases = list(dict.fromkeys(_plain(row) for row in measured))
    with house_style():
        figure = Figure(figsize=(7.2, 1.3 + 0.42 * len(cases)), layout="constrained")
        axes = figure.subplots()
        for suffix, color, shift in (("", BLUE, -0.13), (FLOAT32, VERMILION, 0.13)):
            for row in (row for row in measured if row["case"] == _plain(row) + suffix):
                height = cases.index(_plain(row)) + shift
                axes.plot(row["ratios"], [height] * len(row["ratios"]), "o", color=color, alpha=0.35, markersize=4)
                axes.plot(row["ratio"], height, "D", color=color, markersize=7)
                axes.annotate(
                    f"{row['ratio']:.2f}", (max(row["ratios"]), height), xytext=(7, 0), textcoords="offset points",
                    va="center", color=color, fontsize=8.5,
                )  # fmt: skip
        axes.plot([], [], "D", color=BLUE, label="float64")
        axes.plot([], [], "D", color=VERMILION, label="float32")
        axes.axvline(1.0, color=INK, linewidth=1.0, linestyle=(0, (4, 3)), zorder=0, label="the forward pass")
        axes.set_xlim(0, 1.12 * max(1.0, *(max(row["ratios"]) for row in measured)))
        _name_lines(axes, cases)
        axes.set_xlabel("time of the trace / time of one forward pass at its knots")
        legend_above(axes)
    return figure


def against_others(marching: Rows, regioncam: Rows) -> Figure | None:
    """Seconds of a trace and of another tool on the same path: a line a case."""
    times = [(row, row["trace_s"], row["march_s"], "marching") for row in marching]
    times += [(row, row["trace_ms"] / 1e3, row["regioncam_ms"] / 1e3, "regioncam") for row in regioncam]
    if not times:
        return None
    colors = {"marching": VERMILION, "regioncam": GREEN}
    with house_style():
        figure = Figure(figsize=(7.2, 1.3 + 0.36 * len(times)), layout="constrained")
        axes = figure.subplots()
        for height, (row, ours, theirs, tool) in enumerate(times):
            axes.plot([ours, theirs], [height, height], color=FAINT, linewidth=4, zorder=0, solid_capstyle="butt")
            axes.plot(ours, height, "o", color=BLUE, markersize=7)
            axes.plot(theirs, height, "s", color=colors[tool], markersize=7)
            ratio = row["times_faster"]
            axes.annotate(
                f"{ratio:.0f} times" if ratio >= 10 else f"{ratio:.1f} times", (max(ours, theirs), height),
                xytext=(8, 0), textcoords="offset points", va="center", color=QUIET, fontsize=8.5,
            )  # fmt: skip
        axes.plot([], [], "o", color=BLUE, label="trace")
        for tool in dict.fromkeys(tool for *_, tool in times):
            axes.plot([], [], "s", color=colors[tool], label=tool)
        axes.set_xscale("log")
        low, high = min(min(o, t) for _, o, t, _ in times), max(max(o, t) for _, o, t, _ in times)
        axes.set_xlim(low / 1.6, high * 4)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        _name_lines(axes, [row["case"] for row, *_ in times])
        axes.set_xlabel("seconds")
        legend_above(axes)
    return figure


def time_a_crossing(rows: Rows) -> Figure | None:
    """Time and memory by the number of crossings, a line a network."""
    if not rows:
        return None
    with house_style():
        figure = Figure(figsize=(7.2, 3.2), layout="constrained")
        time, memory = figure.subplots(1, 2, sharex=True)
        colors = dict(zip(dict.fromkeys(row["network"] for row in rows), (BLUE, VERMILION, GREEN), strict=False))
        for network, color in colors.items():
            own = sorted((row for row in rows if row["network"] == network), key=lambda row: row["crossings"])
            crossings = [row["crossings"] for row in own]
            each = [row["microseconds_a_crossing"] for row in own]
            time.plot(crossings, each, "o-", color=color, label=network)
            time.axhspan(each[0] / SAME, each[0] * SAME, color=color, alpha=0.12, linewidth=0, zorder=0)
            memory.plot(crossings, [row["peak_mib"] for row in own], "o-", color=color)
        time.set_yscale("log")
        for plain in (time.yaxis.set_major_formatter, time.yaxis.set_minor_formatter):
            plain(FuncFormatter(lambda value, _: f"{value:g}"))
        time.yaxis.set_minor_locator(LogLocator(subs=(2.0, 5.0)))
        time.set_ylabel("time a crossing (µs)")
        memory.axhline(1024, color=INK, linewidth=1.0, linestyle=(0, (4, 3)))
        memory.set_ylim(0, max(1100, memory.get_ylim()[1]))
        memory.set_ylabel("memory that the trace adds (MiB)")
        for axes in (time, memory):
            axes.set_xscale("log")
            axes.set_xlabel("crossings")
        figure.legend(loc="outside upper left", ncols=len(colors))
    return figure


def _plain(row: dict[str, Any]) -> str:
    return str(row["case"]).removesuffix(FLOAT32)


def _name_lines(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), list(names))
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


DRAWINGS = {
    "forward_ratio": Drawing(
        ("trace_against_forward",),
        forward_ratio,
        "Time of a trace relative to one plain forward pass at its knots, for each network and dtype; the dashed line "
        "at 1 is the forward pass",
    ),
    "against_others": Drawing(
        ("against_marching", "against_regioncam"),
        against_others,
        "Seconds of a trace, of marching and of regioncam on the same paths, on a logarithmic axis",
    ),
    "time_a_crossing": Drawing(
        ("linear_cost",),
        time_a_crossing,
        "Time a crossing and memory by the number of crossings",
    ),
}


if __name__ == "__main__":
    main()
