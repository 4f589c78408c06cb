"""Faithfulness scores read against the model itself: its confidence in the clean image, and a random order of removal.

Raw deletion and insertion compare models by how confident they are as much as by their explanations: insertion favours
models that are sure of themselves, deletion those that never are (Nourelahi et al. 2022, arXiv 2205.13042). Computed
from stored rows, so that a report needs no model.
"""

from typing import Any

import numpy as np
import pandas as pd

from xai_bench.runs.run import Run
from xai_bench.stats import CELL, Numbers, interval

FAMILY = "faithfulness"
CONTROL = "random"
COLUMNS = [*CELL, "reading", "better", "mean", "low", "high", "n", "undefined", "note"]
READINGS = ("over clean", "minus random")


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
