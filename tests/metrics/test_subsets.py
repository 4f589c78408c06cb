"""Masks of subsets: their sizes, their places, and that they depend on the sample alone; sums over what they hide."""

import dataclasses

import pytest
import torch

from xai_bench.engine import Case, Cells, Patch, Pixel, Scene
from xai_bench.engine.totals import totals
from xai_bench.errors import InvalidValueError
from xai_bench.metrics import METRICS, score
from xai_bench.metrics.subsets import EachAlone, RandomSquares, RandomSubsets, RankGroups, check_size, counted
from xai_bench.oracles import Sum, as_model
from xai_bench.removal import Fill
from xai_bench.types import Batch

SIZE = (10, 14)
BLACK = Fill("black")
DRAWN = [RandomSubsets(BLACK, Pixel(), 0.2, 20), RandomSubsets(BLACK, Patch(4), 3, 20), RandomSquares(BLACK, 4, 20)]


class Counted(Sum):
    """A sum that counts the images it has seen."""

    def __init__(self):
        super().__init__()
        self.seen = 0

    def forward(self, images):
        self.seen += len(images)
        return super().forward(images)


def case(count=3, start=0, maps_seed=2, module=None, seed=0):
    images, maps = (
        torch.rand(5, *shape, generator=torch.Generator().manual_seed(kind))[start : start + count]
        for kind, shape in ((1, (3, *SIZE)), (maps_seed, SIZE))
    )
    ids = tuple(f"s{i}" for i in range(start, start + count))
    return Case(Scene(as_model(module or Sum(), SIZE), Batch(images, ids), seed=seed), maps)


def hidden(masks, looked=None, row=0):
    return ~masks.keep(looked or case(), row)


def test_a_size_below_one_is_a_share_and_else_a_number():
    assert [counted(size, 81) for size in (0.2, 0.001, 1, 7.0, 100)] == [16, 1, 1, 7, 81]
    for wrong in (0, -1, 1.5, float("nan"), float("inf")):
        with pytest.raises(InvalidValueError, match="size of x must be a share between 0 and 1 or a whole number"):
            check_size(wrong, "size of x")


def test_subsets_have_exactly_their_size():
    assert hidden(RandomSubsets(BLACK, Pixel(), 0.2, 50)).sum((1, 2)).tolist() == [28] * 50
    cells = hidden(RandomSubsets(BLACK, Cells(2), 3, 50))
    assert cells.sum((1, 2)).tolist() == [3 * 35] * 50


def test_each_pixel_is_as_likely_as_any_other():
    often = hidden(RandomSubsets(BLACK, Pixel(), 0.25, 4000)).double().mean(0)

    # a share of 1/4 in 4000 draws has a standard deviation of 0.007
    assert often.amin() > 0.25 - 5 * 0.007
    assert often.amax() < 0.25 + 5 * 0.007


def test_squares_lie_inside_at_every_place_alike():
    found = hidden(RandomSquares(BLACK, 0.4, 9000))
    corners = found.flatten(1).int().argmax(1)

    assert (found.any(2).sum(1) == 4).all()
    assert (found.any(1).sum(1) == 4).all()
    assert (found.sum((1, 2)) == 16).all()
    times = corners.bincount()[corners.unique()]
    assert len(times) == (10 - 4 + 1) * (14 - 4 + 1)
    # 9000 draws over 77 places: 117 each with a standard deviation of 10.7
    assert ((times - 117).abs() < 5 * 10.7).all()


@pytest.mark.parametrize("masks", DRAWN, ids=lambda masks: f"{type(masks).__name__} {masks.size}")
class TestDrawn:
    def test_draws_depend_on_the_sample_and_the_seed_alone(self, masks):
        first = hidden(masks, row=1)

        assert torch.equal(first, hidden(masks, case(1, start=1)))
        assert torch.equal(first, hidden(masks, case(maps_seed=9), row=1))
        assert not torch.equal(first, hidden(masks, row=2))
        assert not torch.equal(first, hidden(masks, case(seed=1), row=1))

    def test_fewer_draws_are_the_first_of_more(self, masks):
        assert torch.equal(hidden(dataclasses.replace(masks, samples=7)), hidden(masks)[:7])


def test_each_unit_alone_covers_the_image_once():
    found = hidden(EachAlone(BLACK, Patch(4)))

    assert len(found) == 3 * 4
    assert (found.sum(0) == 1).all()


def test_groups_of_the_ranking_begin_with_the_most_relevant():
    looked = case()
    found = hidden(RankGroups(BLACK, 10, "first"), looked)
    means = [looked.maps[0][group].mean().item() for group in found]

    assert found.sum((1, 2)).tolist() == [14] * 10
    assert (found.sum(0) == 1).all()
    assert means == sorted(means, reverse=True)


def test_explainers_and_metrics_share_their_passes():
    module = Counted()
    first = case(module=module)
    score(METRICS.build({"name": "mu_fidelity", "samples": 40, "unit": "pixel"}), first)
    before = module.seen
    other = Case(first.scene, first.maps.flip(1))
    score(METRICS.build({"name": "mu_fidelity", "samples": 40, "unit": "pixel"}), other)
    score(METRICS.build({"name": "faithfulness_correlation", "samples": 30, "size": 0.2}), other)
    score(METRICS.build({"name": "infidelity", "samples": 20, "size": 0.2, "shape": "pixels"}), other)

    assert before >= 3 * 40
    assert module.seen == before


def test_sums_of_equal_parts_are_equal_whatever_their_order():
    # float64 loses 2^-24 beside 2^30 one by one, but not three of them added up before
    small = 2.0**-24
    values = torch.tensor([[2.0**30, small, small, small, small, small, small, 2.0**30]])
    masks = torch.tensor([[[1, 1, 1, 1, 0, 0, 0, 0]], [[0, 0, 0, 0, 1, 1, 1, 1]]], dtype=torch.bool)
    forwards, backwards = (sum(values.double()[mask].tolist()) for mask in masks)
    first, second = totals(values, masks).tolist()

    assert forwards != backwards
    assert first == second == 2.0**30 + 3 * small


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_sums_are_those_of_float64(scale):
    values = torch.randn(SIZE, generator=torch.Generator().manual_seed(1)) * scale
    masks = hidden(DRAWN[0])
    expected = (values.double() * masks).sum((1, 2))

    assert totals(values, masks).tolist() == pytest.approx(expected.tolist(), rel=1e-12, abs=1e-12 * scale)


def test_the_change_is_what_hiding_takes_from_the_colours():
    looked, masks = case(), RandomSubsets(Fill((0.1, 0.2, 0.3)), Pixel(), 5, 8)
    change = (looked.batch.images - torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1)).sum(1)
    expected = [(looked.maps[1] * change[1])[~keep].sum().item() for keep in masks.keep(looked, 1)]

    assert looked.hidden(masks, times_change=True)[1].tolist() == pytest.approx(expected, abs=1e-5)
