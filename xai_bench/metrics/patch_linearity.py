"""Patch linearity: is what the model sees of some patches the sum of what it sees of each?"""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float64
from torch import Tensor, nn

from xai_bench.adapters import VisionModel
from xai_bench.engine import Case, Patch
from xai_bench.errors import InvalidValueError, UnsupportedError
from xai_bench.metrics.metric import Metric
from xai_bench.metrics.reasons import Reasons, combined
from xai_bench.removal import Fill, Removal
from xai_bench.types import MetricCard

SOURCE = "Balasubramanian & Feizi 2023, arXiv:2211.14646, experiment on linearity"


@dataclass(frozen=True)
class _Patches(Metric):
    """f of each patch shown alone against f of all of them shown together.

    f are the features that the classifier, the last linear layer, takes, as in the authors' code; or the logits.
    Computed in float32 by the model itself, whatever the run's precision.
    """

    facts: ClassVar = {"choice": "random, the same for every removal", "precision": "fp32"}

    removal: Removal = field(default_factory=Fill)
    side: int = 16  # pixels
    patches: int | Literal["all"] = 4
    of: Literal["features", "logits"] = "features"

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.patches, int) and self.patches < 2:
            raise InvalidValueError(f"patches of {self.card.name} must be at least 2 or 'all', got {self.patches}")
        Patch(self.side)

    def unfit(self, model: VisionModel) -> str:
        refusal = super().unfit(model)
        if self.of == "features" and not refusal and _classifier(model.module) is None:
            return f"model {model.label!r} has no linear layer whose input could be read; of='logits' needs none"
        return refusal

    def undefined(self, case: Case) -> Reasons:
        cells = case.partition(Patch(self.side)).width
        few = "" if cells >= self._number(cells) >= 2 else f"image has too few patches of {self.side} pixels: {cells}"
        together = torch.linalg.vector_norm(self.sums(case)[1], dim=1).tolist()
        blind = tuple("" if length else "model sees nothing in the patches" for length in together)
        return combined(super().undefined(case), (few,) * len(case.batch), blind)

    def sums(self, case: Case) -> tuple[Float64[Tensor, "B D"], Float64[Tensor, "B D"]]:
        """Sum of f over the patches, and f of all patches together, on the CPU."""
        seen = case.once(_name(self), lambda: self._seen(case))
        return seen[:, :-1].sum(1), seen[:, -1]

    @abstractmethod
    def __call__(self, case: Case) -> Tensor: ...

    def _number(self, cells: int) -> int:
        return cells if self.patches == "all" else self.patches

    def _keep(self, case: Case) -> Bool[Tensor, "B m H W"]:
        """Each patch alone, then all."""
        partition = case.partition(Patch(self.side))
        lots = case.scene.lots("patches", partition.counts)[:, : self._number(partition.width)]
        alone = torch.nn.functional.one_hot(lots, partition.width).bool()
        chosen = torch.cat([alone, alone.any(1, keepdim=True)], 1)
        return torch.stack([partition.pixels(row, each) for row, each in enumerate(chosen)])

    def _seen(self, case: Case) -> Float64[Tensor, "B m D"]:
        scene, keep = case.scene, self._keep(case)
        places = torch.arange(keep.shape[0] * keep.shape[1], device=keep.device)
        parts = []
        with torch.inference_mode(), scene.model.ready(), _reading(scene.model, self.of) as read:
            state = scene.state(self.removal)
            for part in torch.split(places, scene.engine.chunk):
                rows = part // keep.shape[1]
                visible = keep.flatten(0, 1)[part].float()
                held = None if state is None else state[rows]
                logits = self.removal.see(scene.model, scene.batch.images[rows], visible, held)
                parts.append(read(logits).double().cpu())
        return torch.cat(parts).view(*keep.shape[:2], -1)


@dataclass(frozen=True)
class PatchLinearity(_Patches):
    """Cosine between the sum of f over single patches and f of these patches together.

    Undefined where the image has fewer patches than are taken, and where f of all together is 0. The text speaks of
    four random patches; the authors' notebook, whose function overwrites that number, takes them all: `patches="all"`.
    Source: Balasubramanian & Feizi 2023, experiment on linearity, with patches of 16 and of 32 pixels.
    """

    card: ClassVar = MetricCard(
        "patch_linearity",
        source=SOURCE,
        summary="cosine between the features of patches together and the sum of each one's",
        better="higher",
        low=-1.0,
        high=1.0,
        family="removal",
        degree=0,
    )

    def undefined(self, case: Case) -> Reasons:
        apart = tuple(
            "" if length else "patches cancel out"
            for length in torch.linalg.vector_norm(self.sums(case)[0], dim=1).tolist()
        )
        return combined(super().undefined(case), apart)

    def __call__(self, case: Case) -> Tensor:
        return torch.cosine_similarity(*self.sums(case), 1, 0).clamp(-1, 1)


@dataclass(frozen=True)
class PatchLinearityError(_Patches):
    """Distance between the sum of f over single patches and f of these patches together, over the latter's length.

    Undefined as patch linearity is. Source: as there.
    """

    card: ClassVar = MetricCard(
        "patch_linearity_error",
        source=SOURCE,
        summary="relative distance between the features of patches together and the sum of each one's",
        better="lower",
        low=0.0,
        family="removal",
        degree=0,
    )

    def __call__(self, case: Case) -> Tensor:
        apart, together = self.sums(case)
        distance: Tensor = torch.linalg.vector_norm(apart - together, dim=1)
        length: Tensor = torch.linalg.vector_norm(together, dim=1)
        return distance / length


def _name(metric: _Patches) -> tuple[object, ...]:
    return "patches", metric.removal, metric.side, metric.patches, metric.of


def _classifier(module: nn.Module) -> nn.Linear | None:
    """The last linear layer."""
    found = [part for part in module.modules() if isinstance(part, nn.Linear)]
    return found[-1] if found else None


@contextmanager
def _reading(model: VisionModel, what: str) -> Iterator[Callable[[Tensor], Tensor]]:
    """From logits to what is read of the pass that gave them."""
    if what == "logits":
        yield lambda logits: logits
        return
    layer, seen = _classifier(model.module), list[Tensor]()
    if layer is None:
        raise UnsupportedError(f"model {model.label!r} has no linear layer whose input could be read")
    hook = layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        yield lambda _: seen.pop().flatten(1)
    finally:
        hook.remove()
