"""The statistics of a run, computed once and read by every table, figure and sentence."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any, NamedTuple

import pandas as pd

from xai_bench import agreement, stats
from xai_bench.errors import RunError
from xai_bench.grammar import ARROWS
from xai_bench.readings import anchored, costs, readings
from xai_bench.runs.run import Run

WIDE = 4  # metrics side by side before a table or a figure starts another row


class Block(NamedTuple):
    """What fits into one table: metrics of a data set that share their rows of (model, explainer)."""

    data: str
    metrics: tuple[str, ...]
    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Analysis:
    """A run with its statistics, each computed when first read; see `stats` and `readings` for the columns."""

    run: Run

    @cached_property
    def summary(self) -> pd.DataFrame:
        """Means with intervals, with `top`: not worse than the best; a ceiling is not among those that win."""
        found = stats.summary(self.run)
        rivals = found[[self.kind(name) != "ceiling" for name in found["explainer"]]]
        found["top"] = stats.top_marks(rivals, self.explainers, self.models).reindex(found.index, fill_value=False)
        return found

    @cached_property
    def seeds(self) -> int:
        """Under how many seeds the run was made."""
        return int(self.run.scores["seed"].nunique()) or 1

    @cached_property
    def of_maps(self) -> pd.DataFrame:
        """The scores of the maps in the gallery, which are those of the first seed."""
        scores = self.run.scores
        return scores[scores["seed"] == scores["seed"].iloc[0]] if self.seeds > 1 else scores

    @property
    def of_means(self) -> str:
        """What is to be said of several seeds where only their means count; "" of one."""
        return f"means over {self.seeds} seeds; other trainings may differ by more" if self.seeds > 1 else ""

    @cached_property
    def explainers(self) -> pd.DataFrame:
        """Paired differences within a model."""
        return stats.paired(self.run, "explainer")

    @cached_property
    def models(self) -> pd.DataFrame:
        """Paired differences under an explainer."""
        return stats.paired(self.run, "model")

    @cached_property
    def bands(self) -> pd.DataFrame:
        """Mean curves."""
        return stats.curve_bands(self.run)

    @cached_property
    def readings(self) -> pd.DataFrame:
        """Faithfulness over the clean output, and minus the random control."""
        return readings(self.run)

    @cached_property
    def anchored(self) -> pd.DataFrame:
        """Every mean between the random control (0) and the best there could be (1)."""
        return anchored(self.run)

    @cached_property
    def costs(self) -> pd.DataFrame:
        """What maps cost: seconds and passes per image."""
        return costs(self.run)

    @cached_property
    def ranks(self) -> pd.DataFrame:
        """Mean ranks of explainers within a model."""
        return stats.mean_ranks(self.run)

    @cached_property
    def friedman(self) -> pd.DataFrame:
        """Whether the ranks of explainers differ at all, and by how much they must to be told apart."""
        return stats.friedman(self.run)

    @cached_property
    def aggregates(self) -> pd.DataFrame:
        """Interquartile means over images x models."""
        return stats.aggregates(self.run)

    @cached_property
    def improvement(self) -> pd.DataFrame:
        """Probability of improvement of each explainer over each other."""
        return stats.improvement(self.run)

    @cached_property
    def profiles(self) -> pd.DataFrame:
        """Performance profiles."""
        return stats.profiles(self.run)

    @cached_property
    def places(self) -> pd.DataFrame:
        """Mean and rank of each explainer under each metric, as agreement between metrics reads them."""
        return agreement.places(self.run)

    @cached_property
    def taus(self) -> pd.DataFrame:
        """Kendall's tau between every two metrics."""
        return agreement.taus(self.places)

    @cached_property
    def model_taus(self) -> pd.DataFrame:
        """Kendall's tau between every two models."""
        return agreement.model_taus(self.places)

    @cached_property
    def undefined(self) -> pd.DataFrame:
        """data, model, explainer, metric, reason, undefined, scored: how many scores of a cell lack, and why."""
        return stats.undefined(self.run)

    def card(self, metric: str) -> dict[str, Any]:
        """The metric's card; what a plug-in no longer installed would have said is left open."""
        return {"name": metric, "better": "unstated", "scope": "image"} | dict(self.run.cards.get(metric, {}))

    @cached_property
    def _bare(self) -> Counter[str]:
        return Counter(metric.partition("(")[0] for metric in self.run.scores["metric"].unique())

    def label(self, metric: str) -> str:
        """`accuracy` for `accuracy(removal=blur)` while no other metric of the run is called so; notes say more."""
        bare = metric.partition("(")[0]
        return bare if self._bare[bare] <= 1 else metric

    def arrow(self, metric: str) -> str:
        """`deletion ↓`: the metric, as `label` names it, with its direction."""
        return f"{self.label(metric)} {ARROWS.get(self.card(metric)['better'], '')}".rstrip()

    def kind(self, explainer: str) -> str:
        """post-hoc, intrinsic, control (a floor) or ceiling (told where the object is); "" where nobody says."""
        return str(self.run.explainers.get(explainer, {}).get("kind", ""))

    def marked(self, explainer: str) -> str:
        """`random (control)`: the explainer with what a reader must know about it."""
        kind = self.kind(explainer)
        return f"{explainer} ({kind})" if kind in ("control", "ceiling", "intrinsic") else explainer

    def floor_last(self, explainers: Iterable[str]) -> tuple[str, ...]:
        """Intrinsic explainers first, the ceiling and then the controls last, the others in their order between."""
        rank = {"intrinsic": 0, "ceiling": 2, "control": 3}
        return tuple(sorted(explainers, key=lambda name: rank.get(self.kind(name), 1)))

    def blocks(self, wide: int = WIDE) -> Iterator[Block]:
        """The run, data set by data set, at most `wide` metrics in each; those without maps come first, for models."""
        for data, cells in self.summary.groupby("data", sort=False, observed=True):
            mapless = cells["explainer"] == "none"
            for part in (cells[mapless], cells[~mapless]):
                rows = self._rows(part)
                yield from (Block(str(data), chunk, rows) for chunk in chunks(unique(part["metric"]), wide))

    def _rows(self, cells: pd.DataFrame) -> tuple[tuple[str, str], ...]:
        """Models in their order, and within each the controls last."""
        pairs = set(zip(cells["model"], cells["explainer"], strict=True))
        models, explainers = unique(cells["model"]), self.floor_last(unique(cells["explainer"]))
        return tuple(pair for pair in product(models, explainers) if pair in pairs)


def analyse(run: Run) -> Analysis:
    """A run as reports read it; refused where it holds no scores."""
    if run.scores.empty:
        raise RunError("the run has no scores, so there is nothing to report; run its suite first")
    return Analysis(run)


def unique(values: "pd.Series[Any]") -> tuple[str, ...]:
    """The distinct values in order of appearance."""
    return tuple(map(str, values.unique()))


def chunks(items: Sequence[str], size: int) -> Iterator[tuple[str, ...]]:
    """Consecutive pieces, at most `size` long."""
    return (tuple(items[start : start + size]) for start in range(0, len(items), size))
