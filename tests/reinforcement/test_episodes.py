import numpy as np
import pytest
import torch
from torch import nn

from xai_bench.adapters import Preprocessing, VisionModel
from xai_bench.reinforcement.episodes import at_random, best, greedy, play
from xai_bench.reinforcement.reach import Reach
from xai_bench.reinforcement.world import Rules, World

RULES = Rules(horizon=6)


def test_who_knows_the_rules_always_arrives():
    found = play(best, Rules(), range(50))

    worlds = [World(Rules(), number) for number in range(50)]
    ends = [world.moved(way[-1], world.best(way[-1])) for world in worlds for way in [list(world.path())]]
    nearer = [world.distance(world.start) - world.distance(end) for world, end in zip(worlds, ends, strict=True)]
    assert found.reached.all()
    assert found.returns == pytest.approx(1 + np.array(nearer) / 32)


def test_who_stands_still_in_the_end_earns_nothing():
    def to_and_fro(places):
        return [0 if place.moves % 2 == 0 else 2 for place in places]

    found = play(to_and_fro, RULES, [number for number in range(20) if World(RULES, number).direction in (1, 3)])

    assert not found.reached.any()
    assert found.returns == pytest.approx(0, abs=1e-12)


def test_episodes_do_not_depend_on_each_other():
    together, alone = play(at_random(0), RULES, range(12)), [play(at_random(0), RULES, [one]) for one in range(12)]

    assert together.returns.tolist() == [one.returns[0] for one in alone]


def test_a_random_agent_takes_every_action_as_often():
    places = [Reach(RULES) for _ in range(2000)]
    for number, place in enumerate(places):
        place.world, place.moves = World.__new__(World), 0
        place.world.number = number

    assert np.bincount(at_random(1)(places), minlength=4).min() > 430


class Brightest(nn.Module):
    """The logit of an action is the brightness of its side of the image."""

    def forward(self, images):
        grey, half = images.mean(1), images.shape[-1] // 2
        sides = (grey[:, :, half:], grey[:, half:], grey[:, :, :half], grey[:, :half])
        return torch.stack([side.mean((1, 2)) for side in sides], dim=1)


def test_a_greedy_agent_takes_the_likeliest_action_for_what_it_sees():
    model = VisionModel(
        Brightest(), name="brightest", mean=(0.5,) * 3, std=(0.5,) * 3, preprocessing=Preprocessing((32, 32))
    )
    places = [Reach(RULES) for _ in range(10)]
    seen = np.stack([place.reset(options={"world": number})[0]["image"] for number, place in enumerate(places)])

    grey = seen.mean(1)
    sides = [grey[:, :, 16:], grey[:, 16:], grey[:, :, :16], grey[:, :16]]
    assert greedy(model)(places) == np.argmax([side.mean((1, 2)) for side in sides], axis=0).tolist()
