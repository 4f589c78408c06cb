"""Example images of the study: where the mask helped, and how it fails (section 1.5 e)."""

from collections.abc import Iterator

import pandas as pd
import torch

from xai_bench.explainers.upsample import upsample
from xai_bench.reports.ersm import Panel
from xai_bench.studies.ersm.deletion import class_map
from xai_bench.studies.ersm.judged import head_of
from xai_bench.studies.ersm.settings import MAIN
from xai_bench.studies.ersm.training import Training

EACH = {"improvement": 3, "failure: focused": 1, "failure: distracted": 1, "failure: confident": 1}


def panels(training: Training, table: pd.DataFrame, name: str) -> list[Panel]:
    """Images on which the head without a mask is wrong and this main model right, and three sorts of failures.

    Focused failures keep least, distracted ones most; confident ones are surest of the wrong class. `table` is that of
    the images of one training and split.
    """
    split = training.settings.splits[0]
    data = training.data(split)
    places = {name: index for index, name in enumerate(data.ids(0, len(data)))}
    return [_panel(training, name, split, group, places[sample]) for group, sample in _chosen(table, name)]


def _chosen(table: pd.DataFrame, name: str) -> Iterator[tuple[str, str]]:
    """(group, sample id); an image is shown once."""
    mine = table[table["model"] == str(MAIN[name])].set_index("sample")
    head = table[table["model"] == head_of(name)].set_index("sample")["correct"].astype(bool)
    right = mine["correct"].astype(bool)
    wrong = mine[~right]
    groups = {
        "improvement": mine[right & ~head.reindex(mine.index)].sort_values("confidence", ascending=False),
        "failure: focused": wrong.sort_values("keep"),
        "failure: distracted": wrong.sort_values("keep", ascending=False),
        "failure: confident": wrong.sort_values("confidence", ascending=False),
    }
    shown: set[str] = set()
    for group, ordered in groups.items():
        new = [str(sample) for sample in ordered.index if sample not in shown][: EACH[group]]
        shown.update(new)
        yield from ((group, sample) for sample in new)


@torch.inference_mode()
def _panel(training: Training, name: str, split: str, group: str, index: int) -> Panel:
    data = training.data(split)
    sample = data.sample(index)
    images = sample.image[None]
    features = training.trunk.features(images.to(training.trunk.model.device)).float().cpu()
    model, head = training.main[name], training.heads[MAIN[name].recipe]
    logits, out = model.classify(features)
    other = head(features.mean((2, 3))).argmax(1)
    cam = class_map(head, features, other).clamp(min=0)
    words = [data.classes[int(place)] for place in (sample.label, logits.argmax(1), other)]  # type: ignore[arg-type]
    return Panel(
        group,
        f"{words[0]}; ERSM {words[1]}, head {words[2]}",
        sample.image.permute(1, 2, 0).numpy(),
        {
            "keep map": upsample(out.keep, images)[0].numpy(),
            "minus energy": upsample(-out.energy, images)[0].numpy(),
            "Grad-CAM of the head": upsample(cam, images)[0].numpy(),
        },
        None if sample.region is None else sample.region.numpy(),
    )
