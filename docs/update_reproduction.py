"""Put what the studies on real images say into docs/reproduction.md and docs/audit.md: tables, figures, verdicts.

    python docs/update_reproduction.py [--results results]

Reads the finished parts of the studies first-try-small, poster-small, clean-small, vgg-small, epochs-small, paths-small
and audit-small in ``studies/``, leaves their summaries as small CSV files in ``docs/reproduction/``, figures in
``docs/figures/``, and fills what stands between ``<!-- NAME:begin -->`` and ``<!-- NAME:end -->`` of the two pages.
Where a study is not there its summary is read: verdicts, tables and figures of its networks are made again, and what
needs single paths or times stays as it is.
"""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import torch
from pages import ROOT, markdown_table, save, update

import transect
from transect.analysis.claims import Claim
from transect.analysis.judging import judge_claims
from transect.analysis.kinds import KindTest, KindTests, compare_kinds
from transect.plots import epoch_sweep, legacy_audit, path_kinds, width_sweep
from transect.study.columns import PATH_SCHEMA, RUN_SCHEMA, TIMING_SCHEMA
from transect.tables.files import read_table, write_csv
from transect.tables.grouping import select
from transect.tables.names import describe, name_of

PAGES = ("reproduction", "audit")
SWEEPS = {
    "poster-small": "ResNet18, CIFAR-10 at 24 x 24 pixels, 20 % label noise",
    "clean-small": "ResNet18, CIFAR-10 at 24 x 24 pixels, right labels",
    "vgg-small": "VGG11, CIFAR-10 at 24 x 24 pixels, 20 % label noise",
}
STUDIES = (
    "first-try-small", "poster-small", "clean-small", "audit-small", "epochs-small", "paths-small", "vgg-small"
)  # fmt: skip
LENDERS = {"audit-small": ("poster-small",), "paths-small": ("poster-small", "clean-small")}  # --networks
KIND_MEASURES = ("absolute_deviation", "mean_deviation")
SUMMARY = """label label_noise model batch_norm width seed epoch kind around split samples legacy method way parameters
train_error test_error train_loss logit_std weight_norm paths path_length absolute_deviation absolute_deviation_std
scaled_deviation flips path_crossings density slope_similarity total_variation unresolved""".split()


