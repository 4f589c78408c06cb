"""Order of removal: ranks, ties, cells, counts."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from xai_bench.engine.ranking import cells, counts, ranks, unrankable, visible
from xai_bench.seeding import Noise

NOISE = Noise(0, "rank", ("a",))
MAP = torch.tensor([[[0.1, 0.9], [0.5, -2.0]]])


def test_rank_zero_is_the_most_relevant_pixel():
    expected = [[[2, 0], [1, 3]]]

    assert ranks(MAP, "random", NOISE).tolist() == expected


def test_ties_by_position_are_first_or_last_in_row_major_order():
    flat = torch.zeros(1, 1, 3)

    assert ranks(flat, "first", NOISE).tolist() == [[[0, 1, 2]]]
    assert ranks(flat, "last", NOISE).tolist() == [[[2, 1, 0]]]


def test_ties_last_is_numpys_reversed_stable_argsort():
    values = torch.randint(0, 4, (1, 5, 5), generator=torch.Generator().manual_seed(1)).float()
    order = values.flatten().numpy().argsort(kind="stable")[::-1]

    assert ranks(values, "last", NOISE).flatten().argsort().tolist() == order.tolist()


def test_random_ties_depend_on_the_sample_and_on_nothing_else():
    flat = torch.zeros(2, 4, 4)
    together = ranks(flat, "random", Noise(0, "rank", ("a", "b")))
    alone = ranks(flat[:1], "random", Noise(0, "rank", ("b",)))

    assert torch.equal(together[1:], alone)
    assert not torch.equal(together[0], together[1])


def test_ties_never_cross_values():
    values = torch.tensor([[[1.0, 0.0, 1.0, 0.0]]])

    assert sorted(ranks(values, "random", NOISE)[0, 0, [0, 2]].tolist()) == [0, 1]


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


def test_removing_the_most_or_the_least_relevant():
    ranked = ranks(MAP, "random", NOISE)
    one = torch.tensor([1])

    assert visible(ranked, one, "morf", 1, (2, 2)).tolist() == [[[True, False], [True, True]]]
    assert visible(ranked, one, "lerf", 1, (2, 2)).tolist() == [[[True, True], [True, False]]]


def test_cells_are_means_and_cover_ragged_edges():
    values = torch.arange(9.0).view(1, 3, 3)

    assert cells(values, 2).tolist() == [[[2.0, 3.5], [6.5, 8.0]]]


def test_a_removed_cell_hides_its_pixels():
    ranked = torch.tensor([[[0, 1], [2, 3]]])
    keep = visible(ranked, torch.tensor([1]), "morf", 2, (3, 3))

    assert keep[0].tolist() == [[False, False, True], [False, False, True], [True, True, True]]


def test_constant_and_non_finite_maps_order_nothing():
    maps = torch.stack([torch.zeros(2, 2), MAP[0], torch.full((2, 2), torch.nan), MAP[0].clone()])
    maps[3, 0, 0] = torch.inf

    assert unrankable(maps) == ("map is constant", "", "map is not finite", "map is not finite")
