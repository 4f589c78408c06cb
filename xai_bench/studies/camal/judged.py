"""From what was measured to what can be said: the claims of CAMAL's abstract, and what each loss changes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xai_bench.claims import Claim, judge
from xai_bench.metrics import METRICS
from xai_bench.studies.camal.measured import ALIGNMENT, FAITHFULNESS, FLOORS, OTHER, OWN
from xai_bench.studies.camal.settings import CAMAL, CONTROL, RECENT, Comparison

Numbers = NDArray[np.float64]
ABSTRACT = "arXiv 2605.08325, abstract; measures ours"
PLACE = ["split", "explainer", "metric", "model"]
WORDS = {OWN: "the attention that was taught (Grad-CAM)", OTHER: "another attention (integrated gradients)"}

READINGS = {CONTROL: "the same training without the term", RECENT: "Model Guidance's energy loss"}  # of "better"


@dataclass(frozen=True, eq=False)
class Measured:
    """All tables of the study, long: `scores` and `accuracy` by image, `costs` by model."""

    settings: Comparison
    scores: pd.DataFrame  # seed, split, model, explainer, metric, sample, score, reason
    accuracy: pd.DataFrame  # seed, split, model, sample, correct
    costs: pd.DataFrame  # seed, model, weights, layers, multiplications

    @cached_property
    def _scores(self) -> Mapping[tuple[str, ...], Numbers]:
        groups = self.scores.groupby(PLACE, sort=False, observed=True)
        return {tuple(map(str, key)): seeds_by_images(part, "score") for key, part in groups}

    @cached_property
    def _right(self) -> Mapping[tuple[str, ...], Numbers]:
        groups = self.accuracy.groupby(["split", "model"], sort=False, observed=True)
        return {tuple(map(str, key)): seeds_by_images(part, "correct") for key, part in groups}

    def of(self, split: str, explainer: str, metric: str, model: str) -> Numbers:
        """Scores of a model, (seeds, images), higher = better; nan where undefined."""
        sign = -1.0 if METRICS[metric].card.better == "lower" else 1.0
        return sign * self._scores[split, explainer, metric, model]

    def right(self, split: str, model: str) -> Numbers:
        """1 where the prediction is right, (seeds, images)."""
        return self._right[split, model]

    def spent(self, model: str, what: str) -> Numbers:
        """A cost of one pass, (seeds,)."""
        return self.costs[self.costs["model"] == model].sort_values("seed")[what].to_numpy(np.float64)


def claims(found: Measured) -> list[Claim]:
    """What the abstract says, each sentence once for every measure and split."""
    aligned = (claim for explainer in (OWN, OTHER) for claim in _aligned(found, explainer))
    faithful = (claim for than in READINGS for claim in _faithful(found, than))
    return [*aligned, *faithful, *_general(found), *_free(found)]


def _aligned(found: Measured, explainer: str) -> Iterator[Claim]:
    for split in found.settings.splits:
        for metric in ALIGNMENT:
            yield Claim(
                f"Attention is better aligned with the object: {WORDS[explainer]}",
                ABSTRACT,
                "CAMAL minus control",
                _apart(found, split, explainer, metric, CAMAL, CONTROL),
                where=f"{metric}, {split}",
            )


def _faithful(found: Measured, than: str) -> Iterator[Claim]:
    better = f"more than {found.settings.better:.0%} better than {READINGS[than]}"
    for split in found.settings.splits:
        for metric in FAITHFULNESS:
            yield Claim(
                f"Faithfulness is {better}",
                ABSTRACT,
                f"relative change from {than} to CAMAL, signed so that more is better",
                found.of(split, OWN, metric, CAMAL),
                found.of(split, OWN, metric, than),
                found.settings.better,
                where=f"{metric}, {split}",
            )


def _general(found: Measured) -> Iterator[Claim]:
    for says, bound in (("Generalisation is comparable", -found.settings.margin), ("Generalisation is improved", 0.0)):
        for split in found.settings.splits:
            gain = found.right(split, CAMAL) - found.right(split, CONTROL)
            yield Claim(says, ABSTRACT, "accuracy, CAMAL minus control", gain, above=bound, where=split)


def _free(found: Measured) -> Iterator[Claim]:
    for what in ("weights", "layers", "multiplications"):
        yield Claim(
            "Inference costs nothing",
            ABSTRACT,
            "of one pass, control minus CAMAL; 0 is the same, so the bound is just below",
            found.spent(CONTROL, what) - found.spent(CAMAL, what),
            above=-0.5,
            where=what,
        )


def _apart(found: Measured, split: str, explainer: str, metric: str, one: str, other: str) -> Numbers:
    return found.of(split, explainer, metric, one) - found.of(split, explainer, metric, other)


def gains(found: Measured) -> pd.DataFrame:
    """What each loss changes against the control: one row per split, explainer, metric and model.

    `gain` is signed so that more is better; `relative` is the same over the control's size; p is Wilcoxon's signed-rank
    test by image in each training, two-sided.
    """
    rows = []
    for split, explainer, metric, model in _compared(found):
        values, base = (found.of(split, explainer, metric, name) for name in (model, CONTROL))
        gain, relative = judge(Claim("", "", "", values - base)), judge(Claim("", "", "", values, base))
        rows.append(
            {"split": split, "explainer": explainer, "metric": metric, "model": model}
            | {"gain": gain.mean, "low": gain.low, "high": gain.high}
            | {"relative": relative.mean, "relative low": relative.low, "relative high": relative.high}
            | {"per training": _listed(gain.per_seed), "p per training": _listed(gain.p), "undefined": gain.undefined}
        )
    return pd.DataFrame(rows)


def _compared(found: Measured) -> Iterator[tuple[str, str, str, str]]:
    models = [name for name in found.settings.compared if name != CONTROL]
    for split in found.settings.splits:
        for explainer in (OWN, OTHER):
            for metric in (*ALIGNMENT, *(FAITHFULNESS if explainer == OWN else ())):
                yield from ((split, explainer, metric, model) for model in models)


def means(found: Measured, explainer: str, metrics: Sequence[str]) -> pd.DataFrame:
    """Mean score over trainings and images: a row per split and model, a column per metric."""
    models = found.settings.compared if explainer not in FLOORS else (CONTROL,)
    rows = []
    for split in found.settings.splits:
        for model in models:
            scored = {metric: _mean(found._scores[split, explainer, metric, model]) for metric in metrics}
            rows.append({"split": split, "model": model if explainer not in FLOORS else explainer, **scored})
    return pd.DataFrame(rows)


def accuracies(found: Measured) -> pd.DataFrame:
    """A row per model: accuracy on each split, with its change against the control."""
    rows = []
    for model in (*found.settings.compared, *found.settings.sweep):
        row: dict[str, object] = {"model": model}
        for split in found.settings.splits:
            change = judge(Claim("", "", "", found.right(split, model) - found.right(split, CONTROL)))
            row |= {split: _mean(found.right(split, model)), f"{split} change": change.mean}
            row |= {f"{split} low": change.low, f"{split} high": change.high}
        rows.append(row)
    return pd.DataFrame(rows)


def sweep(found: Measured) -> pd.DataFrame:
    """A row per training, split and weight of CAMAL's loss, 0 the control: accuracy and alignment of its attention."""
    own = found.settings.methods[CAMAL].weight
    named = {CONTROL: 0.0, CAMAL: own} | {name: loss.weight for name, loss in found.settings.sweep.items()}
    rows = []
    for split in found.settings.splits:
        for name, weight in sorted(named.items(), key=lambda pair: pair[1]):
            columns = {metric: _by_seed(found._scores[split, OWN, metric, name]) for metric in ALIGNMENT}
            columns["accuracy"] = _by_seed(found.right(split, name))
            for place, seed in enumerate(sorted(found.settings.seeds)):
                values = {column: float(numbers[place]) for column, numbers in columns.items()}
                rows.append({"split": split, "weight": weight, "seed": seed, **values})
    return pd.DataFrame(rows)


def seeds_by_images(part: pd.DataFrame, column: str) -> Numbers:
    """A column of a long table as (seeds, images), each in its order."""
    wide = part.pivot(index="seed", columns="sample", values=column)  # noqa: PD010 - one value per cell
    return wide.sort_index().sort_index(axis=1).to_numpy(np.float64)


def _mean(values: Numbers) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else np.nan


def _by_seed(values: Numbers) -> Numbers:
    return np.array([_mean(row) for row in values])


def _listed(values: Sequence[float]) -> str:
    return " ".join(f"{value:.3g}" for value in values)
