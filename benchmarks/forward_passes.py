"""Scoring against the bare forward passes it needs: a ratio, measured in one run. `make bench`."""

import statistics
import time
from collections.abc import Callable

import torch

import xai_bench as xb
from xai_bench.engine import Case, Scene
from xai_bench.engine.engine import CHUNK
from xai_bench.metrics import METRICS, score
from xai_bench.types import Batch

IMAGES, ROUNDS = 16, 5
MODELS = ("resnet18", "mobilenetv2_100", "vit_tiny_patch16_224")
METRIC = METRICS.build("deletion")
PASSES = IMAGES * 28  # 27 altered images inside the curve and one with everything removed; the clean one is shared


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def ratio(name: str) -> float:
    """Median over rounds of ours / bare, each pair measured back to back."""
    model = xb.load_model(f"timm:{name}", pretrained=False)
    images = torch.rand(IMAGES, 3, 224, 224)
    maps = torch.rand(IMAGES, 224, 224)
    chunk = images[torch.arange(CHUNK) % IMAGES]

    def bare() -> None:
        with torch.inference_mode(), model.ready():
            for _ in range(PASSES // CHUNK):
                model(chunk)

    def ours() -> None:
        scene = Scene(model, Batch(images, tuple(map(str, range(IMAGES)))))
        scene.given = torch.zeros(IMAGES, dtype=torch.int64)
        score(METRIC, Case(scene, maps))

    bare()
    return statistics.median(seconds(ours) / seconds(bare) for _ in range(ROUNDS))


if __name__ == "__main__":
    print(f"deletion, 28 steps, {IMAGES} images at 224, chunks of {CHUNK}, {torch.get_num_threads()} threads:")
    print("time of scoring / time of the same number of bare forward passes, median of", ROUNDS)
    for name in MODELS:
        print(f"  {name:24} {ratio(name):.2f}")
