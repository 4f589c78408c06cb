import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from xai_bench.reinforcement.reach import Reach
from xai_bench.reinforcement.world import Rules, World


def walked(seed: int, actions):
    """All that an episode shows and earns."""
    place = Reach()
    seen, _ = place.reset(seed=seed)
    steps = [place.step(np.int64(action)) for action in actions]
    return [seen["image"], seen["mask"], *(part for step in steps for part in (*step[0].values(), *step[1:4]))]


def test_gymnasium_s_checker_finds_nothing():
    check_env(Reach(), skip_render_check=True)


def test_the_same_seed_and_moves_give_the_same_episode():
    one, again, other = (walked(seed, (0, 1, 2)) for seed in (7, 7, 8))

    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    assert not np.array_equal(one[0], other[0])


def test_a_reset_without_a_seed_draws_another_world():
    place = Reach()
    first, _ = place.reset(seed=1)
    second, _ = place.reset()

    assert not np.array_equal(first["image"], second["image"])


def test_image_and_mask_are_the_view_s():
    place = Reach()
    seen, _ = place.reset(options={"world": 11})
    world = World(Rules(), 11)

    view = world.view(world.start)
    assert np.array_equal(seen["image"], np.round(view.pixels * 255))
    assert np.array_equal(seen["mask"].astype(bool), view.target)
    assert np.array_equal(place.render(), seen["image"].transpose(1, 2, 0))


@pytest.mark.parametrize("shifted", [False, True])
def test_backgrounds_are_shifted_where_that_is_asked(shifted: bool):
    place = Reach(shifted=shifted)

    worlds = (World(Rules(), number, shifted=shifted).background for number in range(8))
    assert [place.reset(options={"world": number})[1]["background"] for number in range(8)] == list(worlds)


def test_an_episode_earns_how_much_nearer_it_came_and_one_for_arriving():
    place = Reach()
    place.reset(options={"world": 2})
    start, earned, there = place.world.distance(place.place), [], False
    while not there:
        _, reward, there, cut, info = place.step(np.int64(place.world.best(place.place)))
        earned.append(reward)

    assert not cut
    assert sum(earned) == pytest.approx(1 + (start - info["distance"]) / 32)
    assert earned[-1] > 1 > max(earned[:-1], default=0)


def test_an_episode_is_cut_off_after_the_horizon():
    place = Reach(Rules(horizon=4))
    place.reset(options={"world": 2})
    ends = [place.step(np.int64(action))[2:4] for action in (0, 2, 0, 2)]  # there and back

    assert ends == [(False, False)] * 3 + [(False, True)]
