"""Accuracy, unchanged predictions and class entropy against the fraction removed, on paper."""

import math

import pytest
import torch

from xai_bench.engine import Case, Curve, Patch, Pixel, Scene
from xai_bench.errors import InvalidValueError
from xai_bench.metrics import score
from xai_bench.metrics.removal_disturbance import Accuracy, ClassEntropy, UnchangedPredictions
from xai_bench.metrics.top1 import Top1
from xai_bench.oracles import as_model
from xai_bench.reductions import class_entropy
from xai_bench.removal import Fill
from xai_bench.types import Batch

BLACK = {"removal": Fill("black"), "unit": Pixel(), "steps": 4}


class Threshold(torch.nn.Module):
    """Class 1 while more than `limit` of the four white pixels remain, else class 0."""

    def forward(self, images):
        total = images.mean(1).sum((1, 2))
        return torch.stack([torch.full_like(total, 1.5), total], 1)


def case(labels=(1,), count=1, maps=None):
    images = torch.ones(count, 3, 2, 2)
    batch = Batch(images, tuple(map(str, range(count))), labels=torch.tensor(labels))
    return Case(Scene(as_model(Threshold()), batch), maps)


def test_accuracy_is_the_share_of_fractions_still_right():
    # 4, 3, 2 pixels: class 1; 1, 0 pixels: class 0
    assert score(Accuracy(**BLACK), case()).values.tolist() == pytest.approx([3 / 5])
    assert score(Accuracy(**BLACK), case(labels=(0,))).values.tolist() == pytest.approx([2 / 5])


def test_unchanged_predictions_do_not_look_at_the_label():
    assert score(UnchangedPredictions(**BLACK), case(labels=(0,))).values.tolist() == pytest.approx([3 / 5])


def test_class_entropy_is_of_the_set_at_each_fraction():
    # all images alike: one class at each fraction, so no entropy
    assert score(ClassEntropy(**BLACK), case(labels=(1, 1), count=2)).values.tolist() == [0.0]


def test_entropy_of_known_histograms():
    # step 1: classes 0 0 1 1 -> ln 2; step 2: four classes -> ln 4
    records = torch.tensor([[0.0, 0], [0, 1], [1, 2], [1, 3]], dtype=torch.float64).numpy()

    assert class_entropy(records) == pytest.approx((math.log(2) + math.log(4)) / 2)


def test_random_order_needs_no_map_and_the_others_do():
    assert "maps" not in Accuracy().needs
    assert {"maps", "ranking", "labels"} <= Accuracy(order="morf").needs


def test_an_order_by_relevance_follows_the_map():
    # the model sees only the upper left pixel: whether it goes first or last decides
    class Corner(torch.nn.Module):
        def forward(self, images):
            corner = images[:, 0, 0, 0]
            return torch.stack([torch.full_like(corner, 0.5), corner], 1)

    batch = Batch(torch.ones(1, 3, 2, 2), ("a",), labels=torch.tensor([1]))
    maps = torch.tensor([[[4.0, 3.0], [2.0, 1.0]]])
    looked = Case(Scene(as_model(Corner()), batch), maps)

    assert score(Accuracy(order="morf", **BLACK), looked).values.tolist() == pytest.approx([1 / 5])
    assert score(Accuracy(order="lerf", **BLACK), looked).values.tolist() == pytest.approx([4 / 5])


@pytest.mark.parametrize(
    ("published", "summary"),
    [
        # ResNet-50 of torchvision, grey fill and layer masking: the authors' stored results, 16 x 16 grid, random order
        ((0.919, 0.808, 0.542, 0.273, 0.104, 0.038, 0.011, 0.006, 0.002, 0.001, 0.001), 0.246),
        ((0.919, 0.911, 0.887, 0.854, 0.802, 0.729, 0.597, 0.433, 0.227, 0.073, 0.000), 0.585),
    ],
)
def test_the_summary_is_the_papers_plain_mean_of_eleven_fractions(published, summary):
    class Stored(Accuracy):
        def curve(self, case):
            return Curve(torch.linspace(0, 1, 11, dtype=torch.float64), torch.tensor([published], dtype=torch.float64))

    looked = case()
    fractions = looked.curve(Accuracy().questions[0], None).fractions

    assert fractions.tolist() == pytest.approx([step / 10 for step in range(11)])
    assert score(Stored(), looked).values.item() == pytest.approx(summary, abs=5e-4)
    assert (Accuracy().unit, Accuracy().removal, Accuracy().order) == (Patch(16), Fill("mean"), "random")


def test_top1_compares_with_the_label():
    assert score(Top1(), case(labels=(1,))).values.tolist() == [1.0]
    assert score(Top1(), case(labels=(0,))).values.tolist() == [0.0]


def test_impossible_parameters_are_refused():
    with pytest.raises(InvalidValueError, match="at least 1, got 0"):
        Accuracy(steps=0)


def test_a_label_that_the_model_does_not_have_is_undefined():
    found = score(Top1(), case(labels=(7,)))

    assert found.reasons == ("label is no class of the model",)
    assert score(Accuracy(**BLACK), case(labels=(-1,))).reasons == found.reasons
