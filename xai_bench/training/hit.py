"""HiT: a hindered transformer, by cross-entropy (section 6.9)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from xai_bench.training.lesson import Objective
from xai_bench.training.plain import classification
from xai_bench.training.trainer import Trainer
from xai_bench.types import Card


@dataclass(frozen=True, kw_only=True)
class Hit(Trainer):
    """A transformer whose logits are sums over patches, all of it by cross-entropy from new weights.

    `backbone` is one of `intrinsic.ARCHITECTURES`; what is None is as there. The authors train 600 epochs with AdamW
    8e-4 and weight decay 0.05 on 8 GPUs; nothing of that is a default here.
    """

    card: ClassVar[Card] = Card(
        "hit",
        source="Jeanneret et al. 2025, arXiv:2502.17196, from the authors' code",
        summary="a transformer whose logits are sums over patches",
        needs=frozenset({"labels"}),
    )
    scheme: ClassVar[str] = "hit"

    backbone: str = "tiny"
    patch_size: int | None = None
    dim: int | None = None
    depths: tuple[int, ...] | None = None  # blocks of each stage; 2 x 2 averaging between stages
    heads: int | None = None
    attention_dropout: float = 0.0
    drop_path: float = 0.0

    def architecture(self) -> Mapping[str, Any]:
        names = ("patch_size", "dim", "depths", "heads", "attention_dropout", "drop_path")
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    def objective(self, module: nn.Module) -> Objective:  # noqa: ARG002 - any classifier will do
        return classification
