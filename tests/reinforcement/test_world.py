import math

import numpy as np
import pytest
from scipy.stats import binomtest, chisquare

from xai_bench.data.planted import draw
from xai_bench.errors import InvalidValueError, UnknownNameError
from xai_bench.reinforcement.world import ACTIONS, MOVES, Rules, World, eight_bit

RULES = Rules()
MANY = range(400)


def test_a_world_is_the_same_at_every_time_and_others_are_others():
    one, again, other = World(RULES, 5), World(RULES, 5), World(RULES, 6)

    assert np.array_equal(one.view(one.start).pixels, again.view(again.start).pixels)
    assert (one.start, one.direction, one.background) == (again.start, again.direction, again.background)
    assert not np.array_equal(one.view((0, 0)).pixels, other.view((0, 0)).pixels)


@pytest.mark.parametrize("number", range(20))
def test_masks_cover_exactly_what_was_drawn(number: int):
    world, size = World(RULES, number), (RULES.size, RULES.size)
    rng = [np.random.default_rng(5) for _ in range(3)]
    full, *_ = draw(world.scene, size, rng[0])
    bare, *_ = draw(world.scene._replace(things=()), size, rng[1])
    alone, *_ = draw(world.scene._replace(things=world.scene.things[:1]), size, rng[2])
    middle = (RULES.size // 2, RULES.size // 2)  # from where the world is seen as it was drawn

    view = world.view(middle)
    assert np.array_equal((alone != bare).any(axis=0), view.target)
    assert np.array_equal((full != bare).any(axis=0), view.target | view.distractor)


def test_the_object_is_always_the_target_s_shape_and_distractors_never_are():
    shapes = [[thing.shape for thing in World(Rules(target="star"), number).scene.things] for number in MANY]

    assert {first for first, *_ in shapes} == {"star"}
    assert "star" not in {shape for _, *rest in shapes for shape in rest}


@pytest.mark.parametrize("action", range(4))
def test_the_view_moves_against_the_agent_and_comes_back_on_the_other_side(action: int):
    world = World(RULES, 3)
    right, down = MOVES[action]
    before, after = world.view(world.start), world.view(world.moved(world.start, action))

    shift = (-down * RULES.step, -right * RULES.step)
    for one, other in zip(before, after, strict=True):
        assert np.array_equal(np.roll(one, shift, axis=(-2, -1)), other)


def test_the_target_is_seen_where_the_way_leads():
    """Its middle is `way` from the middle of the view, up to half a pixel and the torus."""
    for number in range(40):
        world = World(RULES, number)
        rows, columns = np.nonzero(world.view(world.start).target)
        middle = RULES.size // 2
        seen = [_mean_on_the_circle(values, RULES.size) - middle for values in (columns, rows)]
        apart = [(a - b + 16) % 32 - 16 for a, b in zip(seen, world.way(world.start), strict=True)]

        assert np.abs(apart).max() < 0.6


def _mean_on_the_circle(values, size: int) -> float:
    return float(np.angle(np.exp(2j * np.pi * values / size).mean()) * size / (2 * np.pi))


def test_ways_on_paper():
    world = World(RULES, 0)
    world.goal, world.radius = (30.5, 4.5), 3.0

    assert world.way((30, 4)) == (0, 0)
    assert world.way((28, 4)) == (2, 0)
    assert world.way((2, 4)) == (-4, 0)  # to the left across the edge: 30 is 4 before 34
    assert world.way((30, 31)) == (0, 5)  # down across the edge: 36 is 5 after 31
    assert world.distance((27, 0)) == 5
    assert world.reached((27, 4))
    assert not world.reached((26, 4))
    assert [world.best(place) for place in ((24, 4), (30, 30), (3, 4), (30, 9))] == [0, 1, 2, 3]
    assert world.moved((31, 0), 0) == (1, 0)
    assert world.moved((31, 0), 3) == (31, 30)


def test_episodes_start_in_the_direction_that_the_world_says():
    for number in MANY:
        world = World(RULES, number)
        right, down = world.way(world.start)
        lean = (math.atan2(down, right) - world.direction * math.pi / 2 + math.pi) % (2 * math.pi) - math.pi

        assert abs(lean) < math.radians(40) + 0.1  # starts are whole pixels
        assert 0.25 * 32 - 1 < world.distance(world.start) < 0.45 * 32 + 1
        assert not world.reached(world.start)


@pytest.mark.parametrize("options", [{"size": 16}, {"size": 64, "step": 8}, {"target": "bar"}])
def test_no_episode_starts_at_its_end(options):
    for number in MANY:
        world = World(Rules(**options), number)
        assert not world.reached(world.start)
        assert 1 <= len(list(world.path())) <= 8


def test_directions_are_as_likely_as_each_other():
    assert chisquare(np.bincount([World(RULES, number).direction for number in MANY], minlength=4)).pvalue > 1e-3


@pytest.mark.parametrize("correlation", [0.0, 0.7, 1.0])
def test_the_background_tells_the_direction_with_the_chosen_probability(correlation: float):
    worlds = [World(Rules(correlation=correlation), number) for number in MANY]
    own = sum(world.background == world.direction for world in worlds)

    low, high = binomtest(own, len(MANY)).proportion_ci(0.999)
    assert low <= correlation <= high


def test_shifted_backgrounds_are_independent_of_the_direction():
    table = np.zeros((4, 4))
    for number in range(800):
        world = World(RULES, number, shifted=True)
        table[world.direction, world.background] += 1

    assert chisquare(table.ravel()).pvalue > 1e-3


def test_a_shift_changes_the_background_alone():
    for number in range(20):
        own, shifted = World(RULES, number), World(RULES, number, shifted=True)
        assert (own.start, own.scene.things) == (shifted.start, shifted.scene.things)


def test_the_best_moves_lead_to_the_target_in_time():
    for number in MANY:
        world = World(RULES, number)
        way = list(world.path())

        assert way[0] == world.start
        assert len(way) <= RULES.horizon // 2
        assert not any(world.reached(place) for place in way)
        assert world.reached(world.moved(way[-1], world.best(way[-1])))


def test_pixels_of_a_screen():
    assert eight_bit(np.array([0, 0.5, 1], dtype=np.float32)).tolist() == [0, 128, 255]


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"horizon": 0}, InvalidValueError, "horizon must be at least 1 move, got 0"),
        ({"step": 5}, InvalidValueError, r"step must be in \[1, 4\] pixels at size 32, got 5"),
        ({"target": "cros"}, UnknownNameError, "unknown shape 'cros'; did you mean 'cross'"),
        ({"correlation": 1.5}, InvalidValueError, "correlation of dataset planted must be in"),
        ({"size": 8, "step": 1}, InvalidValueError, "at least 16 x 16"),
    ],
)
def test_rules_that_make_no_world_are_refused(options, error, sentence):
    with pytest.raises(error, match=sentence):
        Rules(**options)


def test_there_is_a_move_for_each_action():
    assert len(ACTIONS) == len(set(MOVES)) == 4
