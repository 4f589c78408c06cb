"""Small models and pictures for the tests of explainers, and every explainer at a price that tests can pay."""

import dataclasses

import torch
from torch import nn

from xai_bench.adapters import load_model
from xai_bench.explainers import EXPLAINERS
from xai_bench.explainers.cam import GradCAM
from xai_bench.explainers.wrappers import Wrapper
from xai_bench.oracles import as_model
from xai_bench.seeding import Noise

SIZE = (64, 64)
# of every explainer that has such a field; a group of the target alone, as groups of many may be the same
CHEAP = {"samples": 6, "iterations": 2, "steps": 6, "group": 1}


def noise(count, start=0):
    return Noise(0, "explain", tuple(f"s{i}" for i in range(start, start + count)))


def pictures(count=3, start=0):
    return torch.rand(6, 3, *SIZE, generator=torch.Generator().manual_seed(0))[start : start + count]


def regions(count=3, start=0):
    return pictures(count, start)[:, 0] > 0.5


def made(name, **fields):
    """Few samples and steps; around a map with both signs, as a random model's positive part may be nothing."""
    entry = EXPLAINERS[name]
    known = {field.name for field in dataclasses.fields(entry)}
    inner = {"explainer": GradCAM(relu=False)} if issubclass(entry, Wrapper) or "explainer" in known else {}
    relu = {"relu": False} if "relu" in known else {}
    cheap = {key: value for key, value in CHEAP.items() if key in known}
    return entry(**inner | relu | cheap | fields)


def fits(name, model):
    return not made(name).unfit(model)


def ersm():
    torch.manual_seed(0)
    return load_model("ersm:test_resnet", pretrained=False, num_classes=8, input_size=64, device="cpu")


def plain_cnn():
    """With ReLU and batch normalisation, so that methods with rules of their own fit too."""
    torch.manual_seed(0)
    return load_model("timm:test_resnet", pretrained=False, num_classes=8, input_size=64, device="cpu")


def vit():
    torch.manual_seed(0)
    return load_model("timm:test_vit", pretrained=False, num_classes=8, input_size=64, device="cpu")


def hit():
    torch.manual_seed(0)
    return load_model("hit:tiny", pretrained=False, num_classes=8, device="cpu")


def comet():
    torch.manual_seed(0)
    options = {"pretrained": False, "num_classes": 8, "input_size": 64, "selector_width": 4}
    return load_model("comet:test_resnet", device="cpu", **options)


class Mirrored(nn.Module):
    """A convolutional classifier whose logits do not change when the image is flipped, and whose features flip too."""

    def __init__(self, *, inplace=False):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.stem, self.last = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 8, 3, padding=1)
        self.stem_act, self.last_act = nn.ReLU(inplace), nn.ReLU(inplace)
        self.pool, self.head = nn.AvgPool2d(4), nn.Linear(8, 8)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) / parameter[0].numel() ** 0.5)
            for conv in (self.stem, self.last):
                conv.weight.copy_((conv.weight + conv.weight.flip(3)) / 2)

    def forward(self, images):
        features = self.stem_act(self.stem(images))
        return self.head(self.last_act(self.last(self.pool(features))).mean((2, 3)))


def mirrored_cnn(**options):
    return as_model(Mirrored(**options).eval(), SIZE, "last")


def mirrored_vit():
    model = vit()
    module = model.module
    with torch.no_grad():
        kernel = module.patch_embed.proj.weight
        kernel.copy_((kernel + kernel.flip(3)) / 2)
        places = module.pos_embed[:, module.num_prefix_tokens :].view(1, 4, 4, -1)
        places.copy_((places + places.flip(2)).clone() / 2)
    return model


MODELS = {"ersm": ersm, "cnn": plain_cnn, "vit": vit, "hit": hit, "comet": comet}
OWN = {
    "energy": "ersm",
    "energy_field": "ersm",
    "patch_contributions": "hit",
    "selection": "comet",
}  # they read