def main() -> None:
    """Read, summarise, draw, fill."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=ROOT / "results", help="where the studies' folders are")
    results = parser.parse_args().results
    summaries = {name: ROOT / "docs" / "reproduction" / f"{name}.csv" for name in STUDIES}
    found = {name: study for name, path in summaries.items() if (study := read(results / name, path))}
    for name, study in found.items():
        if study.paths is not None:
            summarise(study, summaries[name])
    blocks = {name: text for make in BLOCKS for name, text in make(found)}
    for page in PAGES:
        update(ROOT / "docs" / f"{page}.md", blocks.get)


@dataclass(frozen=True)
class Study:
    """The tables of a finished study; of a summary only the first."""

    runs: pa.Table
    paths: pa.Table | None = None
    timings: pa.Table | None = None

    def core_minutes(self, taken: Collection[str] = ()) -> float:
        """Of one core, for training and measuring; some networks were taken from other studies."""
        rows = self.timings.to_pylist()
        training = {row["run"]: row["train_seconds"] for row in rows if row["run"] not in taken}
        return (sum(training.values()) + sum(row["measure_seconds"] for row in rows)) / 60


def read(folder: Path, summary: Path) -> Study | None:
    """A study from its folder, or else from its summary; None where there is neither."""
    if (folder / "table.parquet").exists():
        schemas = {"table": RUN_SCHEMA, "paths": PATH_SCHEMA, "timings": TIMING_SCHEMA}
        return Study(*(read_table(folder / f"{name}.parquet", schema) for name, schema in schemas.items()))
    if not summary.exists():
        return None
    types = {field.name: field.type for field in RUN_SCHEMA}
    return Study(pyarrow.csv.read_csv(summary, convert_options=pyarrow.csv.ConvertOptions(column_types=types)))


Blocks = Iterable[tuple[str, str]]


def summarise(study: Study, path: Path) -> None:
    """The columns of the run table that the pages are about, as CSV."""
    table = study.runs.select(SUMMARY)
    short = [pc.round(column, 6) if pa.types.is_floating(column.type) else column for column in table.columns]
    write_csv(pa.table(short, names=SUMMARY), path)


def times(found: dict[str, Study]) -> Blocks:
    """How long each study took."""
    there = [name for name in STUDIES if name in found and found[name].paths is not None]
    runs = {name: set(found[name].runs["run"].to_pylist()) for name in there}
    rows = []
    for name, own in runs.items():
        taken = set[str]().union(*(runs.get(lender, set()) for lender in LENDERS.get(name, ())))
        minutes = found[name].core_minutes(taken)
        rows.append([name, len(own), len(own - taken), f"{len(found[name].paths):,}", f"{minutes:.0f}"])
    if rows:
        heads = ["study", "networks", "of these trained for it", "paths measured", "minutes of one core"]
        yield "times", f"{markdown_table(heads, rows)}\n\n{environment()}"


def environment() -> str:
    """Machine and versions, as the benchmarks state them."""
    here = f"{platform.machine()}, {os.cpu_count()} cores; Python {platform.python_version()}"
    return f"{here}, torch {torch.__version__}, transect {transect.__version__}; {date.today()}; seeds as in the files."


def verdicts(found: dict[str, Study]) -> Blocks:
    """Every claim on every sweep, in a word."""
    claims = [(name, claim) for name in (*SWEEPS, "epochs-small") if name in found for claim in _claims(found, name)]
    if {"poster-small", "clean-small"} <= set(found):
        claims += [("poster-small against clean-small", claim) for claim in noise_claims(found)]
    paths: dict[tuple[str, str, str], list[str]] = {}
    for study, claim in sorted(claims, key=lambda each: each[1].number):
        what = f"({claim.number}) {claim.text}", study, f"**{claim.outcome.words}**"
        paths.setdefault(what, []).append(claim.label.replace("split", "paths"))
    rows = [[text, study, "; ".join(filter(None, labels)), verdict] for (text, study, verdict), labels in paths.items()]
    if rows:
        yield "verdicts", markdown_table(["claim", "study", "paths", "verdict"], rows)


def _claims(found: dict[str, Study], name: str) -> list[Claim]:
    return judged(found[name].runs, "epoch" if name == "epochs-small" else "width")


def sweeps(found: dict[str, Study]) -> Blocks:
    """For each sweep over the width the poster's figure, the numbers behind it, and the claims."""
    for name, title in SWEEPS.items():
        if name in found:
            table = found[name].runs
            figure = width_sweep(select(table, method="estimate"), split="train", title=title)
            says = f"{title}: absolute deviation, flips, test and train error over the width"
            yield name, f"{save(figure, name, says)}\n\n{width_tables(table)}"
            yield f"{name}-claims", claim_lines(judged(table))


def epochs(found: dict[str, Study]) -> Blocks:
    """The epoch-wise study."""
    if "epochs-small" in found:
        table = found["epochs-small"].runs
        figure = epoch_sweep(table, split="train", title="ResNet18 of width 6 in training, 20 % label noise")
        says = "Absolute deviation, flips, test and train error over the epochs of a ResNet18 of width 6"
        rows = sorted(select(table, split="train").to_pylist(), key=lambda row: row["epoch"])
        columns = ["epoch", "train_error", "test_error", "absolute_deviation", "scaled_deviation", "flips"]
        cells = [[cell(row[column]) for column in columns] for row in rows]
        numbers = markdown_table([name_of(name) for name in columns], cells)
        yield "epochs-small", f"{save(figure, 'epochs-small', says)}\n\n{numbers}"
        yield "epochs-small-claims", claim_lines(judged(table, "epoch"))


