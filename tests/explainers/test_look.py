"""The pass that explainers read: images of another size, what modules may be like, and what they may give."""

import warnings

import pytest
import torch
from explainer_models import made, pictures, plain_cnn, vit
from torch import nn

import xai_bench as xb
from xai_bench.errors import InvalidValueError, UnsupportedError
from xai_bench.explainers import EXPLAINERS

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


@pytest.mark.parametrize("name", ["gradcam", "ablationcam", "cam", "guided_backprop"])
@pytest.mark.parametrize("way", ["outside", "in place", "inside"])
def test_a_compiled_module_is_explained_as_the_one_it_was_made_of(way, name):
    model = plain_cnn()
    expected = xb.explain(made(name), model, pictures(2), 1)
    module = model.module
    if way == "outside":
        module = torch.compile(module, backend="eager")
    elif way == "in place":
        module.compile(backend="eager")
    else:
        module.layer4 = torch.compile(module.layer4, backend="eager")
    again = xb.load_model(module, input_size=64, mean=model.mean, std=model.std, device="cpu")
    with torch.no_grad():
        module(again.normalise(pictures(2)))  # compiled before anybody looks

    xb.explain("saliency", again, pictures(2), 1)
    torch.testing.assert_close(xb.explain(made(name), again, pictures(2), 1), expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("name", ["gradcam", "saliency", "ablationcam", "lrp"])
@pytest.mark.parametrize("make", [plain_cnn, vit])
def test_gradient_checkpointing_is_off_while_a_model_is_explained_and_back_on_afterwards(make, name):
    if made(name).unfit(make()):
        pytest.skip(f"{name} does not explain it")
    expected = xb.explain(made(name), make(), pictures(2), 1)
    model = make()
    model.module.set_grad_checkpointing(True)

    torch.testing.assert_close(xb.explain(made(name), model, pictures(2), 1), expected)
    assert model.module.grad_checkpointing


class Behind(nn.Module):
    """Its layer is called behind the back of hooks, or what it gives is changed after autograd has kept it."""

    def __init__(self, way):
        super().__init__()
        self.layer, self.head, self.way = nn.Conv2d(3, 4, 3), nn.Linear(4, 5), way

    def forward(self, images):
        if self.way == "behind" and torch.is_grad_enabled() and len(images) > 1:  # not when it is first looked at
            features = self.layer.forward(images)
        else:
            features = self.layer(images)
        if self.way == "in place":
            features = features.exp()
            features.mul(features).sum()
            kept = features.sigmoid()
            kept.add_(1)
            features = kept
        return self.head(features.mean((2, 3)))


@pytest.mark.parametrize(
    ("way", "sentence"),
    [
        ("behind", "layer 'layer' of model 'odd' gives nothing that can be read"),
        ("in place", "model 'odd' cannot be differentiated as it is written: .*inplace operation"),
    ],
)
def test_a_module_that_cannot_be_looked_into_is_refused(way, sentence):
    model = xb.load_model(Behind(way), input_size=64, label="odd", device="cpu", layer="layer")

    with pytest.raises(UnsupportedError, match=sentence):
        xb.explain("gradcam", model, pictures(2), 1)


def narrow(model, images, targets):
    return images.mean((1, 2))


def imaginary(model, images, targets):
    return images.mean(1) * 1j


@pytest.mark.parametrize(
    ("function", "shown"),
    [
        (narrow, r"must return a tensor of shape \(2, 64, 64\), got \(2, 64\)"),
        (imaginary, "must return real numbers, got torch.complex64"),
    ],
)
@pytest.mark.parametrize("wrapper", ["", "absolute", "smooth"])
def test_maps_of_a_function_are_checked_inside_a_wrapper_too(function, shown, wrapper, unchecked):
    entry = made(wrapper, explainer=EXPLAINERS.build(f"python:{__name__}:{function.__name__}")) if wrapper else function

    with pytest.raises(InvalidValueError, match=shown):
        xb.explain(entry, plain_cnn(), pictures(2), 1)


@pytest.mark.parametrize("wrapper", ["absolute", "blurred", "smooth"])
def test_an_explainer_of_regions_inside_a_wrapper_is_refused_without_them(wrapper):
    with pytest.raises(InvalidValueError, match=rf"'{wrapper}.*needs regions, but the data have none"):
        xb.explain({"name": wrapper, "explainer": "region"}, plain_cnn(), pictures(2), 1)


@pytest.mark.parametrize("targets", [None, 1])
def test_images_of_a_size_that_the_model_cannot_look_at_are_refused_in_one_sentence(targets):
    module = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 64, 5))
    model = xb.load_model(module, input_size=64, label="rigid", device="cpu")
    images = torch.rand(2, 3, 96, 80)
    sentence = "model 'rigid', made for 64 x 64, cannot look at images of 96 x 80: "

    with pytest.raises(InvalidValueError, match=sentence):
        xb.explain("saliency", model, images, targets)
    with pytest.raises(InvalidValueError, match=sentence):
        xb.score("deletion", model, images, targets, torch.rand(2, 96, 80))


@pytest.mark.parametrize("made_by", ["script", "trace", "part"])
def test_torchscript_is_refused_at_loading(made_by):
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))
    ways = {
        "script": lambda: torch.jit.script(module),
        "trace": lambda: torch.jit.trace(module, pictures(1)),
        "part": lambda: nn.Sequential(torch.jit.script(module)),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says that TorchScript is old
        scripted = ways[made_by]()

    with pytest.raises(UnsupportedError, match=r"holds TorchScript .*; give the module that it was made of"):
        xb.load_model(scripted, input_size=64)
