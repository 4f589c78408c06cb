"""Groups of classes: those that an explanation speaks of, and those it is set against."""

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from xai_bench.errors import DataError, InvalidValueError
from xai_bench.keys import digest
from xai_bench.types import Logits, Targets

# so many classes that the clean image scores highest; these classes; or a JSON file of {name: [classes]}
Group = int | tuple[int, ...] | str
Members = Bool[Tensor, "B K"]


def check_group(group: Group, what: str) -> None:
    """Refuse a group without classes, and a file that is not one of groups."""
    if isinstance(group, str):
        _groups(group)
    elif isinstance(group, int) and group < 1:
        raise InvalidValueError(f"{what} must hold at least 1 class, got {group}")
    elif isinstance(group, tuple) and (not group or min(group) < 0 or len(set(group)) < len(group)):
        raise InvalidValueError(f"{what} must be different classes, at least one, got {group!r}")


def fingerprint(group: Group) -> str:
    """What stands in a spec for a file: its contents, so that another file of the same name is another metric."""
    return digest(*map(repr, _groups(group))) if isinstance(group, str) else "as given"


@dataclass(frozen=True)
class Ranked:
    """The classes of each image as its clean logits rank them, the target first whatever its logit."""

    logits: Logits  # (B, K)
    targets: Targets

    def first(self, group: Group) -> Members:
        """The group that an explanation of the target speaks of; from a file, the one that holds the target."""
        return self._chosen(group, torch.zeros_like(self.logits, dtype=torch.bool), self.targets)

    def against(self, group: Group, first: Members) -> Members:
        """The group it is set against; of a file, the one that holds the highest class outside the first group."""
        runner_up = self._open(first).argmax(1)
        return self._chosen(group, first, runner_up)

    def runner_up(self) -> Targets:
        """The highest class that is not the target."""
        return self._open(self._members(self.targets[:, None])).argmax(1)

    def _chosen(self, group: Group, taken: Members, lead: Targets) -> Members:
        classes = self.logits.shape[1]
        match group:
            case int():
                scores = self._open(taken).scatter(1, lead[:, None], torch.inf).masked_fill(taken, -torch.inf)
                return self._members(scores.topk(min(group, classes), dim=1).indices) & ~taken
            case tuple():
                return self._members(_listed(group, classes, self.targets).expand(len(self.targets), -1))
            case str():
                table = [_listed(each, classes, self.targets)[0] for each in _groups(group)]
                members = [next((each for each in table if (each == one).any()), table[0][:0]) for one in lead]
                return torch.cat([self._members_of_one(each) for each in members])

    def _open(self, taken: Members) -> Float32[Tensor, "B K"]:
        return self.logits.float().masked_fill(taken, -torch.inf)

    def _members(self, classes: Tensor) -> Members:
        return torch.zeros_like(self.logits, dtype=torch.bool).scatter_(1, classes, value=True)

    def _members_of_one(self, classes: Tensor) -> Members:
        none = self.logits.new_zeros(1, self.logits.shape[1], dtype=torch.bool)
        return none.scatter_(1, classes[None], value=True)


def _listed(group: tuple[int, ...], classes: int, like: Targets) -> Tensor:
    if max(group) >= classes:
        raise InvalidValueError(f"class {max(group)} of a group is outside the classes 0 to {classes - 1} of the model")
    return like.new_tensor(group)[None]


@lru_cache(maxsize=16)
def _groups(path: str) -> tuple[tuple[int, ...], ...]:
    """The groups of a JSON file {name: [classes]}, in its order."""
    try:
        table = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read groups of classes from {path!r}: {error}") from error
    good = isinstance(table, dict) and table and all(map(_is_group, table.values()))
    if not good:
        raise DataError(f"groups of classes in {path!r} must be a JSON table of lists of class numbers")
    return tuple(map(tuple, table.values()))


def _is_group(group: object) -> bool:
    return isinstance(group, list) and bool(group) and all(type(one) is int and one >= 0 for one in group)
