"""Average drop, increase in confidence and average gain on paper: the map as a soft mask."""

import math

import pytest
import torch

from xai_bench.engine import Case, Scene
from xai_bench.errors import InvalidValueError, UnknownNameError, UnsupportedError
from xai_bench.metrics import METRICS, score
from xai_bench.metrics.average_drop import AverageDrop
from xai_bench.metrics.average_gain import AverageGain
from xai_bench.metrics.confidence import Confidence
from xai_bench.metrics.increase_in_confidence import IncreaseInConfidence
from xai_bench.metrics.soft_mask import mask
from xai_bench.oracles import IMAGE, PIXELS, Linear, Sum, as_model
from xai_bench.removal import Blur, Fill, LayerMasking
from xai_bench.types import Batch

BLACK = Fill("black")
LOGIT = {"removal": BLACK, "output": "logit"}


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def of_a_sum(metric, maps=PIXELS, module=None, **scene):
    case = Case(Scene(as_model(module or Sum()), Batch(IMAGE, ("a",)), **scene), maps)
    found = score(metric, case)
    return found.reasons[0] or found.values.item()


def test_average_drop_of_a_sum_is_what_the_mask_takes_away():
    # .4 * 1 + .3 * 2/3 + .2 * 1/3 + .1 * 0 = 2/3 of the clean sum of 1 remains
    assert of_a_sum(AverageDrop(**LOGIT)) == pytest.approx(1 / 3)


def test_average_drop_is_relative_to_the_clean_output():
    # the same mask on a model that answers twice as much
    twice = Linear(torch.full((3, 2, 2), 2 / 3))

    assert of_a_sum(AverageDrop(**LOGIT), module=twice) == pytest.approx(1 / 3)


def test_average_drop_of_a_probability():
    clean, shown = sigmoid(1), sigmoid(2 / 3)

    assert of_a_sum(AverageDrop(removal=BLACK)) == pytest.approx((clean - shown) / clean)


def test_a_rise_is_no_drop_but_a_gain():
    # class 1 answers 0 whatever is seen, so it gains where class 0 loses: p from 1 - sigmoid(1) to 1 - sigmoid(2/3)
    clean, shown = 1 - sigmoid(1), 1 - sigmoid(2 / 3)
    target = {"targets": torch.tensor([1])}

    assert of_a_sum(AverageDrop(removal=BLACK), **target) == 0
    assert of_a_sum(IncreaseInConfidence(removal=BLACK), **target) == 1
    assert of_a_sum(AverageGain(removal=BLACK), **target) == pytest.approx((shown - clean) / (1 - clean))


def test_a_drop_is_no_gain():
    assert of_a_sum(IncreaseInConfidence(removal=BLACK)) == 0
    assert of_a_sum(AverageGain(removal=BLACK)) == 0


def test_the_same_output_is_no_increase():
    # nothing weighs: every mask gives the logits of the clean image
    blind = Linear(torch.zeros(3, 2, 2))

    assert of_a_sum(IncreaseInConfidence(removal=BLACK), module=blind) == 0


def test_the_bounds_are_reached():
    # the only pixel that counts hidden, and shown alone
    weights = torch.zeros(3, 2, 2)
    weights[:, 0, 0] = 2.5 / 3  # logit 1
    hidden, shown = torch.tensor([[[0.0, 1.0], [1.0, 1.0]]]), torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])

    assert of_a_sum(AverageDrop(**LOGIT), hidden, Linear(weights)) == pytest.approx(1)
    assert of_a_sum(AverageDrop(**LOGIT), shown, Linear(weights)) == 0


def test_a_gain_near_certainty_keeps_its_digits():
    # logit 40 of which the mask leaves 80: doubt from e^-40 to e^-80, of which float64 probabilities know nothing
    weights = torch.zeros(3, 2, 2)
    weights[:, 0, 0], weights[:, 1, 1] = 80 / 3 / 0.4, -40 / 3 / 0.1
    shown = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])

    assert of_a_sum(AverageGain(removal=BLACK), shown, Linear(weights)) == pytest.approx(1 - math.exp(-40), abs=1e-15)
    assert of_a_sum(AverageGain(removal=BLACK), 1 - shown, Linear(weights)) == 0


@pytest.mark.parametrize(
    ("scaling", "values", "expected"),
    [
        ("minmax", (-1.0, 0.0, 1.0, 3.0), (0, 0.25, 0.5, 1)),
        ("positive", (-1.0, 0.0, 1.5, 3.0), (0, 0, 0.5, 1)),
        ("positive_minmax", (-1.0, 0.0, 1.5, 3.0), (0, 0, 0.5, 1)),
        ("positive_minmax", (1.0, 2.0, 5.0, 2.0), (0, 0.25, 1, 0.25)),
        ("absolute", (-3.0, 1.0, 2.0, 1.0), (1, 0, 0.5, 0)),
        ("none", (0.1, 0.2, 0.3, 0.4), (0.1, 0.2, 0.3, 0.4)),
    ],
)
def test_the_scalings(scaling, values, expected):
    assert mask(torch.tensor([values]).view(1, 2, 2), scaling).flatten().tolist() == pytest.approx(expected)


