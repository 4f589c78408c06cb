"""Scores to statements: means with intervals, paired differences with corrected tests, and counts of the undefined.

Every random number comes from one fixed seed, so that the same scores give the same interval, to the last digit.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from xai_bench.errors import RunError, UnknownNameError
from xai_bench.reductions import REDUCTIONS
from xai_bench.runs.run import Run

Numbers = NDArray[np.float64]

LEVEL = 0.95
RESAMPLES = 2_000
SET_RESAMPLES = 1_000  # a set metric is reduced anew for each, in Python
FEW = 10  # below, a bootstrap interval is known to be too narrow; the row says so
SEED = 20_240_229
CELL = ["data", "model", "explainer", "metric"]
SUMMARY = [*CELL, "better", "mean", "low", "high", "n", "undefined", "note", "version", "spec"]
DIFFERENCES = ["across", "data", "metric", "fixed", "a", "b", "mean_a", "mean_b"]
DIFFERENCES += ["difference", "low", "high", "p", "p_holm", "n", "undefined", "better", "note"]
BANDS = [*CELL, "fraction", "mean", "low", "high", "n"]


class Interval(NamedTuple):
    """A mean with its 95 % interval; nan where there is none, and the note says why."""

    mean: float
    low: float
    high: float
    note: str = ""


def interval(values: Numbers, *, binary: bool = False) -> Interval:
    """The mean of defined values: BCa bootstrap, or Wilson's interval where scores can only be 0 or 1.

    Efron (1987), "Better bootstrap confidence intervals"; Wilson (1927), "Probable inference".
    """
    if not len(values):
        return Interval(np.nan, np.nan, np.nan, "all undefined")
    mean = float(values.mean())
    if len(values) == 1:
        return Interval(mean, np.nan, np.nan, "one image")
    if binary:
        found = stats.binomtest(int(values.sum()), len(values)).proportion_ci(LEVEL, method="wilson")
        return Interval(mean, float(found.low), float(found.high))
    if _flat(values):
        return Interval(mean, mean, mean, "no spread")
    return Interval(mean, *_bca(values), "few images" if len(values) < FEW else "")


def summary(run: Run) -> pd.DataFrame:
    """One row per data set, model, explainer and metric: mean, 95 % interval, n, and how many are undefined and why."""
    _check(run)
    binary, records = _binary(run), _records(run)
    rows: list[dict[str, Any]] = []
    for key, cell in run.scores.groupby(CELL, sort=False, observed=True):
        card = run.cards.get(str(key[3]), {})
        if card.get("scope") == "set" or (cell["sample"] == "*").all():
            found = _set_row(cell, records.get(key, np.empty((0, 0))), card)
        else:
            found = _image_row(cell, binary=key[3] in binary)
        stamp = {name: "; ".join(map(str, cell[name].unique())) for name in ("version", "spec")}
        rows.append(dict(zip(CELL, key, strict=True)) | {"better": card.get("better", "unstated")} | found | stamp)
    return pd.DataFrame(rows, columns=SUMMARY)


def paired(run: Run, across: str = "explainer") -> pd.DataFrame:
    """Differences a - b between every two explainers of a model (or models under an explainer), paired by image.

    Interval as in `summary`; p from Wilcoxon's signed-rank test, `p_holm` corrected over all rows of the metric: each
    metric is a question of its own. `better` names the winner only where p_holm < 0.05 and the interval excludes 0.
    Metrics of a whole set are left out.
    """
    if across not in ("explainer", "model"):
        raise UnknownNameError.of("comparison", across, ("explainer", "model"))
    _check(run)
    fixed = "model" if across == "explainer" else "explainer"
    rows = []
    images = run.scores[run.scores["sample"] != "*"]
    for (data, metric, held), cell in images.groupby(["data", "metric", fixed], sort=False, observed=True):
        names = cell[across].unique()
        if len(names) < 2:
            continue
        wide = cell.pivot(index="sample", columns=across, values="score")  # noqa: PD010
        for a, b in combinations(names, 2):
            place = {"across": across, "data": data, "metric": metric, "fixed": held, "a": a, "b": b}
            rows.append(place | _difference(wide[a].to_numpy(np.float64), wide[b].to_numpy(np.float64)))
    frame = pd.DataFrame(rows, columns=DIFFERENCES)
    frame["p_holm"] = frame.groupby("metric")["p"].transform(lambda p: holm(p.to_numpy(np.float64)))
    frame["better"] = [_winner(row, run.cards.get(str(row["metric"]), {})) for _, row in frame.iterrows()]
    return frame


def holm(p: Numbers) -> Numbers:
    """Holm's (1979) step-down correction; nan stays nan and does not count as a test."""
    corrected, tested = np.full(len(p), np.nan), np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    corrected[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)))
    return corrected


