"""Models on paper for the metrics that hide subsets of four pixels: what hiding each of them costs is plain."""

import torch

from xai_bench.engine import Case, Pixel, Scene
from xai_bench.metrics import score
from xai_bench.oracles import IMAGE, PIXELS, Linear, Sum, as_model
from xai_bench.removal import Fill
from xai_bench.types import Batch

BLACK = {"removal": Fill("black"), "output": "logit"}
ALONE = {**BLACK, "unit": Pixel()}
WHITE = torch.ones(1, 3, 2, 2)


class OfPixels(torch.nn.Module):
    """Logits (a function of the four grey pixels, 0)."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, images):
        found = self.function(*images.mean(1).flatten(1).unbind(1))
        return torch.stack([found, torch.zeros_like(found)], 1)


XOR = OfPixels(lambda a, b, c, d: a + b - 2 * a * b)
AND = OfPixels(lambda a, b, c, d: a * b)
SQUARES = OfPixels(lambda a, b, c, d: a**2 + b**2 + c**2 + d**2)
NOTHING = OfPixels(lambda a, b, c, d: 0 * a + 1)


def case(maps=PIXELS, module=None, images=IMAGE, seed=0):
    """One image of 2 x 2 for each map; the target is the first class."""
    maps = torch.as_tensor(maps, dtype=torch.float32).reshape(-1, 2, 2)
    pictures = images.expand(len(maps), -1, -1, -1).clone()
    batch = Batch(pictures, tuple(f"s{i}" for i in range(len(maps))))
    targets = torch.zeros(len(maps), dtype=torch.int64)
    return Case(Scene(as_model(module or Sum()), batch, targets=targets, seed=seed), maps)


def scored(metric, *given, **options):
    return score(metric, case(*given, **options)).values.tolist()


def reasons(metric, *given, **options):
    return score(metric, case(*given, **options)).reasons


def linear(count=4, size=(8, 10)):
    """A linear model, images, and the perfect maps: what each pixel adds to the logit."""
    generator = torch.Generator().manual_seed(11)
    weights = torch.randn(3, *size, generator=generator)
    images = torch.rand(count, 3, *size, generator=generator)
    return as_model(Linear(weights), size), images, (images * weights).sum(1)


def on_linear(metric, change=lambda maps: maps):
    model, images, maps = linear()
    batch = Batch(images, tuple("abcd"))
    targets = torch.zeros(len(images), dtype=torch.int64)
    return score(metric, Case(Scene(model, batch, targets=targets), change(maps)))
