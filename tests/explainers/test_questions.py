"""Contrasts and groups of classes: against gradients of the sum itself, by explainers of every kind; and refusals."""

import json

import pytest
import torch
from explainer_models import SIZE, hit, made, noise, pictures, plain_cnn, vit

import xai_bench as xb
from xai_bench.errors import InvalidValueError, UnsupportedError
from xai_bench.explainers import EXPLAINERS, explain
from xai_bench.explainers.wrappers import ClassGroup, Contrast, Smooth

FIRST, SECOND = 2, 5
# methods whose map of a sum of logits is the sum of their maps
LINEAR = {
    "input_x_gradient": {},
    "ig": {},
    "gradcam": {"relu": False},
    "hirescam": {"relu": False},
    "linear_approximation": {"relu": False},
    "occlusion": {"output": "logit"},
    "lime": {"output": "logit"},
    "kernel_shap": {},
    "rise": {"output": "logit"},
    "patch_contributions": {},
}


@pytest.fixture(scope="module")
def models():
    return {"cnn": plain_cnn(), "vit": vit(), "hit": hit()}


def explained(explainer, model, target):
    targets = torch.tensor([target, target])
    return explain(explainer, model, pictures(2), targets, noise(2))


def close(found, expected):
    scale = expected.abs().max()
    assert scale > 0
    torch.testing.assert_close(found / scale, expected / scale, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("name", "which"), [(name, "hit" if name[:5] == "patch" else "cnn") for name in LINEAR])
class TestExplainersThatAreLinearInTheLogits:
    def test_a_contrast_is_the_difference_of_two_maps(self, name, which, models):
        inner = made(name, **LINEAR[name])
        one, other = (explained(inner, models[which], target) for target in (FIRST, SECOND))

        close(explained(Contrast(inner, group=(FIRST,), against=(SECOND,)), models[which], FIRST), one - other)

    def test_a_group_is_the_mean_of_its_maps(self, name, which, models):
        inner = made(name, **LINEAR[name])
        maps = [explained(inner, models[which], target) for target in (FIRST, SECOND)]

        close(explained(ClassGroup(inner, group=(FIRST, SECOND)), models[which], FIRST), (maps[0] + maps[1]) / 2)


@pytest.mark.parametrize("which", ["cnn", "vit"])
def test_saliency_of_a_contrast_is_the_gradient_of_the_difference(which, models):
    model, images = models[which], pictures(2).requires_grad_()
    with model.ready():
        logits = model(images)
        (gradient,) = torch.autograd.grad((logits[:, FIRST] - logits[:, SECOND]).sum(), images)

    close(explained(Contrast(EXPLAINERS["saliency"](), (FIRST,), (SECOND,)), model, FIRST), gradient.abs().amax(1))


def test_each_image_has_a_question_of_its_own(models):
    model, targets = models["cnn"], torch.tensor([1, 4, 1])
    together = explain(Contrast(made("input_x_gradient")), model, pictures(3), targets, noise(3))
    with torch.no_grad(), model.ready():
        logits = model(pictures(3)).scatter(1, targets[:, None], -torch.inf)

    for row, rival in enumerate(logits.argmax(1).tolist()):
        ours, theirs = (
            explain(made("input_x_gradient"), model, pictures(1, row), torch.tensor([target]), noise(1, row))
            for target in (int(targets[row]), rival)
        )
        close(together[row : row + 1], ours - theirs)


def test_an_explainer_of_probabilities_explains_their_difference(models):
    model, occlusion = models["cnn"], made("occlusion", side=64, stride=64)
    # one window over the whole image: the map is the fall of the output everywhere
    with torch.no_grad(), model.ready():
        clean = model(pictures(2)).softmax(1)
        hidden = model(torch.tensor(model.mean).view(1, 3, 1, 1).expand(2, 3, *SIZE)).softmax(1)
    falls = (clean - hidden)[:, FIRST] - (clean - hidden)[:, SECOND]

    close(explained(Contrast(occlusion, (FIRST,), (SECOND,)), model, FIRST), falls[:, None, None].expand(2, *SIZE))


