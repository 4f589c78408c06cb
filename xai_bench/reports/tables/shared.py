"""What several sheets say alike: footnotes, the test behind the marks, and the cell of one mean."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import pandas as pd

from xai_bench.reports.analysis import Analysis, unique
from xai_bench.reports.tables.marks import Place, Wins, superscript
from xai_bench.reports.tables.sheet import Cell, Column
from xai_bench.stats import CELL

TEST = (
    "Wilcoxon's signed-rank test by image (of hits the exact sign test) at 5 %, Holm-corrected over all comparisons of "
    "a metric, where the 95 % interval of the mean difference excludes 0 too"
)
SEEDS_TEST = (
    "the larger p of a t-test over images crossed with seeds and of the test by image on the means over seeds at 5 %, "
    "Holm-corrected over all comparisons of a metric, where the 95 % interval of the mean difference excludes 0 too"
)
MARKS = (
    "Superscripts name, by letter, the rows of the same group (the explainers of a model; the models, where a metric "
    "needs no maps) that are significantly worse: {test}. Bold: not significantly worse than the best mean of the "
    "group; nothing is bold where no row is shown to be worse."
)
CONTROLS = "Rows marked control know nothing of the model; a ceiling is told where the object is, and wins nothing."
UNDEFINED = "Undefined scores are counted and left out of the mean."
COUNTS = "n counts all images, undefined ones too; an empty cell was not scored."
LEGEND = f"Mean over images [95 % interval]. Arrows point to better. {MARKS} {CONTROLS} {UNDEFINED}"  # with {test}

ANCHORED = "Anchored: 0 is the control random, 1 the best possible (the object itself as a map, or the metric's bound)."

PLACE = (*(Column(name, spans=True) for name in ("data", "metric", "model")), Column("explainer"))

Record = Mapping[str, Any]


class Comparisons(NamedTuple):
    """Who beats whom in a run."""

    explainers: Wins  # of a model
    models: Wins  # under an explainer

    @classmethod
    def made(cls, analysis: Analysis) -> "Comparisons":
        return cls(Wins(analysis.explainers), Wins(analysis.models))

    def of(self, record: Record) -> tuple[Wins, Place]:
        """The comparisons that a cell of the summary takes part in, and its place among them."""
        data, metric, model, explainer = (record[name] for name in ("data", "metric", "model", "explainer"))
        if explainer == "none":
            return self.models, (data, metric, "none", model)
        return self.explainers, (data, metric, model, explainer)


def metric_notes(analysis: Analysis) -> dict[tuple[str, str, str], int]:
    """(metric, version, spec) -> number of its footnote."""
    keys = analysis.summary[["metric", "version", "spec"]].drop_duplicates().itertuples(index=False)
    return {(metric, version, spec): number for number, (metric, version, spec) in enumerate(keys, 1)}


def notes(analysis: Analysis) -> tuple[str, ...]:
    """Footnotes in the order of their numbers: metrics with their full specs, then explainers with theirs."""
    metrics = [f"{metric} v{version}: {spec}" for metric, version, spec in metric_notes(analysis)]
    scores = analysis.run.scores
    pairs = scores[scores["explainer"] != "none"][["explainer", "explainer_spec"]].drop_duplicates()
    named = (spec if str(spec).startswith(name) else f"{name}: {spec}" for name, spec in pairs.itertuples(index=False))
    return (*metrics, *named)


def metric_specs(analysis: Analysis) -> tuple[str, ...]:
    """The footnotes of metrics alone."""
    return notes(analysis)[: len(metric_notes(analysis))]


def metric_numbers(analysis: Analysis) -> dict[str, tuple[int, ...]]:
    """Metric -> numbers of its footnotes; more than one where it was measured by more than one spec."""
    found: dict[str, tuple[int, ...]] = {}
    for (metric, _, _), number in metric_notes(analysis).items():
        found[metric] = (*found.get(metric, ()), number)
    return found


def sentences(*parts: str) -> str:
    """Those that say anything, in one paragraph."""
    return " ".join(filter(None, parts))


def limited(comparisons: Comparisons) -> str:
    """What is to be said where not every two rows were compared."""
    pairs = [row for wins in comparisons for row in wins.pairs[["data", "metric", "fixed", "a", "b"]].to_numpy()]
    names: dict[tuple[str, ...], set[str]] = {}
    for data, metric, fixed, a, b in pairs:
        names.setdefault((data, metric, fixed), set()).update((a, b))
    compared: Counter[tuple[str, ...]] = Counter((data, metric, fixed) for data, metric, fixed, _, _ in pairs)
    short = [len(found) for group, found in names.items() if compared[group] < len(found) * (len(found) - 1) // 2]
    if not short:
        return ""
    return f"In groups of up to {max(short)} names, each is compared with the best and the controls only."


def legend(analysis: Analysis) -> str:
    """What the numbers and the marks of a table of means are."""
    return LEGEND.format(test=test(analysis))


def test(analysis: Analysis) -> str:
    """The test behind the marks."""
    return TEST if analysis.seeds == 1 else SEEDS_TEST


def seeded(analysis: Analysis) -> str:
    """What is to be said of several seeds."""
    said = f"Over {analysis.seeds} seeds, whose spread the intervals and tests hold beside that of the images."
    return said if analysis.seeds > 1 else ""


def untested(analysis: Analysis) -> str:
    """What is to be said of metrics that are one number per set of images."""
    metrics = [name for name in unique(analysis.summary["metric"]) if analysis.card(name)["scope"] == "set"]
    return f"One number for all images and so without a paired test: {', '.join(metrics)}." if metrics else ""


def key(record: Record) -> tuple[str, ...]:
    """data, model, explainer, metric."""
    return tuple(str(record[name]) for name in CELL)


def by_cell(frame: pd.DataFrame) -> dict[tuple[str, ...], Record]:
    """The rows of a frame that has one row per cell."""
    return {key(row): row for row in records(frame)}


def records(frame: pd.DataFrame) -> list[Record]:
    """The rows of a frame, each as a mapping."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def ordered(rows: Sequence[Record], names: Sequence[str]) -> list[Record]:
    """What shares its first name together, within that the second ...; names and rows as they come."""
    places = [{value: place for place, value in enumerate(dict.fromkeys(row[name] for row in rows))} for name in names]
    return sorted(rows, key=lambda row: [found[row[name]] for name, found in zip(names, places, strict=True)])


def anchored(analysis: Analysis) -> pd.DataFrame:
    """Scores between the random control and the best possible; empty where they cannot be said."""
    return analysis.anchored[analysis.anchored["anchored"].notna()]


def shown(analysis: Analysis, explainer: str) -> str:
    """An explainer as a table names it; nothing where a metric needs no maps."""
    return "" if explainer == "none" else analysis.marked(explainer)


def place_cells(analysis: Analysis, record: Record) -> tuple[Cell, ...]:
    """The cells under PLACE."""
    texts = (record["data"], analysis.arrow(record["metric"]), record["model"], shown(analysis, record["explainer"]))
    return tuple(Cell.name(text) for text in texts)


def mean_cell(comparisons: Comparisons, record: Record, row_of: Mapping[str, int]) -> Cell:
    """Mean and interval with the marks of the tests; `row_of` says which names of the group stand in which row."""
    if math.isnan(record["mean"]):
        return Cell("undefined")
    wins, place = comparisons.of(record)
    worse = (row_of[name] for name in wins.losers.get(place, ()) if name in row_of)
    plain = Cell.of(record["mean"], record["low"], record["high"])
    return replace(plain, top=bool(record["top"]), beats=superscript(worse))
