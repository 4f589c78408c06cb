"""Real false alarms: one suite under many seeds, each run checked against the first.

The model, the images and the maps of Grad-CAM and Integrated Gradients stay as they are; what is drawn anew are the
ties of rankings, hidden subsets and squares, the noise of imputation and the maps of the random control.
`python -m benchmarks.reruns runs/reruns` trains a small model once; with XAI_BENCH_REALSET set, `--model mobilenetv2`
takes an ImageNet model and real images. A second start goes on where the first ended.
"""

import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import click
import torch
from tabulate import tabulate

import xai_bench as xb
from xai_bench.adapters import Preprocessing, VisionModel
from xai_bench.adapters.checkpoint import save_model
from xai_bench.training import train_plain
from xai_bench.training.demo import FACTORY, LOCAL, PLAIN
from xai_bench.training.plain import HALF

EXPLAINERS: tuple[Any, ...] = ("gradcam", {"name": "ig", "steps": 8}, "random")
METRICS: tuple[Any, ...] = (
    {"name": "deletion", "steps": 7},
    {"name": "road", "fractions": [0.3]},
    {"name": "infidelity", "samples": 20},
    {"name": "mu_fidelity", "samples": 30},
    {"name": "faithfulness_correlation", "samples": 20},
    {"name": "sensitivity_n", "sizes": [0.2], "samples": 15},
    {"name": "pointing_game", "tolerance": 3},
)


class Setting(NamedTuple):
    """What is run again and again."""

    model: VisionModel
    data: Mapping[str, Any]
    metrics: tuple[Any, ...] = METRICS


def planted(folder: Path, images: int) -> Setting:
    """The demo's plain model, trained on 2,000 images, and images of the test split."""
    path = folder / "plain.safetensors"
    if not path.is_file():
        data = xb.load_data("planted", split="train", n=2000, seed=0, size=64, batch_size=256)
        module = train_plain(data, replace(PLAIN, seed=0), factory={**FACTORY, **LOCAL}, progress=False)
        shape = Preprocessing((64, 64))
        model = VisionModel(module, name="timm:test_resnet", label="plain", mean=HALF, std=HALF, preprocessing=shape)
        recipe = {"name": "timm:test_resnet", "label": "plain", "num_classes": len(data.classes), **FACTORY}
        save_model(model, path, recipe=recipe)
    data_seed = 1  # the data's own seed: the images are the same in every run
    return Setting(xb.load_model(path), {"name": "planted", "split": "test", "n": images, "seed": data_seed})


def mobilenetv2(_folder: Path, images: int) -> Setting:
    """MobileNetV2 with ImageNet weights on validation images, scored by what fewer forward passes pay for."""
    root = os.environ["XAI_BENCH_REALSET"]
    weights = Path(root) / "weights" / "mobilenetv2_100.safetensors"
    model = xb.load_model("timm:mobilenetv2_100", checkpoint=weights, pad_type="same", mean=HALF, std=HALF)
    metrics = (
        {"name": "deletion", "steps": 7},
        {"name": "road", "fractions": [0.2, 0.5, 0.8]},
        {"name": "infidelity", "samples": 10},
        {"name": "faithfulness_correlation", "samples": 10},
        {"name": "pointing_game", "tolerance": 15},
    )
    return Setting(model, {"name": "imagenet_val", "path": root, "size": 224, "n": images}, metrics)


SETTINGS = {"planted": planted, "mobilenetv2": mobilenetv2}


def runs(setting: Setting, folder: Path, reruns: int) -> Iterator[Path]:
    """The runs' folders, the first with seed 0; whatever is there already is not computed again."""
    for seed in range(reruns + 1):
        out = folder / f"seed-{seed}"
        xb.evaluate(
            [setting.model],
            EXPLAINERS,
            setting.metrics,
            setting.data,
            out,
            seed=seed,
            device="cpu",
            gallery=0,
            maps=False,
            progress=False,
        )
        yield out


def verdicts(reference: Path, reruns: list[Path]) -> str:
    """How many checks ended how, and how many cells, as markdown."""
    checks = [xb.check(rerun, reference) for rerun in reruns]
    ends, cells = Counter(check.verdict for check in checks), Counter[str]()
    for check in checks:
        cells.update(check.counts)
    red = [f"- {check.run}: {check.sentence}" for check in checks if check.verdict == "regression"]
    rows = [["checks", ", ".join(f"{count} {name}" for name, count in ends.most_common())]]
    rows += [["cells", ", ".join(f"{count} {name}" for name, count in cells.most_common())]]
    return "\n".join([tabulate(rows, ["", "of all"], tablefmt="github"), *red])


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--model", type=click.Choice(list(SETTINGS)), default="planted", show_default=True)
@click.option("--images", type=click.IntRange(2), default=100, show_default=True)
@click.option("--reruns", type=click.IntRange(1), default=50, show_default=True)
@click.option("--check/--no-check", default=True, help="Only make the runs.")
def main(*, folder: Path, model: str, images: int, reruns: int, check: bool) -> None:
    """Run, run again, and count the red builds."""
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    places = []
    for place in runs(SETTINGS[model](folder, images), folder, reruns):
        places.append(place)
        click.echo(f"{place} is there", err=True)
    if check:
        print(verdicts(places[0], places[1:]))


if __name__ == "__main__":
    sys.exit(main())
