"""ErsmModel: a frozen backbone, one energy mask after its last feature map or an earlier one, and a linear head."""

from typing import Protocol, cast

from torch import Tensor, nn

from xai_bench.errors import InvalidValueError
from xai_bench.ersm.layer import EnergyMask, Masked
from xai_bench.ersm.stages import Cut, Stage, cut, run


class _Backbone(Protocol):
    def forward_features(self, images: Tensor) -> Tensor: ...
    def reset_classifier(self, num_classes: int) -> None: ...


class ErsmModel(nn.Module):
    """backbone -> EnergyMask -> global average pool -> linear head; takes normalised images, gives (B, K) logits.

    The backbone is a convolutional network as timm makes them: `forward_features` gives (B, C, h, w). Its own
    classifier is removed and its parameters are frozen. With a mask of mode `reference`, `train()` reaches it, so
    that the statistics of its batch norms drift while the head learns, as published; with `stable` it stays in eval.
    `masked` passes the masked features on unchanged: the place for hooks (CAM).

    `stage` puts the mask after an earlier feature map, and what is left of the backbone runs behind it, frozen too,
    with gradients flowing through: a name of timm's `feature_info` ("layer3"), its position (2, -1), or any other
    module where the backbone can be cut in two, or such a cut (see `stages.cut`). Only the default place is published.
    """

    def __init__(self, backbone: nn.Module, *, num_classes: int, mask: EnergyMask, stage: Stage | Cut = None) -> None:
        if not hasattr(backbone, "forward_features"):
            raise InvalidValueError(
                f"backbone must have forward_features, as timm's convolutional models do, got {type(backbone).__name__}"
            )
        place = _place(backbone, stage, mask.channels)
        if place.map[0] != mask.channels:
            raise InvalidValueError(f"the backbone gives {place.map[0]} channels, but the mask is for {mask.channels}")
        super().__init__()
        if getattr(backbone, "num_classes", 0):
            cast("_Backbone", backbone).reset_classifier(0)
        self.backbone = backbone.requires_grad_(requires_grad=False)
        self._cut = place
        self.mask = mask
        self.masked = nn.Identity()
        self.head = nn.Linear(place.features, num_classes)
        self.train(self.training)

    @property
    def last_map(self) -> str:
        """Dotted name of the module that gives the feature map which is pooled."""
        return f"backbone.{self._cut.rest[-1]}" if self._cut.rest else "masked"

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
        """The backbone's feature map before the mask, (B, C, h, w)."""
        if self._cut.front:
            return run(self.backbone, self._cut.front, images)
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
        last = run(self.backbone, self._cut.rest, self.masked(out.features))
        return self.head(last.mean((2, 3))), out

    def extra_repr(self) -> str:
        return f"mask behind {self._cut.front[-1]!r}" if self._cut.front else ""

    def train(self, mode: bool = True) -> "ErsmModel":  # noqa: FBT001, FBT002
        """As nn.Module's, but the backbone of a `stable` model stays in eval mode."""
        super().train(mode)
        if self.mask.mode == "stable":
            self.backbone.eval()
        return self


def _place(backbone: nn.Module, stage: Stage | Cut, channels: int) -> Cut:
    if isinstance(stage, Cut):
        return stage
    if stage is not None:
        return cut(backbone, stage)
    channels = getattr(backbone, "num_features", channels)  # as timm says, without a forward pass
    return Cut(map=(channels,), features=channels)