def noise(found: dict[str, Study]) -> Blocks:
    """Claim 5."""
    if {"poster-small", "clean-small"} <= set(found):
        yield "noise-claims", claim_lines(noise_claims(found))


def noise_claims(found: dict[str, Study]) -> list[Claim]:
    """Claim 5, from the two sweeps over the same widths."""
    noisy, clean = found["poster-small"].runs, found["clean-small"].runs
    noisy = noisy.filter(pc.is_in(noisy["width"], pa.array(set(clean["width"].to_pylist()))))
    both = pa.concat_tables([_renamed(noisy), _renamed(clean)])
    return [claim for claim in judge_claims(select(both, method="estimate")).claims if claim.number == 5]


def checks(found: dict[str, Study]) -> Blocks:
    """Estimates against exact values, path by path."""
    rows = []
    for name in ("poster-small", "clean-small", "vgg-small"):
        if name in found and found[name].paths is not None:
            rows += [[name, *agreement(found[name].paths, measure)] for measure in ("absolute_deviation", "flips")]
    if rows:
        heads = ["study", "measure", "paths", "mean difference", "largest", "intervals that hold the exact value"]
        yield "checks", markdown_table(heads, rows)


def kinds(found: dict[str, Study]) -> Blocks:
    """Closed against open against random paths."""
    if "paths-small" in found and found["paths-small"].paths is not None:
        paths = found["paths-small"].paths
        figure = path_kinds(paths, title="Deviation by kind of path")
        says = "Absolute deviations of closed, open, random and straight paths, for each width and label noise"
        whole, each = (compare_kinds(paths, column, pool_seeds=True) for column in KIND_MEASURES)
        tests = pa.concat_tables(map(_with_measure, (whole, each)))
        write_csv(tests, ROOT / "docs" / "reproduction" / "paths-small-tests.csv")
        rows = [
            [describe(test.values), f"{test.one} / {test.other}", *_tested(test), *_tested(per_length)]
            for test, per_length in zip(whole.tests, each.tests, strict=True)
            if {test.one, test.other} <= {"closed", "open", "random"}
        ]
        heads = ["networks", "kinds", "median deviations", "KS distance", "p (Holm)"]
        heads += ["per unit of length", "KS distance", "p (Holm)"]
        yield "paths-small", f"{save(figure, 'paths-small', says)}\n\n{markdown_table(heads, rows)}"


def _with_measure(tests: KindTests) -> pa.Table:
    table = tests.table()
    return table.append_column("measure", pa.array([tests.column] * len(table)))


def _tested(test: KindTest) -> list[str]:
    return [f"{test.one_median:.4g} / {test.other_median:.4g}", f"{test.statistic:.2f}", f"{test.adjusted_p:.1g}"]


def audit(found: dict[str, Study]) -> Blocks:
    """Each fault of the released code against the right values."""
    if "audit-small" not in found:
        return
    table = found["audit-small"].runs
    figure = legacy_audit(table, split="train", title="Faults of the released code, one by one")
    says = "Absolute deviation over the width, with each fault of the released code relative to the right values"
    widths = sorted(set(table["width"].to_pylist()))
    rows = []
    for legacy in dict.fromkeys(table["legacy"].to_pylist()):
        means = [_mean(select(table, legacy=legacy, width=width)["absolute_deviation"]) for width in widths]
        lengths = _mean(select(table, legacy=legacy)["path_length"])
        name = legacy.replace("_", " ").replace("+", " + ") or "none: the right values"
        rows.append([name, *(f"{mean:.3g}" for mean in means), f"{lengths:.3g}", widths[means.index(max(means))]])
    numbers = markdown_table(["fault", *(f"width {width}" for width in widths), "path length", "peak"], rows)
    yield "audit-small", f"{save(figure, 'audit-small', says)}\n\n{numbers}"


