"""Order of removal: ranks, ties, counts."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from xai_bench.engine import Patch, Pixel, Trajectory
from xai_bench.engine.ranking import counts, ranks, stride, unrankable
from xai_bench.engine.walk import Walk
from xai_bench.removal import Fill
from xai_bench.seeding import Noise


def lots(size, *ids):
    return Noise(0, "rank", ids or ("a",)).permutations(size)


PIXEL = Pixel()
MAP = torch.tensor([[[0.1, 0.9], [0.5, -2.0]]])


def test_rank_zero_is_the_most_relevant_pixel():
    expected = [[2, 0, 1, 3]]

    assert ranks(MAP.flatten(1), "random", lots(4)).tolist() == expected


def test_ties_by_position_are_first_or_last_in_row_major_order():
    flat = torch.zeros(1, 3)

    assert ranks(flat, "first").tolist() == [[0, 1, 2]]
    assert ranks(flat, "last").tolist() == [[2, 1, 0]]


def test_ties_last_is_numpys_reversed_stable_argsort():
    values = torch.randint(0, 4, (1, 25), generator=torch.Generator().manual_seed(1)).float()
    order = values.flatten().numpy().argsort(kind="stable")[::-1]

    assert ranks(values, "last").flatten().argsort().tolist() == order.tolist()


def test_random_ties_depend_on_the_sample_and_on_nothing_else():
    flat = torch.zeros(2, 16)
    together = ranks(flat, "random", lots(16, "a", "b"))
    alone = ranks(flat[:1], "random", lots(16, "b"))

    assert torch.equal(together[1:], alone)
    assert not torch.equal(together[0], together[1])


def test_ties_never_cross_values():
    values = torch.tensor([[1.0, 0.0, 1.0, 0.0]])

    assert sorted(ranks(values, "random", lots(4))[0, [0, 2]].tolist()) == [0, 1]


@given(st.integers(1, 300), st.integers(1, 60_000))
def test_counts_round_half_up_and_have_both_ends(steps, total):
    expected = [int(step * total / steps + 0.5) for step in range(steps + 1)]
    got = counts(steps, total)

    assert got[0] == 0
    assert got[-1] == total
    assert all(abs(a - b) <= 1 for a, b in zip(got, expected, strict=True))
    assert got == sorted(got)


def test_counts_of_ten_pixels_in_quarters():
    assert counts(4, 10) == [0, 3, 5, 8, 10]  # 2.5 and 7.5 round up


def test_counts_of_ten_pixels_rounded_down():
    assert counts("4 floor", 10) == [0, 2, 5, 7, 10]
    assert counts("3 floor", 50_176) == [0, 16725, 33450, 50_176]


@pytest.mark.parametrize(
    ("steps", "total", "size"),
    [("each", 10, 1), ("4 units", 10, 4), ("4 ceil", 10, 3), ("20 ceil", 50_176, 2509), (4, 10, 0), ("4 floor", 10, 0)],
)
def test_strides_of_steps_that_remove_the_same_number(steps, total, size):
    assert stride(steps, total) == size


def visible(ranked, order, steps, step, size, unit=PIXEL):
    partition = unit.split(torch.zeros(1, 3, *size))
    return Walk(Trajectory(Fill(), order, steps, unit=unit), ranked, partition, size).visible(0, [step]).tolist()


def test_removing_the_most_or_the_least_relevant():
    ranked = ranks(MAP.flatten(1), "random", lots(4))

    assert visible(ranked, "morf", 4, 1, (2, 2)) == [[[True, False], [True, True]]]
    assert visible(ranked, "lerf", 4, 1, (2, 2)) == [[[True, True], [True, False]]]


def test_a_removed_cell_hides_its_pixels():
    ranked = torch.tensor([[0, 1, 2, 3]], dtype=torch.int32)

    assert visible(ranked, "morf", 4, 1, (3, 3), Patch(2))[0] == [
        [False, False, True],
        [False, False, True],
        [True, True, True],
    ]


def test_constant_and_non_finite_maps_order_nothing():
    maps = torch.stack([torch.zeros(2, 2), MAP[0], torch.full((2, 2), torch.nan), MAP[0].clone()])
    maps[3, 0, 0] = torch.inf

    assert unrankable(maps) == ("map is constant", "", "map is not finite", "map is not finite")
