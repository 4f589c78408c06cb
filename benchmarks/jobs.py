"""What all benchmarks score: pictures, maps, models, and the whole of the scoring as one call."""

import copy
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import xai_bench as xb
from benchmarks.harness import Work, seconds
from xai_bench.adapters import VisionModel
from xai_bench.engine import Case, Engine, Precision, Scene, evaluate
from xai_bench.metrics import METRICS, Metric, score
from xai_bench.types import Batch, Maps, Scores

MODELS = {"ResNet-18": "resnet18", "ViT-Ti": "vit_tiny_patch16_224"}
TRAINED = {
    "MobileNetV2": ("mobilenetv2_100", {"pad_type": "same"}),
    "ViT-Ti": ("vit_tiny_patch16_224", dict[str, str]()),
}
EXPLAINERS = ("gradcam", "ig", "random", "centre", "edges")
METRIC_NAMES = ("deletion", "insertion", "pointing_game")
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16")
STEPS = 28


@dataclass(frozen=True)
class Size:
    """How much work a benchmark does. The quick one is for every day, `--full` for numbers to be printed."""

    rounds: int = 5
    images: int = 1  # against the bare forward passes
    peer_images: int = 2  # against other libraries, with one map each
    mask_rounds: int = 25  # an energy mask costs so little that its ratio needs many
    pixels: int = 224
    small: int = 64  # pixels where many images or many rounds are needed
    small_model: str = "resnet10t"
    evaluated: int = 1  # models that go through the whole of `evaluate`
    process_images: int = 32
    few: int = 100  # images of the two runs whose memory is compared
    many: int = 1000
    reported: int = 1000  # images of the run whose report is timed
    measure: Callable[[Work], float] = seconds
    models: dict[str, str] = field(default_factory=lambda: dict(MODELS))  # title -> timm's name


FULL = Size(images=32, peer_images=32, process_images=256, evaluated=2)


def loaded(name: str, pixels: int = 224) -> VisionModel:
    """A timm model at random weights, which cost as much as trained ones."""
    size = {"img_size": pixels} if name.startswith("vit") and pixels != 224 else {}
    return xb.load_model(f"timm:{name}", pretrained=False, input_size=pixels, **size)


def as_timm_made(model: VisionModel) -> nn.Module:
    """The model as users of other libraries have it: timm's memory layout, not channels last."""
    return copy.deepcopy(model.module).to(memory_format=torch.contiguous_format)


def pictures(count: int, pixels: int) -> Batch:
    """Generated images with their objects' regions."""
    return xb.load_data("planted", n=count, size=pixels).batch(0, count)


def smooth_maps(batch: Batch, count: int) -> list[Maps]:
    """Different random smooth maps in which no value comes twice, so that all libraries remove the same pixels."""
    generator = torch.Generator().manual_seed(0)
    cells = torch.randn(count, len(batch), 14, 14, generator=generator)
    return [untied(F.interpolate(each, batch.images.shape[2:], mode="bicubic")[:, 0]) for each in cells[:, :, None]]


def untied(maps: Maps) -> Maps:
    """The same order of pixels, each with a value of its own."""
    return maps.flatten(1).argsort(dim=1, stable=True).argsort(1).float().view_as(maps)


def trained(count: int) -> Iterator[tuple[str, VisionModel, Batch]]:
    """Models with trained weights and so many ImageNet images, from the folder XAI_BENCH_REALSET if it is set."""
    if root := os.environ.get("XAI_BENCH_REALSET"):
        batch = xb.load_data("imagenet_val", path=root, size=224, n=count).batch(0, count)
        for title, (name, settings) in TRAINED.items():
            weights = Path(root) / "weights" / f"{name}.safetensors"
            half = (0.5, 0.5, 0.5)  # these weights' preprocessing
            yield title, xb.load_model(f"timm:{name}", checkpoint=weights, mean=half, std=half, **settings), batch


def prepared(model: VisionModel, precision: Precision, pixels: int, *, fold: bool = True) -> Engine:
    """An engine as runs use it, ready to work."""
    engine = Engine(model, precision=precision, fold=fold)
    engine.fit((pixels, pixels))
    assert engine.eyes
    return engine


def metrics(**parameters: object) -> list[Metric]:
    """Deletion and insertion with these parameters, and the pointing game."""
    return [METRICS.build({"name": name, **parameters}) for name in METRIC_NAMES[:2]] + [METRICS.build("pointing_game")]


@dataclass(frozen=True)
class Scoring:
    """Scores of several explainers' maps by several metrics."""

    batch: Batch
    maps: Sequence[Maps]
    metrics: Sequence[Metric]
    engine: Engine

    def __call__(self) -> list[list[Scores]]:
        scene = Scene(self.engine.model, self.batch, engine=self.engine)
        cases = [Case(scene, maps) for maps in self.maps]
        evaluate([(case, path) for case in cases for metric in self.metrics for path in metric.questions])
        return [[score(metric, case) for metric in self.metrics] for case in cases]


@dataclass(frozen=True)
class Bare:
    """So many forward passes of the model as it was loaded: same precision, memory layout and batch size as ours."""

    engine: Engine
    batch: Batch
    count: int
    module: nn.Module = field(init=False)
    inputs: Tensor = field(init=False)

    def __post_init__(self) -> None:
        module = self.engine.model.module
        rounded = module if self.engine.precision == "fp32" else copy.deepcopy(module).to(self.engine.dtype)
        rows = torch.arange(self.engine.chunk) % len(self.batch)
        object.__setattr__(self, "module", rounded)
        object.__setattr__(self, "inputs", self.engine.normalised(self.batch.to(self.engine.model.device).images[rows]))

    def __call__(self) -> None:
        with torch.inference_mode():
            for start in range(0, self.count, self.engine.chunk):
                self.module(self.inputs[: self.count - start])


def backward_passes(model: VisionModel, batch: Batch, count: int) -> None:
    """So many forward and backward passes as explainers need them, in batches of 32."""
    with model.ready(), torch.enable_grad():
        for start in range(0, count, 32):
            rows = torch.arange(min(32, count - start)) % len(batch)
            images = batch.images[rows].requires_grad_()
            torch.autograd.grad(model(images).amax(1).sum(), images)
