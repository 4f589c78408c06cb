"""Occlusions: how much they hide, where they lie, and what is put in their place."""

import pytest
import torch

from xai_bench.adapters import load_model
from xai_bench.data import load_data
from xai_bench.seeding import Noise
from xai_bench.studies.ersm.occlusion import Grid, Square, prepared, shapes
from xai_bench.studies.ersm.settings import ErsmSettings

IDS = tuple(f"image-{number}" for number in range(6))
NOISE = Noise(0, "occlusion/square", IDS)


def regions(size: tuple[int, int] = (32, 32)) -> torch.Tensor:
    """An object of 8 x 8 pixels at another place in each image."""
    found = torch.zeros(len(IDS), *size, dtype=torch.bool)
    for number in range(len(IDS)):
        found[number, 2 + 3 * number : 10 + 3 * number, 20 - 3 * number : 28 - 3 * number] = True
    return found


def hidden(keep: torch.Tensor) -> torch.Tensor:
    return ((1 - keep) * regions(keep.shape[1:])).sum((1, 2)) / 64


@pytest.mark.parametrize("placement", ["random", "object", "background"])
@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_a_square_hides_its_share_in_one_piece(placement, share):
    keep = Square(share, placement).keep((32, 40), regions((32, 40)), NOISE)
    side = round((share * 32 * 40) ** 0.5)
    for one in 1 - keep:
        rows, columns = one.any(1).nonzero(), one.any(0).nonzero()
        assert one.sum() == side**2
        assert (rows.max() - rows.min() + 1, columns.max() - columns.min() + 1) == (side, side)


@pytest.mark.parametrize("placement", ["random", "object", "background"])
@pytest.mark.parametrize("share", [0.25, 0.5])
def test_a_grid_hides_its_share_of_whole_cells(placement, share):
    keep = Grid(share, placement, 8).keep((32, 32), regions(), NOISE)
    cells = keep.view(6, 4, 8, 4, 8)

    assert torch.equal((1 - keep).mean((1, 2)), torch.full((6,), share))
    assert torch.equal(cells.amax((2, 4)), cells.amin((2, 4)))


@pytest.mark.parametrize("shape", [Square(0.25, "object"), Grid(0.25, "object", 8)])
def test_object_aware_covers_the_object(shape):
    assert torch.equal(hidden(shape.keep((32, 32), regions(), NOISE)), torch.ones(6))


@pytest.mark.parametrize("shape", [Square(0.1, "background"), Grid(0.5, "background", 8)])
def test_background_aware_avoids_the_object(shape):
    assert torch.equal(hidden(shape.keep((32, 32), regions(), NOISE)), torch.zeros(6))


@pytest.mark.parametrize("more", [{}, {"cell": 8}])
def test_the_object_is_hidden_most_by_what_looks_for_it(more):
    kind = Grid if more else Square
    shares = [
        hidden(kind(0.4, place, **more).keep((32, 32), regions(), NOISE)).mean()
        for place in ("background", "random", "object")
    ]

    assert shares[0] < shares[1] < shares[2]


def test_larger_shares_of_a_grid_hold_smaller_ones():
    small, large = (Grid(share, "random", 8).keep((32, 32), None, NOISE) for share in (0.25, 0.5))

    assert (large <= small).all()


def test_places_depend_on_the_image_alone():
    for shape in (Square(0.3, "random"), Grid(0.3, "random", 8)):
        whole = shape.keep((32, 32), regions(), NOISE)
        last = shape.keep((32, 32), regions()[4:], Noise(0, "occlusion/square", IDS[4:]))

        assert torch.equal(whole[4:], last)
        assert not torch.equal(whole[0], whole[1])


def test_cells_at_the_border_are_cut_off():
    keep = Grid(0.5, "object", 8).keep((20, 30), regions((20, 30)), NOISE)

    assert keep.shape == (6, 20, 30)
    assert set(keep.unique().tolist()) == {0.0, 1.0}


def test_without_masks_only_chance_places_them():
    settings = ErsmSettings()
    count = len(settings.areas) + len(settings.fractions)

    assert len(list(shapes(settings, regions=True))) == 3 * count
    assert {shape.placement for shape in shapes(settings, regions=False)} == {"random"}


def test_only_what_is_hidden_is_filled():
    batch = next(iter(load_data("planted", n=2, size=32)))
    model = load_model("timm:test_resnet", pretrained=False, num_classes=4, mean=(0.5,) * 3, std=(0.5,) * 3,
                       device="cpu")  # fmt: skip
    keep = torch.ones(2, 32, 32)
    keep[:, :10, :10] = 0
    blanks = prepared(model, batch, ("mean", "black", "blur"))
    pictures = {name: blank.alter(batch.images, keep) for name, blank in blanks.items()}

    for one in pictures.values():
        assert torch.allclose(one[:, :, 10:], batch.images[:, :, 10:], atol=1e-6)
    assert torch.allclose(pictures["mean"][:, :, :10, :10], torch.tensor(0.5))
    assert torch.allclose(pictures["black"][:, :, :10, :10], torch.tensor(0.0))
    assert 0 < pictures["blur"][:, :, :10, :10].std() < batch.images[:, :, :10, :10].std()
