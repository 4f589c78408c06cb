"""A small run put into a store by hand: no model, no torch."""

import math

import numpy as np

from xai_bench.runs.run import Panel
from xai_bench.runs.store import SCHEMA, Unit

STEPS = 3
SUITE = 'seed = 0\nmodels = ["m"]\ndata = ["d"]\nmetrics = ["deletion"]\nexplainers = ["e"]\n'


def info(models=("m",), n=4, **changed):
    card = {"name": "deletion", "better": "lower", "scope": "image", "reduction": "mean", "version": 1, "spec": "x=1"}
    entropy = card | {"name": "class_entropy", "better": "unstated", "scope": "set", "reduction": "class_entropy"}
    asked = {"e": ["deletion"], "none": ["class_entropy"]}
    return {
        "schema": SCHEMA,
        "created": "2026-01-01T00:00:00+00:00",
        "versions": {"xai-bench": "0.1.0", "timm": "1.0"},
        "seed": 0,
        "target": "predicted",
        "precision": "fp32",
        "models": {name: {"fingerprint": "aa", "device": "cpu"} for name in models},
        "data": {"d": {"fingerprint": "bb", "n": n}},
        "explainers": {"e": {"spec": "e()"}},
        "metrics": {"deletion": card, "class_entropy": entropy},
        "asked": {"d": dict.fromkeys(models, asked)},
    } | changed


def unit(samples=(0, 1), model="m", *, maps=False, score=0.5):
    made = Unit(data="d", ids=[f"s{number}" for number in samples])
    for number in samples:
        cell, sample = ("d", model, "e", "deletion"), f"s{number}"
        stamp = (0, "fp32", "cpu", "model=aa data=bb", "e()")
        made.rows.append((*cell, 1, "x=1", sample, 3, score + number, "", math.nan, math.nan, *stamp))
        made.points += [(*cell, sample, step / (STEPS - 1), score + number) for step in range(STEPS)]
        made.points.append(("d", model, "none", "class_entropy", sample, 0.0, float(number % 2)))
        image = np.full((2, 2, 3), number % 256, np.uint8)
        made.panels.append(
            Panel("d", sample, image, image[..., 0] > 0, {(model, "e"): np.full((2, 2), 1.5, np.float32)})
        )
    if maps:
        made.maps[model, "e"] = np.random.default_rng(number).standard_normal((len(samples), 4, 5)).astype(np.float32)
    return made
