"""COMET: a selector says which pixels a predictor may see, and a frozen detector that nothing telling is left over."""

from dataclasses import dataclass
from typing import Literal, NamedTuple, cast

import torch
from jaxtyping import Float, Int64
from timm.layers.conv_bn_act import ConvNormAct
from torch import Tensor, nn
from torch.nn import functional

from xai_bench.errors import InvalidValueError, UnknownNameError

Inputs = Float[Tensor, "B 3 H W"]  # normalised images
Logits = Float[Tensor, "B K"]
Mask = Float[Tensor, "B H W"]  # in [0, 1], high = selected
Number = float | int
FORMS = ("code", "paper")


class Selected(NamedTuple):
    """The predictor's logits of what was selected, the mask, and the detector's logits of all the rest."""

    logits: Logits
    mask: Mask
    outside: Logits


class Selector(nn.Module):
    """A mask for each image: a small convolutional net down to an eighth of the sides, back to a quarter, upsampled.

    Ours and reduced: the authors take a segmentation network of torchvision (LR-ASPP on MobileNetV3 as coded).
    """

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        if width < 1:
            raise InvalidValueError(f"width of a selector must be a whole number from 1, got {width!r}")
        self.quarter = nn.Sequential(ConvNormAct(3, width, 3, stride=2), ConvNormAct(width, 2 * width, 3, stride=2))
        self.eighth = nn.Sequential(
            ConvNormAct(2 * width, 4 * width, 3, stride=2),
            ConvNormAct(4 * width, 4 * width, 3),
            ConvNormAct(4 * width, 4 * width, 3, dilation=2),
        )
        self.joined = ConvNormAct(6 * width, 2 * width, 3)
        self.score = nn.Conv2d(2 * width, 1, 1)

    def forward(self, images: Inputs) -> Mask:
        fine = self.quarter(images)
        wide = functional.interpolate(self.eighth(fine), fine.shape[2:], mode="bilinear", align_corners=False)
        score = self.score(self.joined(torch.cat([fine, wide], 1)))
        score = functional.interpolate(score, images.shape[2:], mode="bilinear", align_corners=False)
        return score[:, 0].sigmoid()


class CometModel(nn.Module):
    """(B, 3, H, W) normalised images to (B, K) logits, of the predictor on mask x image alone.

    What is not selected is 0 in normalised pixels, the mean colour. The detector is a trained classifier that stays as
    it is (eval mode, frozen); it has no part in the logits, and is kept with the model so that training can be resumed
    and completeness measured.
    """

    def __init__(self, selector: nn.Module, predictor: nn.Module, detector: nn.Module) -> None:
        super().__init__()
        self.selector, self.predictor = selector, predictor
        self.detector = detector.requires_grad_(requires_grad=False)
        self.train(self.training)

    def forward(self, images: Inputs) -> Logits:
        return cast("Tensor", self.predictor(self.selection(images)[:, None] * images))

    def selection(self, images: Inputs) -> Mask:
        """How much of each pixel the predictor sees."""
        return cast("Tensor", self.selector(images))

    def selected(self, images: Inputs) -> Selected:
        """All that the loss reads."""
        mask = self.selection(images)
        inside = self.predictor(mask[:, None] * images)
        return Selected(inside, mask, self.detector((1 - mask[:, None]) * images))

    def train(self, mode: bool = True) -> "CometModel":  # noqa: FBT001, FBT002
        """As nn.Module's, but the detector stays in eval mode."""
        super().train(mode)
        self.detector.eval()
        return self


@dataclass(frozen=True)
class CometLoss:
    """What selector and predictor minimise; P and D are the cross-entropies of predictor and detector.

    `code`: P + outside_weight max(0, P - D + gap) + area_weight R. `paper`: P - outside_weight D + area_weight R, which
    has no lower bound, since D has none above. R is how far each mask's mean is above `area`, a mean over images; the
    paper's own R was not found, so that the code's stands for both.
    Reduced: selector and predictor descend together. The authors let the predictor see P alone, whose gradient differs
    from this one's by a positive factor, as D does not depend on the predictor.
    Source: Zhang et al. 2024 (COMET), arXiv:2407.19308; numbers from the authors' configuration, except `area` (theirs
    0.6, the parser's default 0.2).
    """

    form: Literal["code", "paper"] = "code"
    outside_weight: Number = 4.0
    area_weight: Number = 100.0
    area: Number = 0.2  # share of the image that a mask may have for nothing
    gap: Number = 2.0  # by how much the detector must be worse than the predictor, in nats; form code

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise UnknownNameError.of("form of the COMET loss", self.form, FORMS)
        for name in ("outside_weight", "area_weight"):
            if not getattr(self, name) >= 0:
                raise InvalidValueError(f"{name} of the COMET loss must be 0 or more, got {getattr(self, name)!r}")
        if not 0 < self.area <= 1:
            raise InvalidValueError(f"area of the COMET loss must be a share in (0, 1], got {self.area!r}")

    def __call__(self, found: Selected, labels: Int64[Tensor, " B"]) -> Float[Tensor, ""]:
        inside = functional.cross_entropy(found.logits, labels)
        outside = functional.cross_entropy(found.outside, labels)
        excess = (found.mask.mean((1, 2)) - self.area).clamp(min=0).mean()
        told = (inside - outside + self.gap).clamp(min=0) if self.form == "code" else -outside
        return inside + self.outside_weight * told + self.area_weight * excess
