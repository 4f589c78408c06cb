"""ErsmModel: a frozen backbone, one energy mask after its last feature map, and a linear head."""

from typing import Protocol, cast

from torch import Tensor, nn

from xai_bench.errors import InvalidValueError
from xai_bench.ersm.layer import EnergyMask, Masked


class _Backbone(Protocol):
    def forward_features(self, images: Tensor) -> Tensor: ...
    def reset_classifier(self, num_classes: int) -> None: ...


class ErsmModel(nn.Module):
    """backbone -> EnergyMask -> global average pool -> linear head; takes normalised images, gives (B, K) logits.

    The backbone is a convolutional network as timm makes them: `forward_features` gives (B, C, h, w). Its own
    classifier is removed and its parameters are frozen. With a mask of mode `reference`, `train()` reaches it, so
    that the statistics of its batch norms drift while the head learns, as published; with `stable` it stays in eval.
    `masked` passes the masked features on unchanged: the place for hooks (CAM).
    """

    def __init__(self, backbone: nn.Module, *, num_classes: int, mask: EnergyMask) -> None:
        if not hasattr(backbone, "forward_features"):
            raise InvalidValueError(
                f"backbone must have forward_features, as timm's convolutional models do, got {type(backbone).__name__}"
            )
        if (channels := getattr(backbone, "num_features", mask.channels)) != mask.channels:
            raise InvalidValueError(f"the backbone gives {channels} channels, but the mask is for {mask.channels}")
        super().__init__()
        if getattr(backbone, "num_classes", 0):
            cast("_Backbone", backbone).reset_classifier(0)
        self.backbone = backbone.requires_grad_(requires_grad=False)
        self.mask = mask
        self.masked = nn.Identity()
        self.head = nn.Linear(mask.channels, num_classes)
        self.train(self.training)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, (B, K)."""
        return self.forward_masked(images)[0]

    def forward_masked(
        self,
        images: Tensor,
        forced: Tensor | None = None,
        *,
        compensate: bool = False,
    ) -> tuple[Tensor, Masked]:
        """Logits with what the mask did; `forced` (B, h, w) replaces the soft mask (token deletion)."""
        return self.classify(self.features(images), forced, compensate=compensate)

    def features(self, images: Tensor) -> Tensor:
        """The backbone's last feature map, (B, C, h, w), before the mask."""
        return cast("_Backbone", self.backbone).forward_features(images)

    def classify(
        self,
        features: Tensor,
        forced: Tensor | None = None,
        *,
        compensate: bool = False,
    ) -> tuple[Tensor, Masked]:
        """The same from the backbone's features."""
        out: Masked = self.mask(features, forced, compensate)
        return self.head(self.masked(out.features).mean((2, 3))), out

    def train(self, mode: bool = True) -> "ErsmModel":  # noqa: FBT001, FBT002
        """As nn.Module's, but the backbone of a `stable` model stays in eval mode."""
        super().train(mode)
        if self.mask.mode == "stable":
            self.backbone.eval()
        return self
