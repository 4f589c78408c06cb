"""The pass that explainers read: images of another size, what modules may be like, and what they may give."""

import pytest
import torch
from explainer_models import made, pictures, plain_cnn, vit
from torch import nn

import xai_bench as xb
from xai_bench.errors import InvalidValueError, UnsupportedError

SIZES = [(32, 128), (96, 96), (64, 48)]


@pytest.mark.parametrize("name", ["eigencam", "gradcam", "ablationcam", "hirescam"])
@pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))
def test_tokens_of_images_of_another_size_lie_where_their_patches_are(wide, name, size):
    """The same weights, once for 64 x 64 and asked of another size, once made for that size."""
    model, twin = wide, twins(wide, size)
    images = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
    entry = {"name": name} | ({"relu": False} if name in {"gradcam", "ablationcam"} else {})

    found = xb.explain(entry, model, images, 1)

    torch.testing.assert_close(found, xb.explain(entry, twin, images, 1), rtol=1e-4, atol=1e-6)


@pytest.fixture(scope="module")
def wide():
    torch.manual_seed(0)
    return xb.load_model("timm:test_vit", pretrained=False, num_classes=5, input_size=64, device="cpu")


def twins(model, size):
    """The model with its place embeddings already as they are at that size, and told so."""
    return xb.load_model(model.module, mean=model.mean, std=model.std, input_size=size)


def test_a_model_that_resizes_images_itself_keeps_its_grid():
    inner = vit().module
    inside = torch.nn.Sequential(torch.nn.Upsample((64, 64), mode="bilinear"), inner)
    model = xb.load_model(inside, input_size=64, device="cpu", layer="1.blocks.5.norm1")
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    large = torch.nn.functional.interpolate(images, (128, 128), mode="nearest")

    small, found = (xb.explain({"name": "gradcam", "relu": False}, model, each, 1) for each in (images, large))

    assert found.argmax() // 128 // 32 == small.argmax() // 64 // 16  # the same row of cells, 4 of them
    assert found.argmax() % 128 // 32 == small.argmax() % 64 // 16


def test_tokens_that_fit_no_grid_are_refused():
    layer = vit().target_layer

    with pytest.raises(InvalidValueError, match=r"expected 1 \+ \(6, 6\) or \(4, 4\) tokens, got 31; is the image of"):
        layer.grid(torch.zeros(1, 31, 8), (96, 96))


def test_patches_that_an_image_does_not_fill_are_counted_where_the_model_fills_them_up():
    tokens = torch.arange(1.0 + 12).view(1, 13, 1)

    assert vit().target_layer.grid(tokens, (40, 60)).tolist() == (tokens[0, 1:, 0].view(1, 1, 3, 4)).tolist()


@pytest.mark.parametrize("make", [plain_cnn, vit])
@pytest.mark.parametrize("name", ["gradcam", "saliency", "lrp", "rise", "ablationcam", "rollout", "deeplift"])
def test_a_double_module_is_explained_as_the_same_in_float32(make, name):
    entry, model = made(name), make()
    if entry.unfit(model):
        pytest.skip(f"{name} does not explain it")
    expected = xb.explain(entry, model, pictures(2), 1)

    found = xb.explain(entry, xb.load_model(model.module.double(), input_size=64, mean=model.mean, std=model.std),
                       pictures(2), 1)  # fmt: skip

    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 * expected.abs().max().item())


@pytest.mark.parametrize("precision", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", ["gradcam", "saliency", "rise", "ablationcam", "lrp"])
def test_a_module_of_half_precision_is_explained_and_scored(precision, name):
    model = xb.load_model(plain_cnn().module.to(precision), input_size=64)
    maps = xb.explain(made(name), model, pictures(2), 1)

    assert maps.dtype == torch.float32
    assert maps.isfinite().all()
    assert model.module.conv1[0].weight.dtype == precision
    assert xb.score({"name": "deletion", "steps": 2}, model, pictures(2), 1, maps).values.isfinite().all()


class Gives(nn.Module):
    """A module that gives its logits in some other form."""

    def __init__(self, form):
        super().__init__()
        self.head, self.form = nn.Linear(3, 5), form

    def forward(self, images):
        return self.form(self.head(images.mean((2, 3))))


@pytest.mark.parametrize(
    ("form", "shown"),
    [
        (lambda logits: {"logits": logits}, "a dict"),
        (lambda logits: (logits, logits), "a tuple"),
        (lambda logits: logits[:, 0], r"a tensor \(2,\)"),
        (lambda logits: logits[:1], r"a tensor \(1, 5\)"),
    ],
    ids=["dict", "tuple", "flat", "one row"],
)
@pytest.mark.parametrize("targets", [None, 1])
def test_what_is_not_logits_is_refused_by_its_form(form, shown, targets, unchecked):
    model = xb.load_model(Gives(form), input_size=64, label="odd")
    sentence = f"model 'odd' gives {shown} for . images?, but must give logits, a tensor"

    with pytest.raises(UnsupportedError, match=sentence if targets is None else "must give logits"):
        xb.explain("saliency", model, pictures(2), targets)
    with pytest.raises(UnsupportedError, match=sentence):
        model(pictures(2))
