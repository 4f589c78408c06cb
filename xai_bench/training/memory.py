"""A training that is killed goes on: all that its next epoch depends on lies in one file, whole or not at all."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from xai_bench.errors import TrainingError
from xai_bench.training.loop import Epoch, Keeper, Learning
from xai_bench.whole import write_whole

METADATA_KEY = "xai_bench_training"


@dataclass(frozen=True)
class Memory(Keeper):
    """Weights, the optimiser's state, random states and figures, written after every epoch as safetensors.

    The rate is among what the optimiser knows of its groups. The order of examples and what augmentation does to each
    are functions of the seed and the epoch: nothing of them needs to be written. `after` is told the epochs once they
    are safe.
    """

    path: Path
    configuration: Mapping[str, Any]  # JSON; what the training is, for who looks at the file
    after: Callable[[Sequence[Epoch]], None] = lambda _: None

    def recall(self, learning: Learning) -> list[Epoch]:
        if not self.path.is_file():
            return []
        found, tensors = read_memory(self.path)
        own = {name.removeprefix("module."): value for name, value in tensors.items() if name.startswith("module.")}
        learning.module.load_state_dict(own)
        _refill(learning.optimiser, found["optimiser"], tensors)
        torch.set_rng_state(tensors["random.cpu"])
        for index in range(torch.cuda.device_count()):
            if (state := tensors.get(f"random.cuda{index}")) is not None:
                torch.cuda.set_rng_state(state, index)
        return [Epoch(**epoch) for epoch in found["epochs"]]

    def keep(self, learning: Learning, epochs: Sequence[Epoch]) -> None:
        state = learning.optimiser.state_dict()
        moments, others = _flattened(state["state"], "optimiser")
        shared, groups = _flattened(dict(enumerate(state["param_groups"])), "group")
        tensors = {f"module.{name}": value for name, value in learning.module.state_dict().items()} | moments | shared
        tensors["random.cpu"] = torch.get_rng_state()
        for index in range(torch.cuda.device_count()):
            tensors[f"random.cuda{index}"] = torch.cuda.get_rng_state(index)
        content = {
            "configuration": self.configuration,
            "optimiser": {"groups": groups, "values": others},
            "epochs": [epoch._asdict() for epoch in epochs],
        }
        plain = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write_whole(self.path, save(plain, {METADATA_KEY: json.dumps(content)}))
        except OSError as error:
            raise TrainingError(
                f"{str(self.path)!r} cannot be written: {error.strerror}; the epochs before are kept"
            ) from error
        self.after(epochs)


def read_memory(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What a file of Memory says and holds. Raises TrainingError where it is no such file, or damaged."""
    try:
        with safe_open(path, "pt") as file:
            found = json.loads((file.metadata() or {})[METADATA_KEY])
            return found, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise TrainingError(
            f"{str(path)!r} is no training that can go on ({error}); remove it to train this model from the start"
        ) from error


def _flattened(state: Mapping[int, Mapping[str, Any]], kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What an optimiser knows of each parameter or group, as tensors with names and whatever is no tensor."""
    tensors = {
        f"{kind}.{index}.{name}": value
        for index, values in state.items()
        for name, value in values.items()
        if isinstance(value, Tensor)
    }
    others = {
        str(index): {name: value for name, value in values.items() if not isinstance(value, Tensor)}
        for index, values in state.items()
    }
    return tensors, others


def _refill(optimiser: torch.optim.Optimizer, found: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Any]] = {int(index): dict(values) for index, values in found["values"].items()}
    groups: dict[int, dict[str, Any]] = {int(index): dict(values) for index, values in found["groups"].items()}
    for key, value in tensors.items():
        kind, _, rest = key.partition(".")
        index, _, name = rest.partition(".")
        if kind == "optimiser":
            state[int(index)][name] = _laid_out(value, parameters[int(index)])
        elif kind == "group":
            groups[int(index)][name] = value
    optimiser.load_state_dict({"state": state, "param_groups": [groups[index] for index in sorted(groups)]})


def _laid_out(value: Tensor, like: nn.Parameter) -> Tensor:
    """In the parameter's order of memory, in which the optimiser made it: sums may round otherwise in another."""
    return torch.empty_like(like, dtype=value.dtype, device="cpu").copy_(value) if value.shape == like.shape else value
