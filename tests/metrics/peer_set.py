"""What parity tests score on both sides: a small random network, maps in which no value comes twice, the realset."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import xai_bench as xb
from xai_bench.engine import Case, Scene
from xai_bench.metrics import METRICS, score
from xai_bench.oracles import as_model
from xai_bench.types import Batch

HALF = (0.5, 0.5, 0.5)
REAL = {"mobilenetv2_100": {"pad_type": "same"}, "vit_tiny_patch16_224": {}}


def small(size, mean=(0.4, 0.5, 0.3), std=(0.2, 0.25, 0.3)):
    """A random network with opinions: centred logits of deviation 2 on random images."""
    torch.manual_seed(3)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 5, 2), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    head = nn.Linear(8, 5)
    with torch.no_grad():
        features = net((images(16, size) - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1))
        head.weight.mul_(2 / head(features).std(0)[:, None])
        head.bias.sub_(head(features).mean(0))
    model = as_model(nn.Sequential(net, head).eval(), size, "0.3")
    model.mean, model.std = mean, std
    return model


def images(count, size):
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(0))


def untied(maps):
    """The same order of pixels, each with a value of its own in (0, 1]."""
    order = maps.flatten(1).argsort(dim=1, stable=True).argsort(dim=1).float()
    return ((order + 1) / order.shape[1]).view_as(maps)


def smooth(count, size, seed=1):
    cells = torch.randn(count, 1, 7, 7, generator=torch.Generator().manual_seed(seed))
    return untied(F.interpolate(cells, size, mode="bicubic")[:, 0])


def small_case(size=(40, 40), count=4, maps=None, **stats):
    pictures = Batch(images(count, size), tuple(map(str, range(count))))
    return Case(Scene(small(size, **stats), pictures), smooth(count, size) if maps is None else maps)


def real_case(name, realset, count=4):
    """A model of the realset on its first images."""
    weights = realset / "weights" / f"{name}.safetensors"
    model = xb.load_model(f"timm:{name}", checkpoint=weights, device="cpu", mean=HALF, std=HALF, **REAL[name])
    batch = xb.load_data("imagenet_val", path=realset, size=224, n=count).batch(0, count)
    return Case(Scene(model, batch), smooth(count, (224, 224)))


def normalised(case):
    """The images as the peer gets them: the tensor that the model takes."""
    model = case.scene.model
    mean, std = (torch.tensor(part).view(3, 1, 1) for part in (model.mean, model.std))
    return (case.batch.images - mean) / std


def module(case):
    """The bare network, which takes the normalised tensor."""
    return case.scene.model.module


def scores(case, wanted):
    return score(METRICS.build(wanted), case).values.numpy()


def walked(case, counts, order, substrate, *, show=False):
    """Logits along one image after another, (B, S, K): the first `counts` pixels of `order` (B, P) replaced.

    With `show` they are what alone remains. In the normalised tensor, pixel group after pixel group.
    """
    pictures, out = normalised(case), []
    for picture, ranking, blank in zip(pictures, order, substrate.expand_as(pictures), strict=True):
        start, finish = (blank, picture) if show else (picture, blank)
        altered = []
        for count in counts:
            current = start.clone().flatten(1)
            current[:, ranking[:count]] = finish.flatten(1)[:, ranking[:count]]
            altered.append(current.view_as(picture))
        with torch.no_grad():
            out.append(module(case)(torch.stack(altered)))
    return torch.stack(out).double()


def at_target(case, logits, *, softmax=True):
    """The class predicted on the clean image, (B, S)."""
    values = logits.softmax(2) if softmax else logits
    return values.gather(2, case.scene.targets.view(-1, 1, 1).expand(-1, logits.shape[1], 1))[:, :, 0].numpy()


def descending(maps, *, last=False):
    """numpy's order, most relevant first; of ties the first pixel or, reversed as in RISE and Xplique, the last."""
    flat = maps.flatten(1).numpy()
    order = np.argsort(flat, axis=1, kind="stable")[:, ::-1] if last else np.argsort(-flat, axis=1, kind="stable")
    return torch.from_numpy(order.copy())