def test_groups_come_from_a_file_and_an_image_without_one_has_no_map(models, tmp_path):
    path = tmp_path / "groups.json"
    path.write_text(json.dumps({"low": [0, 1, 2], "high": [5, 6]}))
    inner = made("input_x_gradient")
    targets = torch.tensor([FIRST, 7])
    found = explain(ClassGroup(inner, str(path)), models["cnn"], pictures(2), targets, noise(2))

    close(found[:1], explain(ClassGroup(inner, (0, 1, 2)), models["cnn"], pictures(1), targets[:1], noise(1)))
    assert found[1].isnan().all()


def test_one_question_at_a_time():
    with pytest.raises(InvalidValueError, match="contrast cannot hold class_group: put one question at a time"):
        Contrast(EXPLAINERS["absolute"](ClassGroup()))
    with pytest.raises(InvalidValueError, match="smooth cannot hold contrast: put the question around it"):
        Smooth(Contrast())
    with pytest.raises(InvalidValueError, match="random_model cannot hold contrast: put the question around it"):
        EXPLAINERS["random_model"](Contrast())


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"group": []}, "group of class_group must be different classes, at least one, got ()"),
        ({"group": [8]}, "class 8 of a group is outside the classes 0 to 7 of the model"),
        ({"group": 0}, "group of class_group must hold at least 1 class, got 0"),
        ({"group": 9}, "class_group of group 9 needs 9 classes, the model has 8"),
        ({"group": [3, 1], "against": [1, 3]}, "group and against of contrast are the same classes, (3, 1)"),
        ({"group": 8, "against": 1}, "contrast of group 8 against 1 needs 9 classes, the model has 8"),
        ({"group": list(range(8)), "against": 1}, "needs 9 classes, the model has 8"),
        ({"group": 3, "against": 6}, "contrast of group 3 against 6 needs 9 classes, the model has 8"),
        ({"group": 9, "against": [1]}, "needs 9 classes, the model has 8"),
    ],
)
def test_a_group_that_no_image_has_is_refused(keys, sentence, models):
    name = "contrast" if "against" in keys else "class_group"
    with pytest.raises(InvalidValueError) as refusal:
        xb.explain({"name": name} | keys, models["cnn"], pictures(1))
    assert sentence in str(refusal.value)


@pytest.mark.parametrize("question", [ClassGroup, Contrast])
def test_as_many_classes_as_the_model_has_can_be_asked_for(question, models):
    inner = made("input_x_gradient")
    asked = {ClassGroup: {"group": 8}, Contrast: {"group": 3, "against": 5}}[question]

    assert explained(question(inner, **asked), models["cnn"], FIRST).isfinite().all()


def test_an_image_whose_groups_are_the_same_has_no_map(models):
    """The group is the target alone, which is the one it is set against for one image only."""
    contrast = Contrast(made("input_x_gradient"), group=1, against=(FIRST,))
    found = explain(contrast, models["cnn"], pictures(2), torch.tensor([FIRST, SECOND]), noise(2))

    assert found.isnan().flatten(1).all(1).tolist() == [True, False]


class Offering(torch.nn.Module):
    """Its native map is the mean colour of 2 x 2 cells, times the class if it is told."""

    def __init__(self, *, told):
        super().__init__()
        self.head = torch.nn.Linear(3, 4)
        self.native_map = self.of_class if told else self.of_image

    def forward(self, images):
        return self.head(images.mean((2, 3)))

    def of_image(self, inputs):
        return torch.nn.functional.adaptive_avg_pool2d(inputs.mean(1), 2)

    def of_class(self, inputs, targets):
        return self.of_image(inputs) * targets[:, None, None]


def test_a_model_that_offers_a_map_is_asked_for_it():
    blind, told = (xb.load_model(Offering(told=told), input_size=64) for told in (False, True))
    expected = torch.nn.functional.interpolate(
        torch.nn.functional.adaptive_avg_pool2d(pictures(2).mean(1, keepdim=True), 2), SIZE, mode="bilinear"
    )[:, 0]

    torch.testing.assert_close(explained(EXPLAINERS["native_map"](), blind, 3), expected)
    torch.testing.assert_close(explained(EXPLAINERS["native_map"](), told, 3), 3 * expected)
    with pytest.raises(UnsupportedError, match="knows classes, but no contrasts or groups of them"):
        explained(Contrast(EXPLAINERS["native_map"]()), told, 3)


def test_a_model_that_offers_none_is_refused_by_name(models):
    assert (
        "reads what a model's method native_map(inputs) gives, which 'timm:test_resnet', a ResNet, does not have"
        in (EXPLAINERS["native_map"]().unfit(models["cnn"]))
    )