BLOCKS: Sequence[Callable[[dict[str, Study]], Blocks]] = (times, verdicts, sweeps, epochs, noise, checks, kinds, audit)


def width_tables(table: pa.Table) -> str:
    """:func:`width_table`, with and without batch norm apart."""
    norms = sorted(set(table["batch_norm"].to_pylist()))
    if len(norms) == 1:
        return width_table(table)
    return "\n\n".join(
        f"{'With' if norm else 'Without'} batch norm:\n\n{width_table(select(table, batch_norm=norm))}"
        for norm in norms
    )


def width_table(table: pa.Table) -> str:
    """Means over seeds by width, paths around training samples; exact columns from the exact part of the paths."""
    columns = ("train_error", "test_error", "absolute_deviation", "scaled_deviation", "logit_std", "flips")
    rows = []
    for width in sorted(set(table["width"].to_pylist())):
        here = select(table, width=width, split="train")
        values = [cell(_mean(select(here, method="estimate")[column])) for column in columns]
        rows.append([width, *values, cell(_mean(where(here, method="exact")["slope_similarity"]))])
    return markdown_table(["width", *(name_of(name) for name in columns), "slope similarity (exact)"], rows)


def judged(table: pa.Table, over: str = "width") -> list[Claim]:
    """Claims 2 to 4: deviations and flips from estimates, similarity of regions from exact traces."""
    found = [claim for claim in judge_claims(select(table, method="estimate"), over).claims if claim.number in (2, 3)]
    exact = where(table, method="exact")
    return found + ([claim for claim in judge_claims(exact, over).claims if claim.number == 4] if len(exact) else [])


def claim_lines(claims: Iterable[Claim]) -> str:
    """A table, a line a claim and sweep."""
    rows = [
        [f"({claim.number}) {claim.text}", claim.label, f"**{claim.outcome.words}**", _seen(claim)] for claim in claims
    ]
    return markdown_table(["claim", "paths", "verdict", "what was seen"], rows)


def _seen(claim: Claim) -> str:
    parts = [f"{part.outcome.words}: {part.statement}: {part.found}" for part in claim.parts]
    return ". ".join(each for each in ("; ".join(parts), claim.note) if each)


def agreement(paths: pa.Table, measure: str) -> list[str]:
    """Of the paths that were both estimated and traced: differences, and how many intervals hold the exact value."""
    keys = ("run", "split", "path")
    exact = {tuple(row[key] for key in keys): row[measure] for row in where(paths, method="exact").to_pylist()}
    estimated = [
        row for row in select(paths, method="estimate").to_pylist() if tuple(row[key] for key in keys) in exact
    ]
    off, held = [], 0
    for row in estimated:
        truth = exact[tuple(row[key] for key in keys)]
        off.append(abs(row[measure] - truth) / truth)
        held += row[f"{measure}_low"] <= truth <= row[f"{measure}_high"]
    if not off:
        return [measure.replace("_", " "), "0", "", "", ""]
    mean = sum(off) / len(off)
    return [
        measure.replace("_", " "),
        f"{len(off)}",
        f"{100 * mean:.2f} %",
        f"{100 * max(off):.2f} %",
        f"{held} of {len(off)}",
    ]


def where(table: pa.Table, method: str) -> pa.Table:
    """Rows of a method; none where it has none."""
    return table.filter(pc.equal(table["method"], method))


def _renamed(table: pa.Table) -> pa.Table:
    return table.drop_columns([name for name in ("study", "label") if name in table.column_names])


def _mean(column: pa.ChunkedArray) -> float | None:
    found: float | None = pc.mean(column).as_py()
    return found


def cell(value: float | None) -> str:
    """A number in a table."""
    if value is None:
        return ""
    if isinstance(value, int):
        return f"{value}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}" if abs(value) >= 1 else f"{value:.3f}"


if __name__ == "__main__":
    main()
