"""ADCC: one number for drop, coherency and complexity, so that no map is good by showing everything."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float64
from torch import Tensor

from xai_bench.engine import Case
from xai_bench.engine.ranking import unrankable
from xai_bench.errors import UnsupportedError
from xai_bench.metrics.correlation import pearson
from xai_bench.metrics.reasons import Reasons, combined, unless
from xai_bench.metrics.soft_mask import SoftMasked, mask, relative_drop
from xai_bench.removal import PixelRemoval
from xai_bench.types import Maps, MetricCard


@dataclass(frozen=True)
class Adcc(SoftMasked):
    """Harmonic mean of coherency, 1 - complexity and 1 - average drop, one number per image.

    Coherency is (r + 1) / 2 with Pearson's r between the map and the explainer's map of the image under it, complexity
    the mean of the mask. One of the three at 0 makes the score 0. A table's mean is that of the images' scores;
    openvino_xai's figure is the score of three means, and the authors' published code multiplies where the paper
    divides. Undefined as average drop is, and where the map of the masked image is constant (the authors: 0).
    Source: Poppi et al. 2021: the defaults.
    """

    card: ClassVar = MetricCard(
        "adcc",
        source="Poppi et al. 2021, arXiv:2104.10252",
        summary="harmonic mean of coherency, 1 - complexity and 1 - average drop",
        needs=frozenset({"maps", "ranking", "explainer"}),
        better="higher",
        low=0.0,
        high=1.0,
        family="faithfulness",
        exempt={
            "monotone": "the map's values are the mask",
            "perfect": "a faithful map of a broad cause is complex",
        },
    )
    facts: ClassVar = {**SoftMasked.facts, "output": "probability", "mean": "of the images' scores"}

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.removal, PixelRemoval):
            raise UnsupportedError(
                f"metric 'adcc' explains the masked image, so its removal must change pixels, got "
                f"{self.removal.card.name!r}"
            )

    def undefined(self, case: Case) -> Reasons:
        known = combined(
            super().undefined(case),
            unless(case.scene.output("probability") > 0, "clean output is not positive"),
        )
        again = unrankable(self.explained(case))
        return combined(known, tuple(reason.replace("map", "map of the masked image", 1) for reason in again))

    def parts(self, case: Case) -> Float64[Tensor, "B 3"]:
        """Coherency, 1 - complexity and 1 - average drop, each in [0, 1], the higher the better."""
        flat = (each.flatten(1).double().cpu() for each in (case.maps, self.explained(case)))
        coherency = (pearson(*flat) + 1) / 2
        complexity = mask(case.maps, self.scaling).double().mean((1, 2)).cpu()
        drop = relative_drop(case.scene.output("probability"), self.shown(case, "probability"))
        return torch.stack([coherency, 1 - complexity, 1 - drop], 1)

    def explained(self, case: Case) -> Maps:
        """The explainer's maps of the images under their maps."""

        def explain() -> Maps:
            assert isinstance(self.removal, PixelRemoval)
            keep, state = mask(case.maps, self.scaling), case.scene.state(self.removal)
            return case.explained(self.removal.alter(case.batch.images, keep, state))

        return case.once(("explained", self.questions[0]), explain)

    def __call__(self, case: Case) -> Tensor:
        return 3 / (1 / self.parts(case)).sum(1)
