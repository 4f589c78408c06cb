"""A model that no sum of pixels explains: the output is 1 where exactly one of the two upper pixels is white.

Both are white, so the clean output is 0, and the output without one of them 1. The map 4, 3, 2, 1 removes them first.
"""

import pytest
import torch

from xai_bench.engine import Case, Patch, Pixel, Scene
from xai_bench.metrics import METRICS, score
from xai_bench.oracles import as_model
from xai_bench.removal import Fill
from xai_bench.types import Batch

MAP = torch.tensor([[[4.0, 3.0], [2.0, 1.0]]])


class Xor(torch.nn.Module):
    def forward(self, images):
        one, other = images.mean(1)[:, 0].unbind(1)
        return torch.stack([(one - other).abs(), torch.zeros_like(one)], 1)


def found(name, maps=MAP, **fields):
    metric = METRICS.build({"name": name, "removal": Fill("black"), "output": "logit", **fields})
    return score(metric, Case(Scene(as_model(Xor()), Batch(torch.ones(1, 3, 2, 2), ("a",))), maps))


@pytest.mark.parametrize(
    ("name", "fields", "expected"),
    [
        # the curve is 0, 1, 0, 0, 0 over quarters removed
        ("deletion", {"steps": 4}, 0.25),
        ("selectivity", {"steps": 4, "unit": Pixel()}, 0.25),
        ("pixel_flipping", {"steps": 4}, 0.25),  # the mean of 1, 0, 0, 0
        ("region_perturbation", {"unit": Pixel()}, -0.2),  # the mean of 0 - 0, 0 - 1, 0, 0, 0
        ("comprehensiveness", {"bins": (0.25, 0.5)}, -0.5),  # 0 - 1 and 0 - 0
        # shown most relevant first the curve is 0, 1, 0, 0, 0 as well
        ("insertion", {"steps": 4}, 0.25),
        ("sufficiency", {"bins": (0.25, 0.5)}, -0.5),
        # drops -1, -1, 0, 0 of saliency 4, 3, 2, 1: + 1 - 2 - 3 - 1 - 2 + 1 over 10
        ("saco", {"groups": 4}, -0.6),
        # the same drops against 4, 3, 2, 1: covariance -1/2, variances 5/4 and 1/4
        ("faithfulness_estimate", {"unit": Pixel()}, -1 / (5 / 16) ** 0.5 / 2),
        ("road", {"fractions": (0.25, 0.5)}, 0.5),  # the mean of 1 and 0
    ],
)
def test_on_paper(name, fields, expected):
    assert found(name, **fields).values.item() == pytest.approx(expected)


def test_a_map_that_hides_both_at_once_sees_nothing():
    assert found("deletion", steps=2, unit=Patch(1)).values.item() == pytest.approx(0)  # 0, 0, 0


def test_what_divides_by_the_clean_output_is_undefined():
    assert found("irof", unit=Pixel()).values.isnan().all()
    assert found("average_drop").values.isnan().all()
