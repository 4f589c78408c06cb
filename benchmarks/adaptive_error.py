"""What adaptive steps cost: |area - area of 224 steps| of real curves, beside equal steps. Needs XAI_BENCH_REALSET.

`python benchmarks/adaptive_error.py [IMAGES]`; every image costs about 1,400 forward passes per model.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from scipy.stats import spearmanr

import xai_bench as xb
from xai_bench.adapters import VisionModel
from xai_bench.engine import Case, Engine, Scene, evaluate
from xai_bench.types import Batch

IMAGES = 2
STEPS = (10, 28, "adaptive")
EXACT = 224
MODELS = {"mobilenetv2_100": {"pad_type": "same"}, "vit_tiny_patch16_224": {}}
EXPLAINERS = (xb.EXPLAINERS["gradcam"](), xb.EXPLAINERS["ig"](steps=16), xb.EXPLAINERS["random"]())
METRICS = {
    name: {steps: xb.METRICS[name](steps=steps) for steps in (*STEPS, EXACT)} for name in ("deletion", "insertion")
}


def models(folder: Path) -> Iterator[VisionModel]:
    """The real weights, with the preprocessing they were trained with."""
    for name, settings in MODELS.items():
        weights = folder / "weights" / f"{name}.safetensors"
        yield xb.load_model(f"timm:{name}", checkpoint=weights, mean=(0.5,) * 3, std=(0.5,) * 3, **settings)


def rows(model: VisionModel, batch: Batch) -> Iterator[dict[str, object]]:
    """One row per curve: its distance from 224 fp32 steps, its own estimate of that, the points inside."""
    exact = Scene(model, batch)
    rounded = Scene(model, batch, targets=exact.targets, engine=Engine(model, precision="bf16"))
    maps = {
        explainer: xb.explain(explainer, model, batch.images, exact.targets, ids=batch.ids) for explainer in EXPLAINERS
    }
    for explainer, relevance in maps.items():
        cases = {"fp32": Case(exact, relevance), "bf16": Case(rounded, relevance)}
        tried = [(precision, steps) for precision in cases for steps in STEPS]
        evaluate(
            [
                (cases[precision], metrics[steps].trajectory)
                for metrics in METRICS.values()
                for precision, steps in [("fp32", EXACT), *tried]
            ]
        )
        for name, metrics in METRICS.items():
            truth = metrics[EXACT](cases["fp32"])
            for precision, steps in tried:
                case, metric = cases[precision], metrics[steps]
                curve = metric.curve(case)
                inside = len(curve.fractions) - 2 if curve.evaluated is None else curve.evaluated[:, 1:-1].sum(1)
                yield from pd.DataFrame(
                    {
                        "model": model.label,
                        "metric": name,
                        "explainer": explainer.card.name,
                        "precision": precision,
                        "steps": str(steps),
                        "points": inside,
                        "error": (metric(case) - truth).abs(),
                        "estimate": float("nan") if curve.error is None else curve.error,
                    },
                    index=range(len(batch)),
                ).to_dict("records")


def summary(found: pd.DataFrame) -> pd.DataFrame:
    """Mean, 95th percentile and maximum of the errors, and what the estimates were worth."""
    found = found.assign(covered=(found.error <= 2 * found.estimate).where(found.estimate.notna()).astype(float))
    groups = found.groupby(["precision", "steps"], sort=False)
    table = groups.agg(
        curves=("error", "size"),
        points=("points", "mean"),
        mean=("error", "mean"),
        p95=("error", lambda errors: errors.quantile(0.95)),
        max=("error", "max"),
        estimate=("estimate", "mean"),
        within_twice=("covered", "mean"),
    )
    table["rank_correlation"] = [spearmanr(part.error, part.estimate).statistic for _, part in groups]
    return table.round(4)


if __name__ == "__main__":
    root = os.environ.get("XAI_BENCH_REALSET") or sys.exit(
        "XAI_BENCH_REALSET is not set: no real weights and images here"
    )
    count = int(sys.argv[1]) if len(sys.argv) > 1 else IMAGES
    data = xb.load_data("imagenet_val", path=root, size=224, n=count)
    found = pd.DataFrame([row for model in models(Path(root)) for batch in data for row in rows(model, batch)])
    print(f"|area - area of {EXACT} fp32 steps| of deletion and insertion, {count} images, blur, probability:\n")
    print(summary(found).to_string(), "\n")
    for key in ("metric", "model", "explainer"):
        means = found[found.precision == "fp32"].pivot_table(index=key, columns="steps", values="error", sort=False)
        print(f"mean error in fp32 by {key}:\n{means.round(4).to_string()}\n")