def test_a_map_that_is_a_mask_already_is_taken_as_it_is():
    # half of every pixel
    half = torch.tensor([[[0.5, 0.5], [0.5, 0.25]]])

    assert of_a_sum(AverageDrop(scaling="none", **LOGIT), half) == pytest.approx(1 - (0.2 + 0.15 + 0.1 + 0.025))


@pytest.mark.parametrize(
    ("scaling", "values", "reason"),
    [
        ("none", (0.0, 0.5, 1.0, 1.5), "map is not within [0, 1]"),
        ("none", (-0.5, 0.5, 1.0, 1.0), "map is not within [0, 1]"),
        ("positive", (-4.0, -3.0, -2.0, 0.0), "map has no positive part"),
        ("absolute", (1.0, -1.0, 1.0, -1.0), "magnitude of the map is constant"),
        ("minmax", (2.0, 2.0, 2.0, 2.0), "map is constant"),
    ],
)
@pytest.mark.parametrize("name", ["average_drop", "increase_in_confidence", "average_gain"])
def test_a_map_that_is_no_mask_is_undefined(name, scaling, values, reason):
    metric = METRICS.build({"name": name, "scaling": scaling})

    assert of_a_sum(metric, torch.tensor(values).view(1, 2, 2)) == reason


def test_without_a_positive_clean_output_there_is_no_share_of_it():
    assert of_a_sum(AverageDrop(**LOGIT), module=Linear(-torch.ones(3, 2, 2))) == "clean output is not positive"


def test_one_class_is_certain_and_cannot_gain():
    class One(torch.nn.Module):
        def forward(self, images):
            return images.mean((1, 2, 3))[:, None]

    assert of_a_sum(AverageGain(), module=One()) == "clean probability is 1"
    assert of_a_sum(AverageDrop(), module=One()) == 0
    assert of_a_sum(AverageDrop(output="log_odds"), module=One()) == "score is not finite"
    assert of_a_sum(Confidence(), module=One()) == 1
    assert of_a_sum(Confidence(output="log_odds"), module=One()) == "score is not finite"


def test_the_mean_fill_is_the_product_with_the_normalised_image():
    # normalised (x - .25) / .5, then the product with the mask; a logit is the sum of what the model is given
    model = as_model(Sum())
    model.mean, model.std = (0.25,) * 3, (0.5,) * 3
    case = Case(Scene(model, Batch(IMAGE, ("a",)), targets=torch.tensor([0])), PIXELS)
    given = [(pixel - 0.25) / 0.5 for pixel in (0.4, 0.3, 0.2, 0.1)]
    product = sum(value * keep for value, keep in zip(given, (1, 2 / 3, 1 / 3, 0), strict=True))

    assert case.look(AverageDrop().questions[0], "logit").item() == pytest.approx(product)
    assert case.look(AverageDrop(removal=Blur()).questions[0], "logit").item() != pytest.approx(product, abs=1e-3)


def test_hard_removals_and_wrong_values_are_refused_in_a_sentence(unchecked):
    with pytest.raises(UnsupportedError, match="'average_drop' needs a removal that knows soft masks, got 'layer_mask"):
        AverageDrop(removal=LayerMasking())
    with pytest.raises(UnknownNameError, match="unknown scaling of average_gain 'minmix'; did you mean 'minmax'"):
        AverageGain(scaling="minmix")
    with pytest.raises(InvalidValueError, match="removal of average_drop must be"):
        AverageDrop(removal="black")


def test_the_three_look_once():
    class Counted(Sum):
        seen = 0

        def forward(self, images):
            Counted.seen += len(images)
            return super().forward(images)

    case = Case(Scene(as_model(Counted()), Batch(IMAGE, ("a",))), PIXELS)
    for metric in (AverageDrop(), IncreaseInConfidence(), AverageGain()):
        score(metric, case)

    assert Counted.seen == 2  # clean, and under the mask


def test_bounds_follow_the_output():
    assert AverageDrop().bounds == (0.0, 1.0)
    assert AverageDrop(output="logit").bounds == (0.0, math.inf)
    assert Confidence().bounds == (0.0, 1.0)
    assert Confidence(output="margin").bounds == (-math.inf, math.inf)


def test_confidence_is_the_clean_output():
    assert of_a_sum(Confidence()) == pytest.approx(sigmoid(1))
    assert of_a_sum(Confidence(output="logit")) == pytest.approx(1)
    assert of_a_sum(Confidence(output="margin"), targets=torch.tensor([1])) == pytest.approx(-1)
    assert "maps" not in Confidence().needs
