"""COMET: what the predictor sees, the loss on paper, and the frozen detector."""

import math

import pytest
import torch
from small_models import comet
from torch import nn

from xai_bench.adapters import load_model
from xai_bench.adapters.checkpoint import save_model
from xai_bench.errors import InvalidValueError, UnknownNameError, UnsupportedError
from xai_bench.explainers import EXPLAINERS, explain
from xai_bench.intrinsic import CometLoss, CometModel, Selected, Selector
from xai_bench.seeding import Noise


class Left(nn.Module):
    """Selects the left half."""

    def forward(self, images):
        mask = torch.zeros_like(images[:, 0])
        mask[:, :, : images.shape[3] // 2] = 1
        return mask


class Total(nn.Module):
    """Logits (sum of all numbers, 0)."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.norm = nn.BatchNorm2d(3)

    def forward(self, images):
        total = self.scale * images.sum((1, 2, 3))
        return torch.stack([total, torch.zeros_like(total)], 1)


class TestWhoSeesWhat:
    images = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]).expand(2, 3, 2, 2)
    model = CometModel(Left(), Total(), Total())

    def test_the_predictor_sees_what_is_selected_and_the_detector_the_rest(self):
        found = self.model.selected(self.images)

        assert found.logits[:, 0].tolist() == [12.0, 12.0]  # 3 x (1 + 3)
        assert found.outside[:, 0].tolist() == [18.0, 18.0]  # 3 x (2 + 4)
        assert torch.equal(self.model(self.images), found.logits)

    def test_the_detector_is_frozen_and_stays_in_eval_mode(self):
        self.model.train()

        assert [part.training for part in (self.model.predictor, self.model.detector.norm)] == [True, False]
        assert [next(part.parameters()).requires_grad for part in (self.model.predictor, self.model.detector)] == [
            True,
            False,
        ]


class TestTheLoss:
    labels = torch.tensor([0, 1])
    # cross-entropies: predictor log 2, detector log(1 + e)  and log(1 + e) - 1, so log(1 + e) - 1/2 on average
    found = Selected(
        torch.zeros(2, 2), torch.tensor([0.5, 0.1])[:, None, None].expand(2, 3, 3), torch.tensor([[0.0, 1.0]] * 2)
    )
    inside, outside = math.log(2), math.log(1 + math.e) - 0.5

    def test_as_coded(self):
        told = self.inside - self.outside + 2
        expected = self.inside + 4 * told + 100 * (0.5 - 0.2) / 2

        assert CometLoss()(self.found, self.labels).item() == pytest.approx(expected)

    def test_a_detector_that_is_worse_by_the_gap_costs_nothing(self):
        assert CometLoss(gap=0.1, area=0.6)(self.found, self.labels).item() == pytest.approx(self.inside)

    def test_as_in_the_paper(self):
        loss = CometLoss(form="paper", outside_weight=0.5, area_weight=10, area=0.4)

        assert loss(self.found, self.labels).item() == pytest.approx(self.inside - 0.5 * self.outside + 10 * 0.1 / 2)

    def test_its_gradient_reaches_selector_and_predictor_and_never_the_detector(self):
        module = comet().module.train()
        CometLoss()(module.selected(torch.randn(2, 3, 64, 64)), self.labels).backward()

        assert all(
            weight.grad is not None for part in (module.selector, module.predictor) for weight in part.parameters()
        )
        assert all(weight.grad is None for weight in module.detector.parameters())

    def test_telling_pixels_left_outside_pull_the_mask_open(self):
        # D alone depends on the mask: to hide the first class's evidence from it, the mask must grow
        mask = torch.full((1, 2, 2), 0.5, requires_grad=True)
        outside = Total()((1 - mask[:, None]) * torch.ones(1, 3, 2, 2))
        CometLoss(area=0.6)(Selected(torch.zeros(1, 2), mask, outside), torch.tensor([0])).backward()

        assert mask.grad is not None
        assert (mask.grad < 0).all()

    @pytest.mark.parametrize(
        ("wrong", "error", "sentence"),
        [
            ({"form": "papper"}, UnknownNameError, "unknown form of the COMET loss 'papper'; did you mean 'paper'"),
            ({"area": 0}, InvalidValueError, r"area of the COMET loss must be a share in \(0, 1\], got 0"),
            ({"outside_weight": -1}, InvalidValueError, "outside_weight of the COMET loss must be 0 or more, got -1"),
        ],
    )
    @pytest.mark.usefixtures("unchecked")
    def test_what_cannot_be_is_refused_in_a_sentence(self, wrong, error, sentence):
        with pytest.raises(error, match=sentence):
            CometLoss(**wrong)


class TestSelector:
    @pytest.mark.parametrize("size", [(64, 64), (50, 70)])
    def test_a_mask_of_the_images_size_between_0_and_1(self, size):
        mask = Selector(width=2)(torch.randn(2, 3, *size))

        assert mask.shape == (2, *size)
        assert 0 < mask.min() < mask.max() < 1

    def test_it_knows_where(self):
        # an object in one corner moves the mask there most
        torch.manual_seed(0)
        selector, empty = Selector(width=4).eval(), torch.zeros(1, 3, 96, 96)
        there = empty.clone()
        there[:, :, 70:90, 70:90] = 3
        with torch.no_grad():
            moved = (selector(there) - selector(empty)).abs()[0]

        assert moved[64:, 64:].mean() > 5 * moved[:32, :32].mean()


class TestLoading:
    def test_by_name_with_its_predictors_size_and_colours(self):
        model = comet()

        assert isinstance(model.module, CometModel)
        assert model.input_size == (64, 64)
        assert model.mean == load_model("timm:test_resnet", pretrained=False, num_classes=4).mean
        assert model.layer.startswith("predictor.")

    def test_saved_and_loaded_it_is_the_same(self, tmp_path):
        model, images = comet(), torch.rand(2, 3, 64, 64)
        recipe = {"name": "comet:test_resnet", "num_classes": 4, "selector_width": 2}
        path = save_model(model, tmp_path / "comet.safetensors", recipe=recipe)

        assert torch.equal(load_model(path)(images), model(images))

    @pytest.mark.parametrize(
        ("name", "keywords", "error", "sentence"),
        [
            ("comet:test_resnett", {}, UnknownNameError, "unknown model 'comet:test_resnett'; did you mean"),
            ("comet:test_resnet", {"selector_widht": 2}, InvalidValueError, "did you mean 'selector_width'"),
            ("comet:test_resnet", {"selector_width": 0}, InvalidValueError, "width of a selector must be a whole"),
        ],
    )
    @pytest.mark.usefixtures("unchecked")
    def test_what_cannot_be_is_refused_in_a_sentence(self, name, keywords, error, sentence):
        with pytest.raises(error, match=sentence):
            load_model(name, pretrained=False, num_classes=4, **keywords)


class TestExplainer:
    def test_the_map_is_the_mask_whatever_the_target(self):
        model, images = comet(), torch.rand(2, 3, 64, 64)
        noise = Noise(0, "e", ("a", "b"))
        targets = (torch.tensor([0, 1]), torch.tensor([3, 3]))
        first, second = (explain(EXPLAINERS.build("selection"), model, images, target, noise) for target in targets)

        assert torch.equal(first, second)
        with torch.no_grad():
            assert torch.equal(first, model.module.selector(model.normalise(images)))

    def test_it_needs_such_a_model(self):
        other = load_model("timm:test_resnet", pretrained=False, num_classes=3)

        with pytest.raises(UnsupportedError, match="explainer 'selection' reads what CometModel computes, so it needs"):
            EXPLAINERS.build("selection")(other, torch.rand(1, 3, 64, 64), torch.zeros(1, dtype=torch.int64))
