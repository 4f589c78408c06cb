"""DiffROAR, ROAR, KAR and feature leakage on `blocks`: the numbers of docs/protocols/retraining.md.

python benchmarks/retraining.py [--quick]
"""

import argparse
import sys
import time

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xai_bench.adapters import Preprocessing, VisionModel
from xai_bench.data import Data, load_data
from xai_bench.engine import Case, Scene
from xai_bench.explainers import EXPLAINERS, AnyExplainer
from xai_bench.metrics import METRICS
from xai_bench.reductions import mean
from xai_bench.runs.work import Explained
from xai_bench.training import Recipe, train_anew
from xai_bench.training.loop import examples

QUICK = "--quick" in sys.argv
TRAIN, TEST, LESSON = (64, 32, 64) if QUICK else (2000, 500, 500)
FRACTIONS = (0.1,) if QUICK else (0.05, 0.2)
REPEATS, EPOCHS = (1, 1) if QUICK else (2, 10)
HALF = (0.5, 0.5, 0.5)


def gradient(model: VisionModel, images: Tensor, targets: Tensor) -> Tensor:
    """|d logit / d pixel|, summed over colours: the attribution of the DiffROAR paper, pixel by pixel."""
    images = images.requires_grad_()
    return torch.autograd.grad(model(images).gather(1, targets[:, None]).sum(), images)[0].abs().sum(1)


def blurred_gradient(model: VisionModel, images: Tensor, targets: Tensor) -> Tensor:
    """The same, averaged over 9 x 9 pixels: the control for what retraining likes about coarse maps."""
    return F.avg_pool2d(gradient(model, images, targets)[:, None], 9, 1, 4, count_include_pad=False)[:, 0]


def glyph(model: VisionModel, images: Tensor, targets: Tensor) -> Tensor:  # noqa: ARG001
    """The planted truth: brightness of the digit, nothing in the null block."""
    upper, lower = images.mean(1).chunk(2, dim=1)
    # the null block is the brighter one: a square with both diagonals holds more ink than any digit
    above = (upper.sum((1, 2)) < lower.sum((1, 2)))[:, None, None]
    return torch.cat([upper * above, lower * ~above], 1)


def network(classes: int, width: int = 8) -> nn.Sequential:
    """Three convolutions with batch normalisation, the last feature map 16 x 8, and a linear head."""
    layers: list[nn.Module] = []
    for before, after, stride in ((3, width, 2), (width, 2 * width, 2), (2 * width, 4 * width, 1)):
        layers += [nn.Conv2d(before, after, 3, stride, 1), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(4 * width, classes))


def trained(data: Data) -> VisionModel:
    """The network, trained as the metrics train it."""
    model = VisionModel(network(10), name="cnn", mean=HALF, std=HALF, preprocessing=Preprocessing((64, 32)), layer="8")
    images, labels = examples(data)
    recipe = Recipe(epochs=EPOCHS, lr=5e-3, warmup=0.3)
    model.module = train_anew(model.module, model.normalise(images), labels, recipe)
    return model


def case(model: VisionModel, data: Data, explainer: AnyExplainer, seed: int) -> Case:
    """The whole test set with the explainer's maps."""
    scene = Scene(model, data.batch(0, len(data)), seed=seed)
    explain = Explained(explainer)
    return Case(scene, explain(scene), None, explain)


def masks_alone(model: VisionModel, train: Data, test: Data, explainer: AnyExplainer) -> tuple[float, float]:
    """Accuracy of a model that sees only *which* pixels are the top or the bottom 5 %, and nothing of the image."""
    seen, scored = (case(model, data, explainer, 0) for data in (train, test))
    total = seen.batch.images[0, 0].numel()
    number, found = int(0.05 * total), []
    for first, last in ((0, number), (total - number, total)):
        pictures = [
            ((one.ranks() >= first) & (one.ranks() < last)).float().view(-1, 1, 64, 32).expand(-1, 3, -1, -1)
            for one in (seen, scored)
        ]
        assert seen.batch.labels is not None
        recipe = Recipe(epochs=EPOCHS, lr=5e-3, warmup=0.3)
        learner = train_anew(model.module, pictures[0].contiguous(), seen.batch.labels, recipe)
        with torch.inference_mode():
            found.append((learner(pictures[1]).argmax(1) == scored.batch.labels).float().mean().item())
    return found[0], found[1]


def leak(one: Case) -> float:
    """Mean share of |relevance| in the null block."""
    relevance, null = one.maps.abs(), one.batch.distractors
    assert null is not None
    return ((relevance * null).sum((1, 2)) / relevance.sum((1, 2))).nanmean().item()


def report(*, top: bool) -> None:
    """Print one line for each explainer: the share of the null block, then each metric at each fraction and in all."""
    sets = [load_data("blocks", split=split, n=n, top=top) for split, n in (("train", TRAIN), ("test", TEST))]
    start = time.perf_counter()
    model = trained(sets[0])
    test = sets[1].batch(0, TEST)
    with torch.inference_mode():
        accuracy = (model(test.images).argmax(1) == test.labels).float().mean().item()
    print(f"top={top}: accuracy {accuracy:.3f}, trained in {time.perf_counter() - start:.0f} s")
    known = {name: EXPLAINERS.build(name) for name in ("gradcam", "ig", "random", "edges")}
    explainers: dict[str, AnyExplainer] = {**known, "gradient": gradient, "blurred": blurred_gradient, "glyph": glyph}
    train = {"name": "blocks", "n": LESSON, "top": top}
    for name, explainer in explainers.items():
        print(f"{name:9} null {leak(case(model, sets[1], explainer, 0)):.3f}", end="", flush=True)
        for metric in () if top else ("diffroar", "kar", "roar"):
            table = {"name": metric, "train": train, "fractions": FRACTIONS, "epochs": EPOCHS}
            begun, rows = time.perf_counter(), []
            for seed in range(REPEATS):
                one = case(model, sets[1], explainer, seed)
                measure = METRICS.build(table)
                good = torch.tensor([not reason for reason in measure.undefined(one)])
                rows.append(measure.curve(one).values[good])  # type: ignore[union-attr]
            runs = torch.stack([row.mean(0) for row in rows])
            numbers = " ".join(
                f"{middle:+.3f}({spread:.3f})" for middle, spread in zip(runs.mean(0), runs.std(0), strict=True)
            )
            total = sum(mean(row.numpy()) for row in rows) / len(rows)
            print(f" | {metric} {numbers} = {total:+.3f} [{time.perf_counter() - begun:.0f} s]", end="", flush=True)
        if not top:
            shape = masks_alone(model, load_data("blocks", split="train", n=LESSON), sets[1], explainer)
            print(f" | mask alone: top {shape[0]:.3f} bottom {shape[1]:.3f}", end="")
        undefined = sum(map(bool, case(model, sets[1], explainer, 0).unrankable))
        print(f" | undefined {undefined}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small run that only shows that it works")
    parser.parse_args()
    torch.set_num_threads(1)
    for top in (False, True):
        report(top=top)
