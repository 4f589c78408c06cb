"""A PPO agent of stable-baselines3, and CAMAL's term on the states that it comes through."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.preprocessing import preprocess_obs
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import DummyVecEnv
from torch import Tensor, nn
from tqdm import tqdm

from xai_bench.ersm import AttentionLoss, attention
from xai_bench.reinforcement.network import FEATURES, HEAD, PolicyNetwork, local_features
from xai_bench.reinforcement.reach import Reach
from xai_bench.reinforcement.recipe import PpoRecipe
from xai_bench.reinforcement.world import Rules
from xai_bench.seeding import key
from xai_bench.types import Images

CENTRE, SPREAD = 0.5, 0.5  # of each colour: what the network takes is in [-1, 1]


def train_agent(
    rules: Rules,
    recipe: PpoRecipe,
    loss: AttentionLoss | None = None,
    *,
    seed: int = 0,
    device: str = "cpu",
    title: str = "ppo",
    progress: bool = True,
) -> PolicyNetwork:
    """The network of a policy that learnt to walk to the target, on the CPU, in eval mode; it takes normalised images.

    What is minimised on each batch of states is PPO's loss plus `loss(attention, masks)`; None is the control.
    The same arguments and machine give the same weights to the last bit; the caller's random state is put back.
    """
    with _random_state_kept():
        agent = PPO(
            GuidedPolicy,
            DummyVecEnv([partial(Reach, rules)] * recipe.worlds),
            learning_rate=partial(_rate, recipe),
            n_steps=recipe.rollout,
            batch_size=recipe.batch_size,
            n_epochs=recipe.passes,
            gamma=recipe.discount,
            gae_lambda=recipe.discount,
            ent_coef=recipe.entropy,
            policy_kwargs={"recipe": recipe, "loss": loss},
            seed=key(seed, "agent") % 2**32,
            device=device,
        )
        with tqdm(total=recipe.frames, desc=title, unit="frame", disable=None if progress else True) as bar:
            agent.learn(recipe.frames, callback=_Watched(bar))
    assert isinstance(agent.policy, GuidedPolicy)
    return agent.policy.network.cpu().eval()


class GuidedPolicy(ActorCriticPolicy):
    """An actor and a critic on shared features, whose entropy bonus carries one more term of the loss.

    PPO minimises clipped surrogate - c mean(entropy) + value loss, and asks `evaluate_actions` for the entropy of each
    state of a batch once per step. Answering entropy - L / c adds L to the loss, exactly, with no line of PPO copied.
    """

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        lr_schedule: Callable[[float], float],
        use_sde: bool = False,  # noqa: FBT001, FBT002 - PPO hands it in
        *,
        recipe: PpoRecipe,
        loss: AttentionLoss | None,
    ) -> None:
        self.recipe, self.loss = recipe, loss
        super().__init__(
            observation_space,
            action_space,
            lr_schedule,
            net_arch=[],
            use_sde=use_sde,
            features_extractor_class=_PooledFeatures,
            features_extractor_kwargs={"channels": recipe.channels},
        )

    @property
    def network(self) -> PolicyNetwork:
        """What chooses the actions, with these very weights."""
        return PolicyNetwork(self.features_extractor.features, self.action_net)  # type: ignore[arg-type]

    def evaluate_actions(self, obs: Any, actions: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Values, log-probabilities of the actions, and the entropies with the term in them."""
        values, log_probability, entropy = super().evaluate_actions(obs, actions)
        if self.loss is None or entropy is None:
            return values, log_probability, entropy
        return values, log_probability, entropy - self.term(obs, actions) / self.recipe.entropy

    def term(self, obs: Any, actions: Tensor) -> Tensor:
        """The loss of the attention for the explained actions: scalar."""
        assert self.loss is not None
        seen = preprocess_obs(obs, self.observation_space)
        assert isinstance(seen, dict)
        images, network = normalised(seen["image"]), self.network
        if self.recipe.explained == "likeliest":
            with torch.no_grad():
                actions = network(images).argmax(1)
        return self.loss(attention(network, images, actions, FEATURES, head=HEAD).maps, seen["mask"].bool())


def _rate(recipe: PpoRecipe, left: float | int) -> float:
    """Of the round after which a share `left` of the frames is still to come: the first has lr, none has 0."""
    return recipe.lr * min(1.0, left + recipe.worlds * recipe.rollout / recipe.frames)


def normalised(images: Images) -> Images:
    """From [0, 1] to [-1, 1]."""
    return (images - CENTRE) / SPREAD


class _PooledFeatures(BaseFeaturesExtractor):
    """The means over space of what the network sees in the image; the mask is not looked at."""

    def __init__(self, observation_space: spaces.Space[Any], channels: int) -> None:
        super().__init__(observation_space, channels)
        self.features: nn.Module = local_features(channels)

    def forward(self, observations: dict[str, Tensor]) -> Tensor:
        grid: Tensor = self.features(normalised(observations["image"]))
        return grid.mean((2, 3))


class _Watched(BaseCallback):
    """A bar of the frames."""

    def __init__(self, bar: Any) -> None:
        super().__init__()
        self.bar = bar

    def _on_step(self) -> bool:
        self.bar.update(self.training_env.num_envs)
        return True


@contextmanager
def _random_state_kept() -> Iterator[None]:
    """Stable-baselines3 seeds the process: Python's, numpy's and torch's generators are put back as they were."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - the legacy one is what is seeded
    try:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
