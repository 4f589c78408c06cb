import numpy as np
import torch

from xai_bench.reinforcement.reach import Reach
from xai_bench.reinforcement.states import States
from xai_bench.reinforcement.world import Rules


def test_a_sample_is_what_an_agent_sees_there():
    data = States(n=8)
    for index in range(8):
        sample, (world, place) = data[index], data.at(index)
        env = Reach()
        env.reset(options={"world": world.number})
        env.place = place

        assert torch.equal(sample.image, torch.from_numpy(env._seen()["image"]) / 255)
        assert torch.equal(sample.region, torch.from_numpy(env._seen()["mask"]).bool())
        assert sample.label == world.best(place)


def test_places_are_anywhere_on_the_way_but_not_at_its_end():
    data = States(n=200)
    shares = []
    for index in range(200):
        world, place = data.at(index)
        way = list(world.path())
        assert place in way
        shares += [way.index(place) / (len(way) - 1)] if len(way) > 1 else []

    assert {0.0, 1.0} <= set(shares)
    assert 0.4 < np.mean(shares) < 0.6


def test_a_sample_does_not_depend_on_how_many_there_are():
    few, many = States(n=3, seed=4), States(n=9, seed=4)

    assert torch.equal(few[2].image, many[2].image)
    assert few.id(2) == many.id(2)


def test_splits_and_seeds_have_worlds_of_their_own():
    pictures = [States(n=1, split=split, seed=seed)[0].image for split in ("test", "shifted") for seed in (0, 1)]

    assert len({picture.numpy().tobytes() for picture in pictures}) == 4


def test_shifted_states_come_from_shifted_worlds():
    data = States(n=300, split="shifted")
    own = [world.background == world.direction for world, _ in map(data.at, range(300))]

    assert 0.15 < np.mean(own) < 0.35  # one in four


def test_the_fingerprint_is_over_the_rules_too():
    prints = {States(n=4).fingerprint, States(n=5).fingerprint, States(n=4, rules=Rules(step=1)).fingerprint}

    assert len(prints) == 3
    assert States(n=4, batch_size=7).fingerprint in prints
