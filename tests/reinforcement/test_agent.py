import random
from functools import cache

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv
from torch import nn

from xai_bench.errors import InvalidValueError, UnknownNameError
from xai_bench.ersm import CamalLoss
from xai_bench.reinforcement.agent import GuidedPolicy, normalised, train_agent
from xai_bench.reinforcement.network import Coordinates, policy_network
from xai_bench.reinforcement.reach import Reach
from xai_bench.reinforcement.recipe import PpoRecipe
from xai_bench.reinforcement.states import States
from xai_bench.reinforcement.world import Rules

RULES = Rules(size=16)
SHORT = PpoRecipe(frames=128, worlds=4, rollout=32, batch_size=64, passes=2, channels=8)


@cache
def weights(weight: float | None, seed: int = 0, recipe: PpoRecipe = SHORT):
    loss = None if weight is None else CamalLoss(weight)
    return train_agent(RULES, recipe, loss, seed=seed, progress=False).state_dict()


def _numpy_state():
    _, words, position, *_ = np.random.get_state()  # noqa: NPY002
    return [*words, position]


def same(one, other) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def gradients(loss: CamalLoss | None, explained: str = "taken"):
    """The first gradient of PPO on one round of states; the policy as it was then, and these states."""
    recipe = PpoRecipe(frames=64, worlds=4, rollout=16, batch_size=64, passes=1, channels=8, explained=explained)
    agent = PPO(
        GuidedPolicy,
        DummyVecEnv([lambda: Reach(RULES)] * 4),
        learning_rate=0.0,
        n_steps=16,
        batch_size=64,
        n_epochs=1,
        ent_coef=recipe.entropy,
        max_grad_norm=1e9,  # nothing is clipped
        policy_kwargs={"recipe": recipe, "loss": loss},
        seed=0,
        device="cpu",
    )
    agent.learn(64)
    found = {name: value.grad.clone() for name, value in agent.policy.named_parameters()}
    (batch,) = agent.rollout_buffer.get(64)
    return found, agent.policy, batch


@pytest.mark.parametrize("explained", ["taken", "likeliest"])
def test_what_ppo_descends_is_its_own_loss_plus_the_term(explained):
    """The term here by a straight line: CAM of the action, over its maximum, against the mask's share of each cell."""
    weight = 0.7
    with_term, policy, batch = gradients(CamalLoss(weight), explained)
    without, *_ = gradients(None)

    policy.zero_grad()
    images = batch.observations["image"].float() / 255 * 2 - 1
    features = policy.features_extractor.features(images)
    actions = batch.actions.long().flatten()
    if explained == "likeliest":
        actions = policy.action_net(features.mean((2, 3))).argmax(1)
    total = torch.zeros(())
    for one in range(64):
        cam = torch.zeros(4, 4)
        for channel in range(8):
            cam = cam + policy.action_net.weight[actions[one], channel] * features[one, channel]
        cam = cam.clamp(min=0)
        cam = cam / (cam.max() + 1e-6)
        mask = batch.observations["mask"][one].float().reshape(4, 4, 4, 4).mean((1, 3))
        blind = bool((cam == 0).all())
        inside = torch.ones(()) if blind else (mask * (1 - cam)).sum() / (mask.sum() + 1e-6)
        total = total + inside + ((1 - mask) * cam).sum() / ((1 - mask).sum() + 1e-6)
    (weight * total / 64).backward()

    for name, value in policy.named_parameters():
        expected = torch.zeros_like(value) if value.grad is None else value.grad
        torch.testing.assert_close(with_term[name] - without[name], expected, atol=1e-6, rtol=1e-4)
        assert (expected.abs().max() > 1e-4) == (not name.startswith("value_net") and name != "action_net.bias")


