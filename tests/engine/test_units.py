"""What is removed at once: pixels, cells and superpixels."""

import pytest
import torch

from xai_bench.engine import UNITS, Case, Cells, Patch, Pixel, Quickshift, Scene, Slic, Trajectory
from xai_bench.errors import InvalidValueError, UnknownNameError
from xai_bench.oracles import Sum, as_model
from xai_bench.removal import Fill
from xai_bench.types import Batch

BLACK = Fill("black")
EVERY = pytest.mark.parametrize(
    "unit",
    [Pixel(), Patch(3), Cells(3), Slic(segments=6), Quickshift(kernel=2.0, distance=8.0)],
    ids=lambda unit: unit.card.name,
)


def two_halves(left=10, height=12, width=20):
    """A red part to the left of a blue one."""
    images = torch.zeros(1, 3, height, width)
    images[:, 0, :, :left] = 1
    images[:, 2, :, left:] = 1
    return images


def photos(count=3):
    coarse = torch.rand(count, 3, 4, 5, generator=torch.Generator().manual_seed(3))
    return torch.nn.functional.interpolate(coarse, (16, 20), mode="bilinear")


def case(images, maps, **options):
    ids = tuple(f"s{i}" for i in range(len(images)))
    return Case(Scene(as_model(Sum(), tuple(images.shape[2:])), Batch(images, ids), **options), maps)


def test_cells_are_means_and_cover_ragged_edges():
    cells = Patch(2).split(torch.zeros(1, 3, 3, 3))

    assert cells.relevance(torch.arange(9.0).view(1, 3, 3)).tolist() == [[2.0, 3.5, 6.5, 8.0]]
    assert cells.sums(0, torch.arange(9.0).view(1, 3, 3)).tolist() == [[8.0, 7.0, 13.0, 8.0]]


@pytest.mark.parametrize("size", [(16, 20), (224, 224), (5, 7)])
def test_a_grid_of_cells_is_a_small_grid_resized_to_its_nearest_neighbours(size):
    # "nearest-exact" is TensorFlow's and Pillow's rule: by the centres of pixels
    grid = torch.arange(81.0).view(1, 1, 9, 9)
    resized = torch.nn.functional.interpolate(grid, size, mode="nearest-exact")[0, 0]
    labels = Cells().split(torch.zeros(1, 3, *size)).labels[0]

    assert torch.equal(labels, resized.unique(return_inverse=True)[1])


def test_superpixels_follow_the_colours():
    found = Slic(segments=2).split(two_halves())

    assert found.counts == (2,)
    assert found.labels[0, :, :10].unique().tolist() == [0]
    assert found.labels[0, :, 10:].unique().tolist() == [1]


def test_the_relevance_of_a_superpixel_is_the_mean_over_its_pixels():
    maps = torch.zeros(1, 12, 20)
    maps[:, 0, :10] = 12.0

    assert Slic(segments=2).split(two_halves()).relevance(maps).tolist() == [[1.0, 0.0]]


@EVERY
def test_units_cover_each_pixel_once(unit):
    partition = unit.split(photos())
    for row, count in enumerate(partition.counts):
        alone = torch.eye(partition.width, dtype=torch.bool)[:count]

        assert torch.equal(partition.pixels(row, alone).int().sum(0), torch.ones(16, 20, dtype=torch.int32))
        assert partition.sums(row, torch.ones(1, 16, 20)).sum().item() == 16 * 20


@EVERY
def test_the_units_of_an_image_do_not_depend_on_the_others(unit):
    together, alone = unit.split(photos()), unit.split(photos()[2:])

    assert together.counts[2:] == alone.counts
    everything = torch.arange(alone.width)[None]
    padded = torch.arange(together.width)[None]
    assert torch.equal(together.painted(2, padded), alone.painted(0, everything))


@EVERY
def test_curves_of_units_do_not_depend_on_the_batch(unit):
    images, maps = photos(), torch.rand(3, 16, 20, generator=torch.Generator().manual_seed(4)).round(decimals=1)
    for order in ("morf", "lerf", "random"):
        path = Trajectory(BLACK, order, 7, unit=unit)
        together = case(images, maps).curve(path, "logit").values
        for row in range(3):
            batch = Batch(images[row : row + 1], (f"s{row}",))
            alone = Case(Scene(as_model(Sum(), (16, 20)), batch), maps[row : row + 1]).curve(path, "logit").values
            torch.testing.assert_close(together[row], alone[0])


def test_removing_the_more_relevant_half_leaves_the_other():
    maps = torch.zeros(1, 12, 20)
    maps[:, :, 10:] = 1.0  # blue: 120 of 240 pixels of grey value 1/3
    path = Trajectory(BLACK, "morf", 2, unit=Slic(segments=2))

    assert case(two_halves(), maps).curve(path, "logit").values[0].tolist() == pytest.approx([80.0, 40.0, 0.0])


def test_unit_after_unit_gives_each_image_its_own_fractions():
    images = torch.cat([two_halves(), torch.full((1, 3, 12, 20), 0.5)])
    path = Trajectory(BLACK, "morf", "each", unit=Slic(segments=2))
    made = case(images, torch.rand(2, 12, 20))
    curve, counts = made.curve(path, "logit"), made.partition(path.unit).counts

    for row, count in enumerate(counts):
        assert curve.fractions[row, : count + 1].tolist() == pytest.approx([step / count for step in range(count + 1)])
        assert curve.evaluated[row].sum() == count + 1
        assert curve.values[row, count].item() == pytest.approx(0, abs=1e-5)


def test_given_fractions_are_where_the_curve_is_known():
    maps = torch.arange(60.0).view(1, 6, 10)
    curve = case(torch.ones(1, 3, 6, 10), maps).curve(Trajectory(BLACK, "morf", (0.1, 0.5, 0.9)), "logit")

    assert curve.fractions.tolist() == [0.1, 0.5, 0.9]
    assert curve.values[0].tolist() == pytest.approx([54.0, 30.0, 6.0])


def test_units_are_built_by_name_and_refused_by_name():
    assert UNITS.build("slic") == Slic()
    assert UNITS.build({"name": "patch", "side": 4}) == Patch(4)
    with pytest.raises(UnknownNameError, match="did you mean 'slic'"):
        UNITS.build("slick")
    with pytest.raises(InvalidValueError, match=r"side of unit patch .* at least 1, got 0"):
        Patch(0)
    with pytest.raises(InvalidValueError, match=r"unit slic needs .* segments=0"):
        Slic(segments=0)
    with pytest.raises(InvalidValueError, match=r"unit quickshift needs .* ratio=2"):
        Quickshift(ratio=2.0)


@EVERY
def test_units_of_the_same_values_tie_to_the_last_bit(unit):
    generator = torch.Generator().manual_seed(5)
    values = torch.tensor([0.0, 0.1, 0.2, 0.4])
    maps = values[torch.randint(0, 4, (3, 16, 20), generator=generator)]
    partition = unit.split(photos())
    found, whole = partition.relevance(maps), partition.relevance((maps * 10).round().double().float())

    for row, count in enumerate(partition.counts):
        order = whole[row, :count].argsort(stable=True)
        ties = whole[row, order].diff() == 0
        assert torch.equal(found[row, order].diff().abs() < 1e-15, ties)


def test_a_huge_map_still_orders_its_units():
    maps = torch.tensor([[[3e38, 3e38], [1.0, 2e38]]])

    assert Patch(1).split(torch.zeros(1, 3, 2, 2)).relevance(maps).isfinite().all()
    assert Patch(2).split(torch.zeros(1, 3, 2, 2)).relevance(maps).item() == pytest.approx(2e38)
