"""The demo: is a model that masks its own input better explained, and more robust, than the same model without?"""

from pathlib import Path
from typing import Any

from xai_bench.api import evaluate
from xai_bench.results import Results
from xai_bench.training import demo_models

EXPLAINERS: tuple[Any, ...] = ("gradcam", {"name": "ig", "steps": 32}, "energy", "random", "centre", "edges")
CELL = {"name": "patch", "side": 8}  # one token of the models' 8 x 8 grid
METRICS: tuple[Any, ...] = (
    "deletion",
    "insertion",
    {"name": "pointing_game", "tolerance": 0},
    {"name": "accuracy", "removal": "layer_masking", "unit": CELL},
    {"name": "unchanged_predictions", "removal": "layer_masking", "unit": CELL},
    {"name": "class_entropy", "removal": "layer_masking", "unit": CELL},
)


DATA: tuple[Any, ...] = (
    {"name": "planted", "split": "shifted", "n": 50},
    {"name": "planted", "split": "shifted", "n": 1000, "label": "shifted (1,000 images)", "metrics": ["top1"]},
    {"name": "planted", "split": "test", "n": 1000, "label": "as in training (1,000 images)", "metrics": ["top1"]},
)
NOTES = (
    (
        "The mask's energy weights are not the published ones (0.001 each) but 0.1 (unary) and 0.3 (pairwise), with an "
        "open start. With the published ones its keep map pointed at the object less often where this was tried: 0.17 "
        "of 1,000 shifted images as published and 0.34 with an open start, against 0.49 with the demo's."
    ),
    (
        "The ERSM model shares the plain model's backbone; its head was trained longer, so that part of its advantage "
        "may come from training rather than from masking."
    ),
)


def run_demo(out: Path, *, device: str = "auto", progress: bool | None = None) -> tuple[Results, Path]:
    """Train (or load) both models, score them on planted images whose background says nothing, write the report."""
    models = demo_models(out / "models", progress=progress is not False)
    results = evaluate(
        models=list(models),
        explainers=list(EXPLAINERS),
        metrics=list(METRICS),
        data=list(DATA),
        out=out,
        device=device,
        notes=NOTES,
        progress=progress,
    )
    return results, results.report(out / "report")
