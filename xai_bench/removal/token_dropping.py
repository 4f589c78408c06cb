"""Token dropping: a transformer computes without the tokens of hidden patches."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from xai_bench.adapters import VisionModel
from xai_bench.catalogue import check_values
from xai_bench.errors import InvalidValueError, UnsupportedError
from xai_bench.removal.removal import Removal, State, refuse_soft
from xai_bench.removal.tokens import COVERED, Stays, Transformer, look, transformer, visible_share
from xai_bench.seeding import Noise
from xai_bench.types import Card, Images, Keep, Logits

TOLERANCE = 1e-3  # of the largest logit; half precision rounds its sums differently
ROUNDING = 1e-6  # in the share of a patch's pixels


@dataclass(frozen=True)
class TokenDropping(Removal):
    """Hidden patches are no tokens: dropped after the position embedding, as if the image had fewer patches.

    Tokens that are no patches (class, registers, distillation) stay, and pooling is over what stays. A patch that is
    partly hidden stays while at least `share` of its pixels are visible, its hidden pixels in the model's mean colour;
    else the visible ones are lost with it (ours). With no patch left the other tokens are all there is; a model whose
    head pools over patches only sees an image wholly in its mean colour then (ours). Knows only 0 and 1: a soft mask
    raises InvalidValueError. Other models than timm's VisionTransformer and Eva raise UnsupportedError.

    Source: Jain et al., ICLR 2022 (arXiv 2204.08945); masks of whole patches reproduce it.
    """

    card: ClassVar[Card] = Card(
        name="token_dropping",
        source="Jain et al. 2022 (2204.08945)",
        summary="a transformer computes without the tokens of removed patches",
    )
    soft: ClassVar[bool] = False

    share: float = 0.5  # of a patch's pixels, above 0

    def __post_init__(self) -> None:
        check_values(self)
        if not 0 < self.share <= 1:
            raise InvalidValueError(
                f"share of removal token_dropping must be above 0 and at most 1, got {self.share!r}"
            )

    def prepare(self, model: VisionModel, images: Images, noise: Noise) -> State:  # noqa: ARG002
        """Nothing to keep; one image tells whether the model's tokens can be dropped."""
        module = transformer(model)
        with model.ready(), torch.inference_mode():
            _check(model, module, images[:1])
        return None

    def see(self, model: VisionModel, images: Images, keep: Keep, state: State) -> Logits:  # noqa: ARG002
        refuse_soft(self, keep)
        module = transformer(model)
        visible = torch.where(keep[:, None] > 0, model.normalise(images), 0)
        return look(module, visible, self.stays(module, keep))

    def stays(self, module: Transformer, keep: Keep) -> Stays:
        """The patches of which enough is visible."""
        return (visible_share(module, keep) >= self.share - ROUNDING).flatten(1)


def _check(model: VisionModel, module: Transformer, images: Images) -> None:
    """With all tokens a model must give what it gives, and what is in dropped ones must not change that."""
    if not len(images):
        return
    inputs, share = model.normalise(images), visible_share(module, torch.ones_like(images[:, 0]))
    every_other = (torch.arange(share[0].numel(), device=share.device) % 2 == 0).view_as(share)
    dropped = ~_pixels(every_other, module, images)
    stays = torch.stack([torch.ones_like(every_other), every_other, every_other]).flatten(1)
    whole, half, other = look(module, torch.cat([inputs, inputs, torch.where(dropped, 1 - inputs, inputs)]), stays)
    got, expected = torch.stack([whole, half]), torch.stack([model(images)[0], other])
    scale = expected.nan_to_num().abs().max().item()  # nan is for the metrics to report
    if not torch.allclose(got, expected, rtol=0, atol=TOLERANCE * scale, equal_nan=True):
        raise UnsupportedError(
            f"model {model.label!r} does not compute as if dropped tokens were not there: another layer than attention "
            f"mixes its tokens; token dropping covers {COVERED}"
        )


def _pixels(patches: Tensor, module: Transformer, images: Images) -> Tensor:
    """(B, h, w) patches as (B, 1, H, W) pixels."""
    down, across = module.patch_embed.patch_size
    whole = patches.repeat_interleave(down, 1).repeat_interleave(across, 2)
    return whole[:, None, : images.shape[2], : images.shape[3]]