def top_marks(summary: pd.DataFrame, explainers: pd.DataFrame, models: pd.DataFrame) -> "pd.Series[bool]":
    """Which rows of `summary` are not worse than the best of their model and metric, by the two tables of `paired`.

    Explainers are compared within a model; a metric without maps compares models. Where no row is shown to be worse
    than the best, nothing is known about the order and no row is marked.
    """
    marks = pd.Series(data=False, index=summary.index)
    mapless = summary["explainer"] == "none"
    for rows, table, name, fixed in (
        (summary[~mapless], explainers, "explainer", "model"),
        (summary[mapless], models, "model", "explainer"),
    ):
        worse = {_loser(row) for _, row in table.iterrows() if row["better"]}
        for (data, metric, held), group in rows.groupby(["data", "metric", fixed], sort=False, observed=True):
            ranked = group[group["better"].isin(["higher", "lower"])].dropna(subset="mean").sort_values("mean")
            if ranked.empty:
                continue
            best = ranked.iloc[0 if ranked["better"].iloc[0] == "lower" else -1][name]
            beaten = np.array([(data, metric, held, best, loser) in worse for loser in ranked[name]])
            marks[ranked.index] = ~beaten & beaten.any()
    return marks


def curve_bands(run: Run) -> pd.DataFrame:
    """Mean curve of each cell over its images with a 95 % percentile bootstrap band per step; set metrics left out.

    Between the points at which an image's curve was evaluated it is a straight line, as for its area.
    """
    rows: list[tuple[Any, ...]] = []
    for key, curves in _records(run, scope="image").items():
        whole = curves.interpolate(axis=1, method="index", limit_area="inside").dropna()
        steps, values = curves.columns, whole.to_numpy(np.float64)
        if len(steps) < 2 or not len(values):
            continue
        low, high = np.quantile(_resampled_means(values), _tails(), axis=0) if len(values) > 1 else 2 * [values[0]]
        bands = zip(steps, values.mean(axis=0), low, high, strict=True)
        rows.extend((*key, *point, len(values)) for point in bands)
    return pd.DataFrame(rows, columns=BANDS)


def _check(run: Run) -> None:
    """One score per cell and image: two would count one image twice."""
    twice = run.scores[run.scores.duplicated([*CELL, "sample"])]
    if len(twice):
        data, model, explainer, metric, sample = twice.iloc[0][[*CELL, "sample"]]
        raise RunError(
            f"the run has {metric!r} of {explainer!r} on {model!r}, {data!r} twice for image {sample!r}; one is allowed"
        )


def _binary(run: Run) -> set[str]:
    """Metrics whose defined scores are all 0 or 1, over the whole run: a cell of hits only is still a share of hits."""
    defined = run.scores[np.isfinite(run.scores["score"]) & (run.scores["sample"] != "*")]
    share = defined["score"].isin([0, 1]).groupby(defined["metric"], observed=True).all()
    return set(share.index[share])


def _records(run: Run, scope: str = "set") -> dict[Any, pd.DataFrame]:
    """Images x steps of every cell whose metric has that scope."""
    scopes = {metric: run.cards.get(metric, {}).get("scope", "image") for metric in run.scores["metric"].unique()}
    mine = [metric for metric, found in scopes.items() if found == scope]
    cells = run.points(mine).groupby(CELL, sort=False, observed=True)
    return {key: cell.pivot(index="sample", columns="fraction", values="value") for key, cell in cells}  # noqa: PD010


def _image_row(cell: pd.DataFrame, *, binary: bool) -> dict[str, Any]:
    scores = cell["score"].to_numpy(np.float64)
    defined = np.isfinite(scores)
    found = interval(scores[defined], binary=binary)
    note = "; ".join(filter(None, (found.note, _reasons(cell["reason"][~defined]))))
    counts = {"n": int(defined.sum()), "undefined": int((~defined).sum())}
    return {**found._asdict(), **counts, "note": note}


