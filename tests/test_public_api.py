"""The public names, and what people may hand in at the border."""

import inspect

import numpy as np
import pytest
import torch
from PIL import Image

import xai_bench as xb
from xai_bench.errors import XaiBenchError

IMAGES = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return xb.load_model("timm:test_resnet", pretrained=False, num_classes=4, input_size=32, device="cpu")


def test_all_public_names_can_be_imported():
    assert {name: hasattr(xb, name) for name in xb.__all__} == dict.fromkeys(xb.__all__, True)
    assert set(xb.__all__) <= set(dir(xb))


def test_the_contract_names_are_there():
    contract = {
        "load_model",
        "load_data",
        "explain",
        "score",
        "evaluate",
        "load_results",
        "METRICS",
        "EXPLAINERS",
        "REMOVALS",
    }

    assert contract <= set(xb.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'xai_bench' has no attribute 'benchmark'"):
        _ = xb.benchmark


def test_signatures_are_the_documented_ones():
    assert list(inspect.signature(xb.score).parameters) == [
        "metric", "model", "images", "targets", "maps", "explainer", "labels", "regions", "ids", "seed",
    ]  # fmt: skip
    assert list(inspect.signature(xb.load_model).parameters)[:2] == ["name", "pretrained"]
    assert list(inspect.signature(xb.evaluate).parameters)[:5] == ["models", "explainers", "metrics", "data", "out"]


def test_catalogues_are_read_only_mappings_from_names_to_classes():
    assert xb.METRICS["deletion"].card.name == "deletion"
    assert {"gradcam", "ig", "energy", "random", "centre", "edges"} <= set(xb.EXPLAINERS)
    assert {"fill", "blur", "layer_masking"} <= set(xb.REMOVALS)
    with pytest.raises(TypeError):
        xb.METRICS["mine"] = object


def test_explain_and_score_take_names(model):
    maps = xb.explain("gradcam", model, IMAGES, torch.tensor([0, 1]))
    scores = xb.score("deletion@rise", model, IMAGES, torch.tensor([0, 1]), xb.explain("random", model, IMAGES))

    assert maps.shape == (2, 32, 32)
    assert maps.dtype == torch.float32
    assert scores.values.shape == (2,)
    assert scores.values.dtype == torch.float64
    assert scores.reasons == ("", "")


def test_the_predicted_class_is_explained_by_default(model):
    with torch.no_grad():
        predicted = model(IMAGES).argmax(1)

    assert torch.equal(xb.explain("gradcam", model, IMAGES), xb.explain("gradcam", model, IMAGES, predicted))


@pytest.mark.parametrize(
    "given",
    [
        IMAGES,
        IMAGES.permute(0, 2, 3, 1).numpy(),
        IMAGES[0],
        (IMAGES.permute(0, 2, 3, 1).numpy() * 255).astype(np.uint8),
        Image.fromarray((IMAGES[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)),
    ],
    ids=["torch", "numpy", "one image", "bytes", "PIL"],
)
def test_images_are_accepted_as_people_have_them(model, given):
    maps = xb.explain("ig", model, given, 0)

    torch.testing.assert_close(maps[:1], xb.explain("ig", model, IMAGES, 0)[:1], rtol=0.2, atol=0.02)


def test_ids_default_to_the_content_so_that_random_maps_belong_to_images(model):
    together, alone = xb.explain("random", model, IMAGES), xb.explain("random", model, IMAGES[1:])

    assert torch.equal(together[1:], alone)
    assert not torch.equal(together[0], together[1])


def test_equal_images_in_a_batch_are_told_apart(model):
    assert xb.score("deletion", model, IMAGES[:1].expand(2, -1, -1, -1), explainer="random").values.shape == (2,)


def test_regions_and_labels_can_be_given(model):
    regions = np.zeros((2, 32, 32), dtype=bool)
    regions[:, :8, :8] = True

    assert set(xb.score("pointing_game", model, IMAGES, explainer="centre", regions=regions).values.tolist()) == {1.0}
    assert xb.score("top1", model, IMAGES, labels=[0, 0]).values.shape == (2,)


def test_a_metric_of_a_set_gives_one_number(model):
    assert xb.score("class_entropy", model, IMAGES).values.shape == (1,)


def of_ig(**metric):
    return lambda model: xb.score(metric, model, IMAGES, explainer="ig")


SLIPS = [
    (lambda m: xb.METRICS["deletion"](ties="randm"), "unknown ties of deletion 'randm'; did you mean 'random'"),
    (lambda m: xb.METRICS["deletion"](removal="fill"), "removal of deletion must be Removal, got 'fill'"),
    (
        lambda m: xb.METRICS["deletion"](steps=2.5),
        "steps of deletion must be int or str or a list of float or int, got 2.5",
    ),
    (
        of_ig(name="deletion", steps=True),
        "steps of metric deletion must be int or str or a list of float or int, got True",
    ),
    (lambda m: xb.explain("python:os:getcwd", m, IMAGES), "an explainer takes (model, images, targets)"),
    (lambda m: xb.explain("ig", m, IMAGES, "label"), "targets must be whole numbers, got 'label'"),
    (lambda m: xb.score("deletion", m, IMAGES, maps="gradcam"), "maps must be numbers of shape (2, 32, 32), got str"),
    (
        lambda m: xb.score("deletion", m, IMAGES, maps=IMAGES[:, 0], explainer="ig"),
        "give maps or an explainer, not both",
    ),
    (lambda m: xb.score("pointing_game", m, IMAGES, explainer="ig", regions=IMAGES[:, 0]), "of 0 and 1"),
    (lambda m: xb.load_model("timm:test_resnet", pretrained="no"), "pretrained of a model must be bool, got 'no'"),
    (lambda m: xb.load_model("timm:test_resnet", pretrained=False, label=3), "label of a model must be str, got 3"),
    (of_ig(name="deltion"), "unknown metric 'deltion'; did you mean 'deletion'?"),
    (of_ig(name="deletion@rize"), "unknown protocol of deletion 'rize'; did you mean 'rise'?"),
    (of_ig(name="deletion", removal="blurr"), "unknown removal 'blurr'; did you mean 'blur'?"),
    (
        of_ig(name="deletion", output="prob"),
        "unknown output of metric deletion 'prob'; known: hit, log_odds, logit, margin, probability",
    ),
    (of_ig(name="pointing_game"), "metric 'pointing_game' needs regions, but the data have none"),
    (lambda m: xb.explain("gradcan", m, IMAGES), "unknown explainer 'gradcan'; did you mean 'gradcam' or 'xgradcam'?"),
    (
        lambda m: xb.explain({"name": "ig", "step": 3}, m, IMAGES),
        "unknown key of explainer ig 'step'; did you mean 'steps'?",
    ),
    (lambda m: xb.explain({"name": "ig", "steps": "x"}, m, IMAGES), "steps of explainer ig must be int, got 'x'"),
    (lambda m: xb.explain({"name": "ig", "steps": 0}, m, IMAGES), "steps of ig must be at least 1, got 0"),
    (lambda m: xb.score("deletion", m, IMAGES), "metric 'deletion' scores maps: give maps= or explainer="),
    (lambda m: xb.score("deletion", m, IMAGES, maps=torch.zeros(2, 8, 8)), "maps must be (2, 32, 32), the images'"),
    (lambda m: xb.explain("ig", m, IMAGES, 7), "target 7 is outside the classes 0 to 3 of model 'timm:test_resnet'"),
    (lambda m: xb.explain("ig", m, IMAGES, [1, 2, 3]), "targets must be (2,), one for each image, got (3,)"),
    (lambda m: xb.explain("ig", m, IMAGES, [0.5, 1.5]), "targets must be whole numbers, got torch.float32"),
    (lambda m: xb.explain("ig", m, IMAGES * 4 - 2), "[0, 1]"),
    (lambda m: xb.explain("ig", m.module, IMAGES), "model must come from load_model, got ResNet"),
    (lambda m: xb.explain("energy", m, IMAGES), "has no energy mask"),
]


@pytest.mark.parametrize(("call", "sentence"), SLIPS, ids=[sentence for _, sentence in SLIPS])
@pytest.mark.usefixtures("unchecked")
def test_a_slip_is_refused_in_one_sentence(model, call, sentence):
    with pytest.raises(XaiBenchError) as refusal:
        call(model)

    assert sentence in str(refusal.value)
    assert "\n" not in str(refusal.value)
