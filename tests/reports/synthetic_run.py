"""A run as the store would give it back, with numbers whose order is known: energy > gradcam > random, centre."""

import math

import numpy as np
import pandas as pd

from xai_bench.reductions import REDUCTIONS
from xai_bench.runs.run import CURVE_COLUMNS, SCORE_COLUMNS, Panel, Run

HOSTILE = "<script>alert(1)</script> & a_b^c $x$ 50% #1 {~} \\ =1+1 | `t`"
CARD = {"low": 0.0, "high": 1.0, "scope": "image", "reduction": "mean", "version": 1, "summary": ""}
AREA = {"family": "faithfulness", "degree": 1}
CARDS = {
    "deletion": CARD | AREA | {"name": "deletion", "better": "lower", "source": "Petsiuk et al. 2018"},
    "insertion": CARD | AREA | {"name": "insertion", "better": "higher", "source": "Petsiuk et al. 2018"},
    "pointing_game": CARD | {"name": "pointing_game", "better": "higher", "source": "Zhang et al. 2016"},
    "top1": CARD | {"name": "top1", "better": "higher", "source": "ours"},
    "class_entropy": CARD
    | {
        "name": "class_entropy",
        "better": "unstated",
        "scope": "set",
        "reduction": "class_entropy",
        "source": "BF 2023",
    },
}
KINDS = {"energy": "intrinsic", "gradcam": "post-hoc", "ig": "post-hoc", "saliency": "post-hoc"}
KINDS |= {"random": "control", "centre": "control"}
SKILL = {"energy": 0.8, "gradcam": 0.6, "ig": 0.35, "saliency": 0.3, "random": 0.0, "centre": 0.1}
SPEC = (
    "removal=blur(sigma=0.1,kernel=gaussian);unit=pixel;order=morf;ties=random;output=probability;target=predicted;"
    "fractions=28/both-ends;rule=trapezoid"
)
EXPLAINERS = ("energy", "gradcam", "random", "centre")


def make_run(
    images=60, *, models=("plain", "ersm"), explainers=EXPLAINERS, datas=("planted/test", "planted/shifted"), panels=2
):
    rng = np.random.default_rng(0)
    scores, curves = [], []
    for data in datas:
        samples = [f"{data.split('/')[-1]}-{number:04d}" for number in range(images)]
        for model in models:
            _whole(rng, scores, curves, data, model, samples)
            for explainer in explainers:
                if explainer != "energy" or model.startswith("ersm"):
                    _cell(rng, scores, curves, data, model, explainer, samples)
    infos = {name: {"name": name, "kind": KINDS[name], "version": 1, "source": "ours", "summary": ""} for name in KINDS}
    return Run(
        scores=pd.DataFrame(scores, columns=list(SCORE_COLUMNS)),
        curves=pd.DataFrame(curves, columns=list(CURVE_COLUMNS)),
        cards=CARDS,
        explainers=infos,
        info={"versions": {"xai_bench": "0.1.0", "torch": "2.15"}, "machine": {"cpu": "2 cores"}, "seed": 0},
        gallery=tuple(_panel(rng, datas[0], f"{number}", models, explainers) for number in range(panels)),
    )


def score_row(data, model, explainer, metric, sample, score, reason=""):
    spec = SPEC.replace("morf", "lerf") if metric == "insertion" else SPEC if metric == "deletion" else f"{metric}()"
    prints = "model=0123456789ab;data=ba9876543210"
    clean = 0.8 if metric in ("deletion", "insertion") else math.nan
    stamp = (0, "fp32", "cpu", prints, f"{explainer}()" if explainer != "none" else "")
    return (data, model, explainer, metric, 1, spec, sample, 3, score, reason, math.nan, clean, *stamp)


def _whole(rng, scores, curves, data, model, samples):
    right = 0.9 if model == "plain" else 0.97
    scores += [score_row(data, model, "none", "top1", sample, float(rng.random() < right)) for sample in samples]
    classes = rng.integers(0, 5 if model == "plain" else 8, (len(samples), 2))
    entropy = REDUCTIONS["class_entropy"](classes.astype(float))
    scores.append(score_row(data, model, "none", "class_entropy", "*", entropy))
    for sample, row in zip(samples, classes, strict=True):
        curves += [(data, model, "none", "class_entropy", sample, f / 4, float(c)) for f, c in enumerate(row)]


def _cell(rng, scores, curves, data, model, explainer, samples):
    skill, fractions = SKILL[explainer], np.linspace(0, 1, 28)
    for number, sample in enumerate(samples):
        ease = rng.normal(0, 0.3)
        missing = explainer == "gradcam" and number % 20 == 7
        for metric, sign in (("deletion", -1), ("insertion", 1)):
            power = np.exp(sign * -(1.2 * skill + ease))
            curve = (1 - fractions) ** power if metric == "deletion" else fractions**power
            curve = np.clip(0.05 + 0.9 * curve + rng.normal(0, 0.02, 28), 0, 1)
            area = np.nan if missing else float(np.trapezoid(curve, fractions))
            scores.append(score_row(data, model, explainer, metric, sample, area, "map is constant" if missing else ""))
            if not missing:
                points = zip(fractions.tolist(), curve.tolist(), strict=True)
                curves += [(data, model, explainer, metric, sample, f, v) for f, v in points]
        hit, reason = float(rng.random() < 0.15 + skill), ""
        if number % 30 == 11:
            hit, reason = np.nan, "no region"
        scores.append(score_row(data, model, explainer, "pointing_game", sample, hit, reason))


def _panel(rng, data, number, models, explainers):
    y, x = np.mgrid[:48, :48]
    cy, cx = rng.integers(14, 34, 2)
    region = (y - cy) ** 2 + (x - cx) ** 2 < 100
    image = (rng.random((48, 48, 3)) * 90).astype(np.uint8)
    image[region] += np.array([140, 60, 20], np.uint8)
    maps = {}
    for model in models:
        for explainer in explainers:
            if explainer == "energy" and not model.startswith("ersm"):
                continue
            blob = np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 120) * SKILL[explainer]
            noise = rng.normal(0, 0.15, (48, 48)) if explainer in ("ig", "random") else rng.random((48, 48)) * 0.05
            maps[model, explainer] = (blob + noise).astype(np.float32)
    return Panel(data, f"{data.split('/')[-1]}-{int(number):04d}", image, region, maps)
