"""What is kept of the logits of an altered image: four numbers that give every output scalar."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from xai_bench.types import Logits, Output, Targets


class Readout(NamedTuple):
    """The target's logit against the others', any leading shape."""

    target: Tensor  # logit of the target
    others: Tensor  # log-sum-exp of the other logits
    runner_up: Tensor  # highest other logit
    predicted: Tensor  # class of the highest logit

    def scalar(self, output: Output) -> Tensor:
        """The output as float64: `logit`, `probability` (softmax), `log_odds` (log p / (1 - p)) or `margin`."""
        target, others, runner_up = self.target.double(), self.others.double(), self.runner_up.double()
        match output:
            case "logit":
                return target
            case "probability":
                return torch.sigmoid(target - others)
            case "log_odds":
                return target - others
            case "margin":
                return target - runner_up


def read(logits: Logits, targets: Targets) -> Readout:
    """Read (B, K) logits at (B,) targets."""
    column = targets[:, None]
    others = logits.scatter(1, column, -math.inf)
    return Readout(logits.gather(1, column)[:, 0], others.logsumexp(1), others.amax(1), logits.argmax(1))
