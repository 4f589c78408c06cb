"""Scores read against what they could be: the model's confidence in the clean image, a random map, the best one.

Raw deletion and insertion compare models by how confident they are as much as by their explanations: insertion favours
models that are sure of themselves, deletion those that never are (Nourelahi et al. 2022, arXiv 2205.13042). Computed
from stored rows, so that a report needs no model.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from xai_bench.runs.run import Run
from xai_bench.stats import CELL, Numbers, interval, resampled_means
from xai_bench.stats.intervals import FEW
from xai_bench.stats.resampling import tails

FAMILY = "faithfulness"
CONTROL, CEILING = "random", "region"
WON_BY_THE_OBJECT = ("localisation", "faithfulness")  # families in which the object itself is the map to beat
COLUMNS = [*CELL, "reading", "better", "mean", "low", "high", "n", "undefined", "note"]
READINGS = ("over clean", "minus random")
COSTS = ["model", "explainer", "seconds", "n", "forward", "backward"]
ROUNDING = 1e-9  # a smaller distance is one of rounding
ANCHORED = [*CELL, "better", "floor", "best", "best_is", "anchored", "low", "high", "n", "note"]


def readings(run: Run) -> pd.DataFrame:
    """Two rows per cell of a faithfulness metric, with 95 % intervals, in the direction of the metric.

    `over clean`: the score divided by the clean image's output, to the power with which the output enters the score;
    undefined where that output is not positive, and the score as it is where it is relative already (a correlation, a
    ratio) or is made of more than one output (hits, several classes). `minus random`: the score minus that of the
    control `random` on the same image and model, so that 0 is what an order without knowledge gives.
    """
    rows = []
    for key, cell in run.scores.groupby(CELL, sort=False, observed=True):
        card = run.cards.get(str(key[3]), {})
        if card.get("family") != FAMILY:
            continue
        floor = _floor(run, key)
        rows.append(_row(key, READINGS[0], card, *_over_clean(cell, card)))
        rows.append(_row(key, READINGS[1], card, *_minus_random(cell, floor)))
    return pd.DataFrame(rows, columns=COLUMNS)


def _over_clean(cell: pd.DataFrame, card: Any) -> tuple["pd.Series[float]", str]:
    """Scores by image relative to the clean output, and what must be said of them."""
    scores, clean, degree = cell["score"], cell["clean"], card.get("degree")
    if not degree:
        return scores, "already relative" if degree == 0 else "no one output to divide by"
    return (scores / clean**degree).where(clean > 0), "" if (clean > 0).all() else "clean output is not positive"


def _minus_random(cell: pd.DataFrame, floor: pd.DataFrame | None) -> tuple["pd.Series[float]", str]:
    if floor is None:
        return cell["score"] * np.nan, f"no control {CONTROL!r} in the run"
    scores, floors = (part.set_index("sample")["score"] for part in (cell, floor))
    return scores - floors.reindex(scores.index), ""


def _floor(run: Run, key: tuple[Any, ...]) -> pd.DataFrame | None:
    """The rows of the random control in the same data, model and metric."""
    names = [label for label, facts in run.explainers.items() if facts.get("name") == CONTROL]
    data, model, _, metric = key
    scores = run.scores
    here = (scores["data"] == data) & (scores["model"] == model) & (scores["metric"] == metric)
    found = scores[here & (scores["explainer"] == names[0])] if names else scores[:0]
    return found if len(found) else None


def _row(key: tuple[Any, ...], reading: str, card: Any, values: "pd.Series[float]", note: str) -> dict[str, Any]:
    scores: Numbers = values.to_numpy(np.float64)  # type: ignore[assignment]
    defined = np.isfinite(scores)
    found = interval(scores[defined])
    of_set = "one number of the whole set" if found.note == "one image" and card.get("scope") == "set" else found.note
    notes = "; ".join(filter(None, (note, of_set)))
    counts = {"n": int(defined.sum()), "undefined": int((~defined).sum()), "note": notes}
    facts = {"reading": reading, "better": card.get("better", "unstated")}
    return dict(zip(CELL, key, strict=True)) | facts | found._asdict() | counts


class Best(NamedTuple):
    """What counts as 1."""

    scores: Numbers  # (n,) by image
    what: str  # "control region" or "bound"; "" where there is neither


def anchored(run: Run) -> pd.DataFrame:
    """One row per cell of a metric of maps with a direction: 0 is the control `random`, 1 the best there could be.

    (mean - random's mean) / (best's mean - random's mean) over the images on which all three are defined, and the 95 %
    percentile bootstrap interval of that ratio over images; several seeds of an image are averaged first. The best is
    the control `region` where the run has it and the metric is won by pointing at the object, else the bound of the
    metric in its better direction. Above 1 an explainer beats the object itself, below 0 it is worse than `random`.
    Undefined where the best is not shown to be better than `random` on these images: a ratio to nothing.
    """
    there = run.scores[run.scores["explainer"] != "none"]
    rows = []
    for (data, model, metric), cells in there.groupby(["data", "model", "metric"], sort=False, observed=True):
        card = run.cards.get(str(metric), {})
        if card.get("better") not in ("higher", "lower"):
            continue
        wide = _by_image(cells)
        floor, best = _of(run, wide, CONTROL), _best(run, wide, card)
        for name in wide:
            key = dict(zip(CELL, (data, model, name, metric), strict=True)) | {"better": card["better"]}
            rows.append(key | _anchored(wide[name].to_numpy(np.float64), floor, best, card))
    return pd.DataFrame(rows, columns=ANCHORED)


def _by_image(cells: pd.DataFrame) -> pd.DataFrame:
    """Images x explainers: means over seeds, nan where a seed is undefined."""
    seeds = cells.groupby(["explainer", "sample"], sort=False, observed=True)["score"]
    return seeds.mean().where(seeds.count() == seeds.size()).unstack(0)  # noqa: PD010


def _of(run: Run, wide: pd.DataFrame, control: str) -> Numbers | None:
    """A control's scores by image, (n,); None where the run has none."""
    named = [label for label in wide if run.explainers.get(str(label), {}).get("name") == control]
    return wide[named[0]].to_numpy(np.float64) if named else None


def _best(run: Run, wide: pd.DataFrame, card: Mapping[str, Any]) -> Best:
    ceiling = _of(run, wide, CEILING) if card.get("family") in WON_BY_THE_OBJECT else None
    if ceiling is not None:
        return Best(ceiling, f"control {CEILING}")
    bound = card.get("high" if card["better"] == "higher" else "low")
    if bound is None or not np.isfinite(bound):
        return Best(np.full(len(wide), np.nan), "")
    return Best(np.full(len(wide), float(bound)), "bound")


def _anchored(scores: Numbers, floor: Numbers | None, best: Best, card: Mapping[str, Any]) -> dict[str, Any]:
    """The row of one cell."""
    lacks = "" if best.what else f"no bound and no control {CEILING!r}"
    lacks = lacks if floor is not None else f"no control {CONTROL!r} in the run"
    three = np.stack([scores, scores if floor is None else floor, best.scores], axis=1)
    three = three[np.isfinite(three).all(axis=1)]
    row = {"best_is": best.what, "n": len(three), "floor": np.nan, "best": np.nan}
    row |= dict.fromkeys(("anchored", "low", "high"), np.nan)
    if lacks or not len(three):
        return row | {"note": lacks or "all undefined"}
    row |= {"floor": three[:, 1].mean(), "best": three[:, 2].mean()}
    mean, draws = three.mean(axis=0), resampled_means(three)
    room = (draws[:, 2] - draws[:, 1]) * (1 if card["better"] == "higher" else -1)
    if np.quantile(room, tails()[0]) <= ROUNDING:
        return row | {"note": f"{best.what} is not shown to be better than {CONTROL}"}
    row["anchored"] = _share(mean)
    if len(three) == 1:
        return row | {"note": "one number of the whole set" if card.get("scope") == "set" else "one image"}
    # resamples in which random reaches the best, at most 2.5 %, have no ratio
    row["low"], row["high"] = np.quantile(_share(draws[room > ROUNDING].T), tails())
    return row | {"note": "few images" if len(three) < FEW else ""}


def _share(means: Numbers) -> Any:
    """How far from the floor to the best: means of the scores, the floor and the best, (3, ...) to (...)."""
    scores, floor, best = means
    return (scores - floor) / (best - floor)


def costs(run: Run) -> pd.DataFrame:
    """What an explainer's map of an image of a model cost: seconds by the clock, images through the model and back.

    Means over the n images whose maps were made in a start that came to its end; maps that were kept cost nothing and
    do not count. Empty where the run is older. The first images pay for warming up; workers beside each other slow
    each other down. Costs of other devices are added up: `run.info["costs"]` has them apart.
    """
    told = pd.DataFrame(run.info.get("costs", ()), columns=["model", "explainer", "images", *COSTS[2:3], *COSTS[4:]])
    total = told.groupby(["model", "explainer"], sort=False, as_index=False).sum()
    means = {name: total[name] / total["images"] for name in ("seconds", "forward", "backward")}
    return total.assign(**means, n=total["images"])[COSTS]
