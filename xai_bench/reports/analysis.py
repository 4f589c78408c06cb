"""The statistics of a run, computed once and read by every table, figure and sentence."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import pandas as pd

from xai_bench import stats
from xai_bench.errors import RunError
from xai_bench.readings import readings
from xai_bench.runs.run import Run

ARROWS = {"higher": "↑", "lower": "↓"}
WIDE = 4  # metrics side by side before a table or a figure starts another row


class Block(NamedTuple):
    """What fits into one table: metrics of a data set that share their rows of (model, explainer)."""

    data: str
    metrics: tuple[str, ...]
    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Analysis:
    """A run with its statistics; see `stats` for the columns."""

    run: Run
    summary: pd.DataFrame  # with `top`: not worse than the best
    explainers: pd.DataFrame  # paired differences within a model
    models: pd.DataFrame  # paired differences under an explainer
    bands: pd.DataFrame  # mean curves
    readings: pd.DataFrame  # faithfulness over the clean output, and minus the random control

    def card(self, metric: str) -> dict[str, Any]:
        """The metric's card; what a plug-in no longer installed would have said is left open."""
        return {"name": metric, "better": "unstated", "scope": "image"} | dict(self.run.cards.get(metric, {}))

    def arrow(self, metric: str) -> str:
        """`deletion ↓`: the metric with its direction."""
        return f"{metric} {ARROWS.get(self.card(metric)['better'], '')}".rstrip()

    def kind(self, explainer: str) -> str:
        """post-hoc, intrinsic or control; "" where nobody says."""
        return str(self.run.explainers.get(explainer, {}).get("kind", ""))

    def marked(self, explainer: str) -> str:
        """`random (control)`: the explainer with what a reader must know about it."""
        kind = self.kind(explainer)
        return f"{explainer} ({kind})" if kind in ("control", "intrinsic") else explainer

    def floor_last(self, explainers: Iterable[str]) -> tuple[str, ...]:
        """Intrinsic explainers first, controls last, the others in their order between."""
        rank = {"intrinsic": 0, "control": 2}
        return tuple(sorted(explainers, key=lambda name: rank.get(self.kind(name), 1)))

    def blocks(self) -> Iterator[Block]:
        """The tables of the run, data set by data set; metrics without maps come first and compare models."""
        for data, cells in self.summary.groupby("data", sort=False, observed=True):
            mapless = cells["explainer"] == "none"
            for part in (cells[mapless], cells[~mapless]):
                rows = self._rows(part)
                yield from (Block(str(data), chunk, rows) for chunk in chunks(unique(part["metric"]), WIDE))

    def _rows(self, cells: pd.DataFrame) -> tuple[tuple[str, str], ...]:
        """Models in their order, and within each the controls last."""
        pairs = set(zip(cells["model"], cells["explainer"], strict=True))
        models, explainers = unique(cells["model"]), self.floor_last(unique(cells["explainer"]))
        return tuple(pair for pair in product(models, explainers) if pair in pairs)


def analyse(run: Run) -> Analysis:
    """All statistics of a run; refused where it holds no scores."""
    if run.scores.empty:
        raise RunError("the run has no scores; a report needs at least one")
    summary = stats.summary(run)
    explainers, models = stats.paired(run, "explainer"), stats.paired(run, "model")
    summary["top"] = stats.top_marks(summary, explainers, models)
    return Analysis(run, summary, explainers, models, stats.curve_bands(run), readings(run))


def unique(values: "pd.Series[Any]") -> tuple[str, ...]:
    """The distinct values in order of appearance."""
    return tuple(map(str, values.unique()))


def chunks(items: Sequence[str], size: int) -> Iterator[tuple[str, ...]]:
    """Consecutive pieces, at most `size` long."""
    return (tuple(items[start : start + size]) for start in range(0, len(items), size))