def test_the_term_on_paper():
    """Features are the normalised colours; action 1 reads green: A = (1, 0; 1/2, 0) of green (255, 0; 191, 64)."""
    space = spaces.Dict({"image": spaces.Box(0, 255, (3, 2, 2), np.uint8), "mask": spaces.MultiBinary((2, 2))})
    policy = GuidedPolicy(
        space,
        spaces.Discrete(2),
        lambda _: 0.1,
        recipe=PpoRecipe(channels=3, explained="taken"),
        loss=CamalLoss(2.0, outside=0.5),
    )
    policy.features_extractor.features = nn.Identity()
    policy.action_net = nn.Linear(3, 2)
    with torch.no_grad():
        policy.action_net.weight.copy_(torch.tensor([[0.0, 0.0, 9.0], [0.0, 1.0, 0.0]]))
    image = torch.zeros(1, 3, 2, 2)
    image[0, 1] = torch.tensor([[255.0, 0.0], [191.25, 63.75]])
    seen = {"image": image, "mask": torch.tensor([[[1, 0], [1, 0]]])}
    actions = torch.tensor([1])

    term = policy.term(seen, actions).item()
    assert term == pytest.approx(2 * ((0 + 0.5) / 2 + 0.5 * 0), abs=1e-5)
    seen["mask"] = torch.tensor([[[0, 1], [0, 1]]])
    assert policy.term(seen, actions).item() == pytest.approx(2 * (1 + 0.5 * (1 + 0.5) / 2), abs=1e-5)
    seen["mask"] = torch.zeros(1, 2, 2)
    assert policy.term(seen, actions).item() == 0
    entropy = policy.evaluate_actions(seen, actions)[2]
    seen["mask"] = torch.tensor([[[1, 0], [1, 0]]])
    lower = policy.evaluate_actions(seen, actions)[2]
    assert (entropy - lower).item() == pytest.approx(0.5 / 0.01, rel=1e-4)


def test_no_policy_looks_at_the_mask():
    network = policy_network(4, 8)
    assert [name for name, _ in network.named_children()] == ["features", "head"]

    _, policy, batch = gradients(None)
    other = {"image": batch.observations["image"], "mask": 1 - batch.observations["mask"]}
    assert torch.equal(policy.get_distribution(batch.observations).distribution.logits,
                       policy.get_distribution(other).distribution.logits)  # fmt: skip
    assert torch.equal(policy.predict_values(batch.observations), policy.predict_values(other))


def test_the_network_that_is_kept_is_the_policy():
    _, policy, batch = gradients(None)

    logits = policy.network(normalised(batch.observations["image"] / 255))
    ours = torch.log_softmax(logits, 1)
    torch.testing.assert_close(ours, policy.get_distribution(batch.observations).distribution.logits)


def test_the_same_seed_gives_the_same_weights_to_the_last_bit():
    once = weights(0.3)
    weights.cache_clear()

    assert same(once, weights(0.3))
    assert not same(once, weights(0.3, seed=1))


def test_a_weight_of_zero_is_the_control():
    assert same(weights(None), weights(0.0))
    assert not same(weights(None), weights(0.3))


def test_the_callers_random_state_is_put_back():
    before = random.getstate(), _numpy_state(), torch.get_rng_state().tolist()
    weights.cache_clear()
    weights(None)

    assert (random.getstate(), _numpy_state(), torch.get_rng_state().tolist()) == before


def test_attention_comes_to_lie_on_the_target():
    """Where the term is all that counts, most of the attention does; the control's lies where the target rarely is."""
    recipe = PpoRecipe(frames=3072, worlds=8, rollout=128, batch_size=128, passes=8, channels=16, lr=3e-3)
    data = States(n=64, rules=RULES)
    batch = data.batch(0, 64)

    shares = {}
    for weight in (0.0, 3.0):
        network = train_agent(RULES, recipe, CamalLoss(weight), progress=False)
        features = network.features(normalised(batch.images))
        maps = torch.einsum("kc,bchw->bkhw", network.head.weight, features)
        chosen = network(normalised(batch.images)).argmax(1)
        cam = maps[torch.arange(64), chosen].clamp(min=0)
        mask = batch.regions.float().reshape(64, 4, 4, 4, 4).mean((2, 4))
        shares[weight] = ((cam * mask).sum((1, 2)) / (cam.sum((1, 2)) + 1e-6)).mean().item()
    assert shares[3.0] > 2 * shares[0.0]


def test_coordinates_say_where_a_cell_is():
    found = Coordinates()(torch.zeros(2, 1, 3, 2))

    assert found.shape == (2, 3, 3, 2)
    assert found[1, 1].tolist() == [[-1, 1]] * 3
    assert found[1, 2].tolist() == [[-1, -1], [0, 0], [1, 1]]


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"frames": 0}, InvalidValueError, "frames of ppo must be above 0, got 0"),
        ({"entropy": 0.0}, InvalidValueError, "entropy of ppo must be above 0, got 0.0"),
        ({"discount": 1.0}, InvalidValueError, r"discount of ppo must be in \[0, 1\), got 1.0"),
        (
            {"batch_size": 300},
            InvalidValueError,
            r"divide the 2048 frames of a round \(16 worlds x 128 moves\), got 300",
        ),
        ({"explained": "greedy"}, UnknownNameError, "unknown explained of ppo 'greedy'"),
        ({"lr": "fast"}, InvalidValueError, "lr of ppo must be float, got 'fast'"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_recipes_that_cannot_train_are_refused(options, error, sentence):
    with pytest.raises(error, match=sentence):
        PpoRecipe(**options)