def _set_row(cell: pd.DataFrame, records: Any, card: Mapping[str, Any]) -> dict[str, Any]:
    point = float(cell["score"].iloc[0])
    values = np.asarray(records, np.float64)
    values = values[np.isfinite(values).all(axis=1)]
    low, high, note = np.nan, np.nan, ""
    if not np.isfinite(point):
        note = "; ".join(filter(None, ("all undefined", _reasons(cell["reason"]))))
    elif len(values) < 2:
        note = "no interval: fewer than two records"
    elif card.get("reduction") not in REDUCTIONS:
        note = f"no interval: unknown reduction {card.get('reduction')!r}"
    else:
        reduce, rng = REDUCTIONS[card["reduction"]], np.random.default_rng(SEED)
        draws = [reduce(values[rng.integers(len(values), size=len(values))]) for _ in range(SET_RESAMPLES)]
        draws = [draw for draw in draws if np.isfinite(draw)] or [point]  # a ratio may have nothing below its line
        # centred: entropy of a resample is too low, and a plain percentile interval can miss its own point
        low, high = (point - np.mean(draws) + np.quantile(draws, _tails())).tolist()
        note = "no spread" if low == high else "few images" if len(values) < FEW else ""
    counts = {"n": len(values), "undefined": int(not np.isfinite(point))}
    return {"mean": point, "low": low, "high": high, **counts, "note": note}


def _reasons(reasons: "pd.Series[Any]") -> str:
    counted = reasons.fillna("").replace("", "no reason given").value_counts(sort=False).sort_index()
    return ", ".join(f"{reason} ({count})" for reason, count in counted.items())


def _difference(a: Numbers, b: Numbers) -> dict[str, Any]:
    both = np.isfinite(a) & np.isfinite(b)
    values = np.round(a[both] - b[both], 12)  # rounding in the last bit is no difference
    found = interval(values)
    means = {"mean_a": a[both].mean(), "mean_b": b[both].mean()} if both.any() else {"mean_a": np.nan, "mean_b": np.nan}
    counts = {"n": int(both.sum()), "undefined": int((~both).sum())}
    bounds = {"difference": found.mean, "low": found.low, "high": found.high, "note": found.note}
    return means | bounds | counts | {"p": _wilcoxon(values)}


def _wilcoxon(differences: Numbers) -> float:
    if not len(differences):
        return np.nan
    if not differences.any() or len(differences) == 1:  # scipy answers nan where nothing differs
        return 1.0
    return float(stats.wilcoxon(differences).pvalue)


def _winner(row: "pd.Series[Any]", card: Mapping[str, Any]) -> str:
    decided = row["p_holm"] < 1 - LEVEL and (row["low"] > 0 or row["high"] < 0)
    if not decided or card.get("better") not in ("higher", "lower"):
        return ""
    return "a" if (row["difference"] > 0) == (card["better"] == "higher") else "b"


def _loser(row: "pd.Series[Any]") -> tuple[Any, ...]:
    winner, loser = ("a", "b") if row["better"] == "a" else ("b", "a")
    return row["data"], row["metric"], row["fixed"], row[winner], row[loser]


def _flat(values: Numbers) -> bool:
    return bool(np.ptp(values) <= 1e-12 * max(1.0, float(np.abs(values).max())))


def _tails() -> tuple[float, float]:
    return (1 - LEVEL) / 2, (1 + LEVEL) / 2


def _bca(values: Numbers) -> tuple[float, float]:
    """Bias-corrected and accelerated; for a mean the jackknife's acceleration is a third moment, so n may be large."""
    means, centred = _resampled_means(values), values - values.mean()
    slack = 1e-9 * np.ptp(values)  # resamples that tie with the mean count half, whatever the last bit says
    below = ((means < values.mean() - slack).mean() + (means <= values.mean() + slack).mean()) / 2
    bias, skew = stats.norm.ppf(below), (centred**3).sum() / (6 * (centred**2).sum() ** 1.5)
    shifted = bias + stats.norm.ppf(_tails())
    low, high = np.quantile(means, stats.norm.cdf(bias + shifted / (1 - skew * shifted)))
    return float(low), float(high)


def _resampled_means(values: Numbers) -> Numbers:
    """Means of resamples with replacement: (n,) to (RESAMPLES,), (n, S) to (RESAMPLES, S)."""
    return np.concatenate([weights @ values for weights in _weights(len(values))])


def _weights(n: int) -> Iterator[Numbers]:
    """How often each of n images is drawn, divided by n; in blocks of at most 32 MB."""
    rows = max(1, min(RESAMPLES, 2**22 // n))
    return (_block(n, min(rows, RESAMPLES - start), start) for start in range(0, RESAMPLES, rows))


@lru_cache(maxsize=4)
def _block(n: int, rows: int, start: int) -> Numbers:
    drawn = np.random.default_rng((SEED, n, start)).integers(n, size=(rows, n)) + n * np.arange(rows)[:, None]
    return np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n) / n
