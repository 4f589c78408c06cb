"""What each patch of a hindered transformer adds to the target's logit."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch.nn import functional

from xai_bench.adapters import VisionModel
from xai_bench.explainers.asked import Asked
from xai_bench.explainers.explainer import Explainer
from xai_bench.explainers.intrinsic.own import own, refusal
from xai_bench.intrinsic import HinderedTransformer
from xai_bench.types import ExplainerCard, Images, Maps, Targets


@dataclass(frozen=True)
class PatchContributions(Explainer):
    """The model's own sum, patch by patch: the map's values over patches add up to the target's logit.

    Each pixel has its patch's number (`nearest`, the authors'), or bilinear values between patch centres. `centring`
    says whose the final norm's mean is (`HinderedTransformer.contributions`). With `constant="spread"` what no patch
    brings, except the head's bias, is dealt out evenly, as in the authors' code; it changes no ranking within an image.
    With `"left_out"` a patch that nobody attends to has 0.
    """

    card: ClassVar = ExplainerCard(
        "patch_contributions",
        source="HiT, Jeanneret et al. 2025, arXiv:2502.17196",
        summary="what each patch of a hindered transformer adds to the logit",
        kind="intrinsic",
        family="intrinsic",
        passes="1 F",
    )

    resampling: Literal["nearest", "bilinear"] = "nearest"
    centring: Literal["even", "own"] = "even"
    constant: Literal["spread", "left_out"] = "spread"

    def unfit(self, model: VisionModel) -> str:
        return refusal(model, HinderedTransformer, self.card.name, "hit:")

    def __call__(self, model: VisionModel, images: Images, targets: Targets) -> Maps:
        module = own(model, HinderedTransformer, self.card.name, "hit:")
        with torch.no_grad():
            found = module.contributions(model.normalise(images), self.centring)
        rows = torch.arange(len(images), device=targets.device)
        patches, rest = found.patches, found.constant - module.head.bias
        if isinstance(model, Asked):  # the sum is linear, so that of a question is the question of the sums
            patches, rest = torch.einsum("bkhw,kq->bqhw", patches, model.questions), rest @ model.questions
        cells = patches[rows, targets]
        if self.constant == "spread":
            cells = cells + rest[rows, targets][:, None, None] / cells[0].numel()
        options = {"align_corners": False} if self.resampling == "bilinear" else {}
        return functional.interpolate(cells[:, None], images.shape[2:], mode=self.resampling, **options)[:, 0]
