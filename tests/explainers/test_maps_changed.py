"""Explainers around another whose maps they change: on paper, and what they refuse."""

import pytest
import torch
from explainer_models import noise

from xai_bench.errors import InvalidValueError
from xai_bench.explainers import explain
from xai_bench.explainers.gradient import InputXGradient, Saliency
from xai_bench.explainers.wrappers import Resized, Smooth, TimesInput
from xai_bench.oracles import IMAGE, Linear, as_model
from xai_bench.seeding import Noise

WEIGHTS = torch.tensor([[[1.0, -2.0], [0.0, 3.0]], [[-3.0, 1.0], [0.0, 4.0]], [[2.0, 0.0], [0.0, 0.0]]])
FIRST = torch.tensor([0])


def maps(explainer, image=IMAGE):
    return explain(explainer, as_model(Linear(WEIGHTS)), image, FIRST, noise(1))


def test_times_input_is_the_map_times_the_mean_of_the_colours():
    torch.testing.assert_close(maps(TimesInput(Saliency("sum"))), WEIGHTS.sum(0)[None] * IMAGE.mean(1))


def test_resized_to_one_cell_is_the_mean_and_to_all_cells_the_map():
    plain = maps(Saliency("sum"))

    torch.testing.assert_close(maps(Resized(Saliency("sum"), side=2)), plain)
    torch.testing.assert_close(maps(Resized(Saliency("sum"), side=1)), plain.mean().expand(1, 2, 2))


def test_smooth_is_the_mean_over_its_copies():
    inner = InputXGradient("black")
    seen = [Noise(0, f"explain/smooth/{copy}", ("s0",)).normal(3, 2, 2) for copy in range(3)]
    expected = torch.stack([((IMAGE + 0.2 * drawn) * WEIGHTS).sum(1) for drawn in seen]).mean(0)

    torch.testing.assert_close(maps(Smooth(inner, samples=3, sigma=0.2)), expected)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Resized(side=10**9), "a side of 1 to 4096 cells and sigma of 0 to 1, got side=1000000000, sigma=0"),
        (lambda: Resized(sigma=float("inf")), "got side=14, sigma=inf"),
        (lambda: Resized(sigma=float("nan")), "got side=14, sigma=nan"),
        (lambda: Smooth(sigma=float("inf")), "a finite sigma above 0, got samples=10, sigma=inf"),
    ],
)
def test_absurd_fields_are_refused(make, sentence):
    with pytest.raises(InvalidValueError, match=sentence):
        make()
