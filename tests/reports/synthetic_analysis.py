"""An analysis with statistics written by hand, so that figures can be drawn of any size, and without the statistics.

Explainers are as good as their place in the list says, the first best; `random` is the floor.
"""

from itertools import combinations, product

import numpy as np
import pandas as pd

from xai_bench.reports.analysis import Analysis
from xai_bench.runs.run import CURVE_COLUMNS, SCORE_COLUMNS, Panel, Run

EXPLAINERS = ("energy", "gradcam", "ig", "centre", "random")
METRICS = {  # name -> (better, family)
    "deletion": ("lower", "faithfulness"),
    "insertion": ("higher", "faithfulness"),
    "pointing_game": ("higher", "localisation"),
}
KINDS = {
    "energy": "intrinsic",
    "energy_field": "intrinsic",
    "centre": "control",
    "random": "control",
    "region": "ceiling",
}
N = 50


def make_analysis(
    *, datas=("planted",), models=("plain", "ersm"), explainers=EXPLAINERS, metrics=tuple(METRICS), panels=1
):
    """Every statistic a figure reads, for these names."""
    cards = {name: _card(name) for name in (*metrics, "accuracy", "top1")}
    infos = {name: {"name": name, "kind": KINDS.get(name, "post-hoc")} for name in explainers}
    gallery = tuple(_panel(datas[0], f"image-{i}", models, explainers) for i in range(panels))
    scores = [_score(panel, *place, metric) for panel in gallery for place in panel.maps for metric in metrics]
    run = Run(
        pd.DataFrame(scores, columns=list(SCORE_COLUMNS)),
        pd.DataFrame(columns=list(CURVE_COLUMNS)),
        cards,
        infos,
        gallery=gallery,
    )
    analysis = Analysis(run)
    summary = pd.DataFrame(_summary(datas, models, explainers, metrics))
    frames = {"summary": summary, "bands": _bands(summary), "explainers": _paired(summary, "explainer")}
    frames |= {"models": _paired(summary, "model"), "costs": _costs(summary), "improvement": _improvement(summary)}
    frames |= {"profiles": _profiles(summary)} | _ranks(summary) | _taus(metrics, models)
    analysis.__dict__.update(frames)
    return analysis


def _card(name):
    better, family = METRICS.get(name, ("higher", "removal" if name == "accuracy" else "model"))
    if name.startswith("metric"):
        better, family = "higher", "faithfulness"
    return {"name": name, "better": better, "family": family, "scope": "image"}


def mean_of(place, count, model_place, better):
    """The best explainer has 0.9 (or 0.1 where lower is better), the last 0.3; the second model 0.02 less good."""
    good = 0.9 - 0.6 * place / max(count - 1, 1) - 0.02 * (model_place % 20)
    return good if better == "higher" else 1 - good


def _summary(datas, models, explainers, metrics):
    for data, (i, model) in product(datas, enumerate(models)):
        yield _cell(data, model, "none", "top1", "higher", 0.8 - 0.1 * (i % 5))
        yield _cell(data, model, "none", "accuracy", "higher", 0.6 - 0.1 * (i % 5))
        for metric, (place, explainer) in product(metrics, enumerate(explainers)):
            better = _card(metric)["better"]
            mean = mean_of(place, len(explainers), i, better)
            yield _cell(data, model, explainer, metric, better, mean)


def _cell(data, model, explainer, metric, better, mean):
    place = {"data": data, "model": model, "explainer": explainer, "metric": metric, "better": better}
    return place | {
        "mean": mean,
        "low": mean - 0.04,
        "high": mean + 0.05,
        "n": N,
        "undefined": 0,
        "note": "",
        "top": False,
    }


def _paired(summary, across):
    fixed = "model" if across == "explainer" else "explainer"
    cells = summary[(summary["explainer"] == "none") == (across == "model")]
    rows = []
    for (data, metric, held), cell in cells.groupby(["data", "metric", fixed], sort=False):
        names, means = cell[across].tolist(), cell["mean"].tolist()
        pairs = [pair for pair in combinations(range(len(names)), 2) if len(names) < 8 or {0, len(names) - 1} & {*pair}]
        for a, b in pairs[:200]:
            size = means[a] - means[b]
            better = "" if abs(size) < 0.05 else "a" if (size > 0) == (cell["better"].iloc[0] == "higher") else "b"
            place = {"across": across, "data": data, "metric": metric, "fixed": held, "a": names[a], "b": names[b]}
            rows.append(place | {"difference": size, "low": size - 0.03, "high": size + 0.06, "better": better, "n": N})
    columns = ["across", "data", "metric", "fixed", "a", "b", "difference", "low", "high", "better", "n"]
    return pd.DataFrame(rows, columns=columns)


