"""Monotonicity, both definitions, on paper and against scipy."""

import pytest
import torch

from xai_bench.engine import Case, Patch, Pixel, Scene, Slic
from xai_bench.errors import InvalidValueError
from xai_bench.metrics import score
from xai_bench.metrics.monotonicity import Monotonicity
from xai_bench.metrics.monotonicity_correlation import AnyColour, MonotonicityCorrelation
from xai_bench.metrics.subsets import EachAlone
from xai_bench.oracles import IMAGE, PIXELS, Linear, Sum, as_model
from xai_bench.removal import Fill
from xai_bench.types import Batch

WHITE = torch.ones(1, 3, 2, 2)


class Xor(torch.nn.Module):
    """Logits (a + b - 2 a b, 0) of the two upper pixels: 1 where exactly one of them is white."""

    def forward(self, images):
        a, b = images[:, 0, 0, 0], images[:, 0, 0, 1]
        return torch.stack([a + b - 2 * a * b, torch.zeros_like(a)], 1)


def case(maps, images=IMAGE, module=None, seed=0):
    ids = tuple(map(str, range(len(images))))
    targets = torch.zeros(len(images), dtype=torch.int64)
    return Case(Scene(as_model(module or Sum()), Batch(images, ids), targets=targets, seed=seed), maps)


def value(metric, *args):
    return score(metric, case(*args)).values.item()


def weights(*rows):
    return Linear(torch.tensor(rows).expand(3, 2, 2) / 3)


def filled(**changed):
    return Monotonicity(**{"removal": Fill("black"), "unit": Pixel(), "output": "logit"} | changed)


def test_a_sum_of_positive_parts_is_monotone_in_any_order():
    assert value(filled(), PIXELS) == 1
    assert value(filled(), -PIXELS) == 1


def test_one_part_that_speaks_against_the_class_breaks_it():
    # 1, 1, 1 and -1 in turn: three of the four steps rise
    module = weights([1.0, 1.0], [1.0, -1.0])

    assert value(filled(), PIXELS, WHITE, module) == 0
    assert value(filled(reading="share"), PIXELS, WHITE, module) == pytest.approx(3 / 4)


def test_the_least_relevant_are_shown_first():
    # xor: lower two pixels change nothing, then 0 -> 1 with one of the upper and 1 -> 0 with both
    assert value(filled(reading="share"), PIXELS, WHITE, Xor()) == pytest.approx(3 / 4)
    # lower two in one step with the white upper left, then the upper right: 0, 1, 0
    maps = torch.tensor([[[1.0, 4.0], [3.0, 2.0]]])
    assert value(filled(reading="share", steps=(0.0, 0.25, 1.0)), maps, WHITE, Xor()) == pytest.approx(1 / 2)
    # the same points but the empty image, as AIX360 and Quantus begin: one step, down
    assert value(filled(steps=(0.0, 0.25)), maps, WHITE, Xor()) == 0


def test_a_fall_within_rounding_is_none():
    module = weights([1.0, 1.0], [1.0, -5e-6])
    maps = torch.tensor([[[4.0, 3.0], [1.0, 2.0]]])

    assert value(filled(), maps, WHITE, module) == 1
    assert value(filled(), maps, WHITE, weights([1.0, 1.0], [1.0, -5e-5])) == 0


def test_images_with_fewer_segments_have_fewer_steps():
    images = torch.ones(2, 3, 12, 12)
    images[0, :, :, 6:] = 0.5
    images[1] = (
        torch.rand(3, 3, 3, generator=torch.Generator().manual_seed(0)).repeat_interleave(4, 1).repeat_interleave(4, 2)
    )
    maps = torch.rand(2, 12, 12, generator=torch.Generator().manual_seed(1))
    module = Linear(torch.cat([torch.ones(3, 12, 6), -torch.ones(3, 12, 6)], 2))
    metric = filled(reading="share", unit=Slic(segments=9))
    counts = case(maps, images, module).partition(metric.unit).counts

    assert counts[0] < counts[1]
    alone = score(metric, case(maps[:1], images[:1], module)).values[0].item()
    assert score(metric, case(maps, images, module)).values[0].item() == alone
    assert 0 < alone < 1


@pytest.mark.parametrize("steps", ["adaptive", (0.5,)])
def test_steps_that_are_no_sequence_are_refused(steps):
    with pytest.raises(InvalidValueError, match="steps of monotonicity are a number, 'each' or two fractions"):
        Monotonicity(steps=steps)


def test_the_correlation_of_a_linear_model_is_perfect_for_its_weights():
    # grey pixels of one half: a colour c changes the sum by w (c - .5), so its mean square ranks as |w| does
    module, grey = weights([0.4, -0.3], [0.2, -0.1]), WHITE / 2
    metric = MonotonicityCorrelation(unit=Pixel(), output="logit")

    assert value(metric, PIXELS, grey, module) == pytest.approx(1)
    assert value(metric, PIXELS * torch.tensor([[1.0, -1.0], [1.0, -1.0]]), grey, module) == pytest.approx(1)  # |map|
    assert value(metric, 1 / PIXELS, grey, module) == pytest.approx(-1)


def test_units_are_weighed_by_their_sum():
    # the cell at the edge has two pixels: 4 x 2 outweigh 2 x 3, in the map as in the model, whose mean is 2 against 3
    images, maps = torch.full((1, 3, 2, 3), 0.5), torch.tensor([[[2.0, 2.0, 3.0], [2.0, 2.0, 3.0]]])
    module = Linear(maps.expand(3, 2, 3) / 3)

    assert value(MonotonicityCorrelation(unit=Patch(2), output="logit"), maps, images, module) == pytest.approx(1)


def test_draws_are_the_same_for_all_units_and_other_for_another_seed():
    question = EachAlone(AnyColour(0), Pixel())
    grey = WHITE / 2
    one, again = (case(PIXELS, grey).look(question, "logit") for _ in range(2))

    assert torch.equal(one, again)
    assert one[0].tolist() == pytest.approx([one[0, 0].item()] * 4)  # one colour
    assert not torch.equal(one, case(PIXELS, grey, seed=1).look(question, "logit"))
    assert not torch.equal(one, case(PIXELS, grey).look(EachAlone(AnyColour(1), Pixel()), "logit"))


def test_the_draws_approach_the_expectation():
    # E (c - 1/2)^2 of three uniform colours' mean is 1/36
    looked = case(PIXELS, WHITE / 2)
    changes = [(looked.look(EachAlone(AnyColour(n), Pixel()), "logit") - 2) ** 2 for n in range(400)]

    assert torch.stack(changes).mean().item() == pytest.approx(1 / 36, rel=0.15)


@pytest.mark.parametrize(
    ("maps", "module", "unit", "reason"),
    [
        (PIXELS, weights([0.0, 0.0], [0.0, 0.0]), Pixel(), "all changes of the output are equal"),
        (PIXELS, Sum(), Patch(2), "image is one unit"),
        (torch.tensor([[[1.0, -1.0], [1.0, 1.0]]]), Sum(), Pixel(), "relevance of all units is equal"),
    ],
)
def test_what_cannot_be_correlated_is_undefined(maps, module, unit, reason):
    found = score(MonotonicityCorrelation(unit=unit, output="logit"), case(maps, module=module))

    assert found.reasons == (reason,)
    assert found.values.isnan().all()


def test_no_draw_is_refused():
    with pytest.raises(InvalidValueError, match="samples of monotonicity_correlation must be at least 1, got 0"):
        MonotonicityCorrelation(samples=0)
