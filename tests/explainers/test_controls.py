"""Controls that stand on other explainers: known on paper, and blind to what the model learnt."""

import copy

import numpy as np
import pytest
import torch
from explainer_models import ersm, noise, pictures, plain_cnn, vit
from skimage.filters import gaussian

from xai_bench.catalogue import describe, label
from xai_bench.errors import InvalidValueError
from xai_bench.explainers import EXPLAINERS, explain
from xai_bench.explainers.cam import GradCAM
from xai_bench.explainers.controls import Blurred, Constant, RandomModel, Region
from xai_bench.explainers.controls.renewed import renewed
from xai_bench.explainers.gradient import IntegratedGradients
from xai_bench.explainers.wrappers import Contrast

TARGETS = torch.tensor([0, 1, 2])


def maps(explainer, model, count=3, **changed):
    drawn = noise(count)
    return explain(explainer, model, pictures(count), TARGETS[:count], drawn, changed.get("regions"))


def test_constant_is_one_everywhere():
    assert maps(Constant(), plain_cnn()).unique().tolist() == [1.0]


class TestBlurred:
    def test_is_the_other_map_under_a_gaussian(self):
        model, inside = plain_cnn(), IntegratedGradients(steps=2)
        expected = [gaussian(one, 0.05 * 64, mode="mirror") for one in maps(inside, model).numpy()]

        torch.testing.assert_close(
            maps(Blurred(inside), model), torch.from_numpy(np.stack(expected)), rtol=1e-4, atol=1e-6
        )

    def test_is_a_control_whatever_is_inside_and_undefined_where_that_is(self):
        nothing = torch.zeros(3, 64, 64, dtype=torch.bool)

        assert Blurred().kind == RandomModel().kind == "control"
        assert maps(Blurred(Region()), plain_cnn(), regions=nothing).isnan().all()

    def test_around_a_function_of_the_users(self):
        built = EXPLAINERS.build({"name": "blurred", "explainer": "python:test_controls:brightness", "sigma": 1e-6})

        torch.testing.assert_close(maps(built, plain_cnn()), pictures().mean(1))
        assert label(built) == "blurred(brightness,sigma=1e-06)"
        assert describe(built) != describe(EXPLAINERS.build(Blurred(sigma=1e-6)))

    @pytest.mark.parametrize("sigma", [0.0, -1.0, float("nan"), float("inf")])
    def test_refuses_a_width_that_is_none(self, sigma):
        with pytest.raises(InvalidValueError, match="sigma of explainer blurred is in sides of the image and must be"):
            Blurred(sigma=sigma)


def brightness(model, images, targets):
    return images.mean(1)


@pytest.mark.parametrize("make", [plain_cnn, vit, ersm])
class TestRandomModel:
    def test_no_weight_stays(self, make):
        model = make()
        other = renewed(model, 3)
        kept = [
            name
            for name, weight in model.module.named_parameters()
            if torch.equal(weight, other.module.get_parameter(name)) and len(weight.unique()) > 1
        ]

        assert kept == []
        assert other.layer == model.layer

    def test_knows_nothing_of_what_the_model_learnt(self, make):
        """The maps of two models of one architecture, of which one has learnt something else."""
        model, other = make(), make()
        with torch.no_grad():
            for name, weight in other.module.named_parameters():
                if weight.ndim > 1 and "pos_embed" not in name and "token" not in name:
                    weight.mul_(-1.5)

        assert not torch.equal(maps(GradCAM(relu=False), model), maps(GradCAM(relu=False), other))
        torch.testing.assert_close(
            maps(RandomModel(GradCAM(relu=False)), model), maps(RandomModel(GradCAM(relu=False)), other)
        )

    def test_is_the_other_explainers_map_of_that_one_model(self, make):
        model, inside = make(), GradCAM(relu=False)
        first, second = (
            explain(RandomModel(inside), model, pictures(1, row), TARGETS[row : row + 1], noise(1, row))
            for row in (0, 1)
        )

        torch.testing.assert_close(
            maps(RandomModel(inside), model, 2), torch.cat([first, second]), rtol=1e-3, atol=1e-7
        )
        assert not torch.equal(maps(RandomModel(inside), model), maps(inside, model))
        assert not torch.equal(maps(RandomModel(inside, draw=1), model), maps(RandomModel(inside), model))

    def test_the_model_is_not_touched(self, make):
        model = make()
        before = copy.deepcopy(model.module.state_dict())
        maps(RandomModel(), model)

        assert all(torch.equal(value, before[name]) for name, value in model.module.state_dict().items())


def test_a_question_is_put_to_the_random_model_too():
    """Of two classes, the difference of the maps: Grad-CAM without its positive part is linear in the logits."""
    model, inside = plain_cnn(), GradCAM(relu=False)
    asked = Contrast(RandomModel(inside), group=(1,), against=(3,))
    zero, three = (
        explain(RandomModel(inside), model, pictures(1), torch.tensor([target]), noise(1)) for target in (1, 3)
    )

    torch.testing.assert_close(
        explain(asked, model, pictures(1), torch.tensor([1]), noise(1)), zero - three, rtol=1e-3, atol=1e-7
    )


def test_stored_maps_are_of_no_other_model(tmp_path):
    np.savez(tmp_path / "s0.npz", np.zeros((2, 2)))

    with pytest.raises(
        InvalidValueError, match="explainer random_model asks for maps of other images, classes or models"
    ):
        EXPLAINERS.build({"name": "random_model", "explainer": f"maps:{tmp_path}"})