def _bands(summary):
    cells = summary[summary["metric"].isin(["deletion", "insertion", "accuracy"])]
    steps = pd.DataFrame({"fraction": np.linspace(0, 1, 11)})
    whole = cells[["data", "model", "explainer", "metric", "mean", "n"]].merge(steps, how="cross")
    falls = whole["metric"] != "insertion"
    share = whole["fraction"].where(~falls, 1 - whole["fraction"])
    mean = share ** (1 / whole["mean"] - 0.5)
    return whole.assign(mean=mean, low=mean - 0.05, high=mean + 0.05)


def _costs(summary):
    names = summary.loc[summary["explainer"] != "none", ["model", "explainer"]].drop_duplicates()
    return names.assign(seconds=[10.0 ** (-i % 5 - 4) for i in range(len(names))], n=N)


def _improvement(summary):
    rows = []
    for (data, metric), cell in _mapped(summary).groupby(["data", "metric"], sort=False):
        names = list(dict.fromkeys(cell["explainer"]))
        rows += [
            (data, metric, names[a], names[b], 0.5 + 0.09 * (b - a), 0.45 + 0.09 * (b - a), 0.55 + 0.09 * (b - a))
            for a, b in combinations(range(min(len(names), 6)), 2)
        ]
    return pd.DataFrame(rows, columns=["data", "metric", "a", "b", "probability", "low", "high"]).assign(n=N, models=2)


def _profiles(summary):
    cells = _mapped(summary).drop_duplicates(["data", "metric", "explainer"])[["data", "metric", "explainer", "mean"]]
    whole = cells.merge(pd.DataFrame({"threshold": np.linspace(0, 1, 21)}), how="cross")
    share = 1 / (1 + np.exp(12 * (whole["threshold"] - whole["mean"])))
    return whole.assign(share=share, low=(share - 0.04).clip(0), high=(share + 0.04).clip(upper=1))


def _ranks(summary):
    keys = ["data", "metric", "fixed"]
    cells = _mapped(summary).rename(columns={"model": "fixed", "explainer": "name"}).assign(across="explainer")
    place = cells.groupby(keys, sort=False).cumcount()
    ranks = cells[["across", *keys, "name", "n"]].assign(rank=1.3 + 0.8 * place)
    tests = ranks.drop_duplicates(keys)[["across", *keys, "n"]]
    return {"ranks": ranks, "friedman": tests.assign(statistic=9.0, p=0.01, critical_difference=1.0, note="")}


def _taus(metrics, models):
    both = {"taus": metrics, "model_taus": models}
    return {
        name: pd.DataFrame(
            [[1 - 2 * abs(i - j) / max(len(names), 2) for j in range(len(names))] for i in range(len(names))],
            names,
            names,
        )
        for name, names in ((name, list(names)[:60]) for name, names in both.items())
    }


def _mapped(summary):
    return summary[summary["explainer"] != "none"]


def _score(panel, model, explainer, metric):
    values = dict.fromkeys(SCORE_COLUMNS, "") | {"score": 0.25, "version": 1, "target": 0}
    values |= {"data": panel.data, "model": model, "explainer": explainer, "metric": metric, "sample": panel.sample}
    return tuple(values[name] for name in SCORE_COLUMNS)


def _panel(data, sample, models, explainers):
    y, x = np.mgrid[:24, :24]
    region = (y - 10) ** 2 + (x - 14) ** 2 < 30
    image = np.stack([8 * x, 8 * y, np.where(region, 220, 60)], axis=-1).astype(np.uint8)
    blob = np.exp(-((y - 10) ** 2 + (x - 14) ** 2) / 40).astype(np.float32)
    maps = {
        (model, name): blob - np.float32(0.3 * (i % 2)) for model in models[:2] for i, name in enumerate(explainers)
    }
    return Panel(data, sample, image, region, maps)
