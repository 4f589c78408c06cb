"""What the CAMAL study measures of each model: accuracy, where its attention lies, and how faithful it is."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from xai_bench.adapters import VisionModel
from xai_bench.api import run_suite
from xai_bench.data import Data
from xai_bench.engine.precision import fp32
from xai_bench.runs.means import Means
from xai_bench.runs.suite import Suite
from xai_bench.studies.camal.settings import Comparison

ALIGNMENT = ("energy_pointing_game", "soft_iou", "iou", "pointing_game")
POINTING = {"name": "pointing_game", "tolerance": 0}  # the pixel itself: 15 pixels are a quarter of a small image
FAITHFULNESS = ("deletion", "insertion", "average_drop", "increase_in_confidence", "inside_minus_outside")
OWN = "gradcam"  # at the layer that was taught, where it is the attention itself, upsampled
OTHER = "ig"  # of the input's pixels: no loss of the study looks at it
FLOORS = ("centre", "random")
STEPS = 8  # of integrated gradients
CHUNK = 256  # altered images per forward pass; to look for the best would cost more than these runs
KEEP = ["data", "model", "explainer", "metric", "sample", "score", "reason"]


def scores(
    models: Sequence[VisionModel], settings: Comparison, out: Path, *, faithful: bool, device: str, progress: bool
) -> pd.DataFrame:
    """One row per split, model, explainer, metric and image; resumable in `out`.

    Alignment of the model's own attention, and with `faithful` also its faithfulness and the alignment of an attention
    that was not taught, of the image's centre and of chance.
    """
    data = tuple(settings.judged_on(split, settings.explained) for split in settings.splits)
    aligned: tuple[Any, ...] = (*ALIGNMENT[:-1], POINTING)
    runs: list[tuple[str, tuple[Any, ...], tuple[Any, ...]]]
    runs = [("own", (OWN,), (*aligned, *FAITHFULNESS) if faithful else aligned)]
    if faithful:
        runs.append(("other", ({"name": OTHER, "steps": STEPS}, *FLOORS), aligned))
    means = Means(progress=None if progress else False)
    found = []
    for name, explainers, metrics in runs:
        suite = Suite(tuple(models), data, metrics, explainers, device=device, gallery=0, maps=False, chunk=CHUNK)
        found.append(run_suite(suite, out / name, means).scores[KEEP])
    table = pd.concat(found, ignore_index=True).astype({name: str for name in KEEP if name != "score"})
    return table.assign(
        metric=table["metric"].str.partition("(")[0], explainer=table["explainer"].str.partition("(")[0]
    )


def correct(model: VisionModel, data: Data) -> pd.DataFrame:
    """Whether each image that can be read is classified correctly."""
    rows: list[dict[str, Any]] = []
    with torch.inference_mode(), model.ready(), fp32():
        for batch in data:
            assert batch.labels is not None
            right = model(batch.images.to(model.device)).argmax(1).cpu() == batch.labels
            faults = batch.faults or ("",) * len(batch)
            rows.extend(
                {"sample": sample, "correct": bool(hit)}
                for sample, hit, fault in zip(batch.ids, right, faults, strict=True)
                if not fault
            )
    return pd.DataFrame(rows)
