"""What a keep map looks like: how much it keeps, how evenly, and whether it keeps the object."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from xai_bench.ersm.layer import Cells
from xai_bench.explainers.upsample import upsample
from xai_bench.types import Regions

EPSILON = 1e-6  # of the published code (section 1.5 d)
BINS = 50
ON, OFF = 0.5, 0.0  # share of a token that the object covers: above ON it is the object's, at OFF the background's


def entropy(keep: Float[Tensor, "B N"]) -> Float[Tensor, " B"]:
    """Entropy in nats of a mask's shares q = k / (sum k + 1e-6): -sum q log(q + 1e-6), log N where it is flat."""
    shares = keep / (keep.sum(1, keepdim=True) + EPSILON)
    return -(shares * (shares + EPSILON).log()).sum(1)


def active(keep: Float[Tensor, "B N"]) -> Float[Tensor, " B"]:
    """Share of tokens kept with a probability above one half."""
    return (keep > 0.5).double().mean(1)


def histogram(keep: Float[Tensor, "B N"]) -> Float[Tensor, " bins"]:
    """Share of all tokens in each of 50 bins of keep probability over [0, 1]."""
    return torch.histc(keep.float().cpu(), BINS, 0, 1).double() / keep.numel()


def over_its_highest(cam: Float[Tensor, "B N"]) -> Float[Tensor, "B N"]:
    """A class activation map over its highest value, as it is compared with a mask; 0 where it has none."""
    highest = cam.amax(1, keepdim=True)
    return torch.where(highest > 0, cam / highest.where(highest > 0, 1), 0)


def covered(regions: Regions, shape: tuple[int, int]) -> Float[Tensor, "B h w"]:
    """Share of each token's pixels that lie on the object."""
    return functional.adaptive_avg_pool2d(regions[:, None].float(), shape)[:, 0]


def told_apart(keep: Cells, share: Float[Tensor, "B h w"]) -> Float[Tensor, " B"]:
    """Probability that a token of the object is kept more than one of the background, ties half: the area under ROC.

    0.5 knows nothing, however much or little is kept. nan where an image has no token of the one or the other kind.
    """
    values, on, off = keep.flatten(1).double(), (share > ON).flatten(1), (share <= OFF).flatten(1)
    higher = _pairs(values[:, :, None] > values[:, None], on, off)
    ties = _pairs(values[:, :, None] == values[:, None], on, off)
    return (higher + ties / 2) / (on.sum(1) * off.sum(1))


def _pairs(holds: Bool[Tensor, "B N N"], on: Bool[Tensor, "B N"], off: Bool[Tensor, "B N"]) -> Float[Tensor, " B"]:
    return (holds & on[:, :, None] & off[:, None]).sum((1, 2)).double()


class Reach(NamedTuple):
    """How much of each token, upsampled, comes to lie on the object, and how much on all pixels that count."""

    on: Float[Tensor, "B h w"]
    all: Float[Tensor, "B h w"]

    def share(self, cells: Cells) -> Float[Tensor, " B"]:
        """Share of a map's sum that lies on the object: `energy_pointing_game` of a map on the grid without signs.

        Upsampling is linear, so that no map has to be upsampled. nan where a map is 0 everywhere.
        """
        values = cells.double()
        return (values * self.on).sum((1, 2)) / (values * self.all).sum((1, 2))


def reach(regions: Regions, ignore: Regions | None, shape: tuple[int, int]) -> Reach:
    """The upsampling of the explainers, read backwards."""
    cells = torch.zeros(len(regions), *shape, requires_grad=True)
    with torch.enable_grad():
        maps = upsample(cells, regions[:, None].expand(-1, 3, -1, -1).float())
        counted = torch.ones_like(regions) if ignore is None else ~ignore
        sums = ((maps * part).sum() for part in (regions & counted, counted))
        return Reach(*(torch.autograd.grad(total, cells, retain_graph=True)[0].double() for total in sums))


def on_and_off(keep: Cells, share: Float[Tensor, "B h w"]) -> tuple[Float[Tensor, " B"], Float[Tensor, " B"]]:
    """Mean keep of the object's tokens and of the background's; nan where there are none."""
    on, off = share > ON, share <= OFF
    return (keep.double() * on).sum((1, 2)) / on.sum((1, 2)), (keep.double() * off).sum((1, 2)) / off.sum((1, 2))


class Blind(nn.Module):
    """Localisation reads no output of a model: this one gives none, at no cost."""

    def forward(self, images: Tensor) -> Tensor:
        return images.new_zeros(len(images), 2)
