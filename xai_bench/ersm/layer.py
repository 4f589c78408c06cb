"""EnergyMask: scores every cell of a feature map by an energy and fades out the expensive ones (ERSM, section 1.1)."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from xai_bench.errors import InvalidValueError

Number = float | int  # the tests' type checker takes 1 for no float
Cells = Float[Tensor, "B h w"]  # one number per token
Features = Float[Tensor, "B C H W"]
Tokens = Float[Tensor, "B D h w"]  # D = C p^2

MODES = ("reference", "stable")
PUBLISHED_BIAS = 6.0  # the mask starts almost closed: keep = sigmoid(-6) = 0.0025
OPEN_BIAS = -6.0
EPSILON = 1e-6  # of the unit vectors


class Masked(NamedTuple):
    """What the layer gives back; `keep` is the mask that was applied, so `forced` where one was given."""

    features: Features
    keep: Cells  # sigmoid(-logit / temperature), high = kept
    logit: Cells  # z = <w, u> + b, high = dropped
    energy: Cells  # unary + pairwise price of keeping the token


class EnergyMask(nn.Module):
    """Multiplies each p x p cell of a (B, C, H, W) feature map by its probability of being worth its energy.

    `reference` is the published layer: the bias stays 6.0 (there it is created after the optimiser, and never moves).
    `stable` is ours: a learnable bias that starts at `start` (default -6, open), so that strong weights cannot keep a
    mask closed that never opened. Half-precision features are masked by numbers computed in float32.
    A wrong parameter, channel count, size or forced mask raises InvalidValueError.

    Source: arXiv 2604.06893, read from the authors' code. The pairwise term holds features only: it is a price on
    tokens that resemble their neighbours, and not a smoothness of the mask.
    """

    bias: Tensor  # one scalar

    def __init__(
        self,
        channels: int,
        patch_size: int = 1,
        unary_weight: Number = 1e-3,
        pairwise_weight: Number = 1e-3,
        temperature: Number = 1.0,
        mode: str = "reference",
        start: Number | None = None,
    ) -> None:
        _check_counts(channels=channels, patch_size=patch_size)
        _check_weights(unary_weight=unary_weight, pairwise_weight=pairwise_weight)
        if not (_is_number(temperature) and temperature > 0):
            raise InvalidValueError(f"temperature must be above 0, got {temperature!r}")
        super().__init__()
        self.channels, self.patch_size = channels, patch_size
        self.unary_weight, self.pairwise_weight, self.temperature = unary_weight, pairwise_weight, temperature
        self.mode = mode
        self.start = _first_bias(mode, start)
        self.weight = nn.Parameter(torch.empty(channels * patch_size**2))
        bias = torch.empty(())
        if mode == "stable":
            self.bias = nn.Parameter(bias)
        else:
            self.register_buffer("bias", bias)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the weight as nn.Linear would, from torch's random state, and put the bias back to its start."""
        nn.init.kaiming_uniform_(self.weight[None], a=math.sqrt(5))
        self.bias.fill_(self.start)

    def forward(self, features: Tensor, forced: Tensor | None = None, compensate: bool = False) -> Masked:  # noqa: FBT001, FBT002
        """Mask (B, C, H, W) features; `forced` (B, h, w) replaces the soft mask, `compensate` scales by N / kept."""
        tokens = self._tokens(features)
        units = tokens / (torch.linalg.vector_norm(tokens, dim=1, keepdim=True) + EPSILON)
        logit = (units * self.weight[:, None, None]).sum(1) + self.bias
        keep = torch.sigmoid(-logit / self.temperature) if forced is None else _as_mask(forced, logit)
        scale = _compensated(keep) if compensate else keep
        return Masked(self._faded(scale, features), keep, logit, self._energy(logit, units))

    def regulariser(self, out: Masked) -> Float[Tensor, ""]:
        """What the loss adds to the cross-entropy: the energy that was kept, mean over batch and tokens."""
        return (out.keep * out.energy).mean()

    def extra_repr(self) -> str:
        names = ("channels", "patch_size", "unary_weight", "pairwise_weight", "temperature", "mode")
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in names)

    def _tokens(self, features: Tensor) -> Tokens:
        if features.ndim != 4 or features.shape[1] != self.channels:
            raise InvalidValueError(f"features must be (B, {self.channels}, H, W), got {tuple(features.shape)}")
        height, width = features.shape[2:]
        if height % self.patch_size or width % self.patch_size:
            raise InvalidValueError(
                f"a feature map of {height} x {width} cannot be cut into patches of patch_size {self.patch_size}; "
                "both sides must be multiples of it"
            )
        exact = features.to(torch.promote_types(features.dtype, torch.float32))
        return functional.pixel_unshuffle(exact, self.patch_size)  # channels in unfold's order: (C, p, p)

    def _energy(self, logit: Cells, units: Tokens) -> Cells:
        around = functional.avg_pool2d(units, 3, stride=1, padding=1, divisor_override=1) - units  # 8 neighbours
        pairwise = functional.softplus((units * around).sum(1))
        return self.unary_weight * functional.softplus(logit) + self.pairwise_weight * pairwise

    def _faded(self, scale: Cells, features: Features) -> Features:
        spread = functional.interpolate(scale[:, None], scale_factor=float(self.patch_size), mode="nearest-exact")
        return (features * spread).to(features.dtype)


def _first_bias(mode: str, start: Number | None) -> float:
    if mode not in MODES:
        raise InvalidValueError(f"mode must be 'reference' or 'stable', got {mode!r}")
    if start is not None and not _is_number(start):
        raise InvalidValueError(f"start must be a finite number, got {start!r}")
    if mode == "stable":
        return OPEN_BIAS if start is None else float(start)
    if start not in (None, PUBLISHED_BIAS):
        raise InvalidValueError(
            f"start must be left out or {PUBLISHED_BIAS} in mode 'reference', whose bias never moves, got {start!r}; "
            "mode 'stable' takes any"
        )
    return PUBLISHED_BIAS


def _check_counts(**counts: object) -> None:
    for name, count in counts.items():
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise InvalidValueError(f"{name} must be a whole number from 1, got {count!r}")


def _is_number(value: object) -> bool:
    """Finite; True is a number to Python, but no weight to a person."""
    return isinstance(value, float | int) and not isinstance(value, bool) and math.isfinite(value)


def _check_weights(**weights: Number) -> None:
    for name, weight in weights.items():
        if not (_is_number(weight) and weight >= 0):
            raise InvalidValueError(f"{name} must be 0 or more, got {weight!r}")


def _as_mask(forced: Tensor, logit: Cells) -> Cells:
    if forced.shape != logit.shape:
        raise InvalidValueError(f"forced must be (B, h, w) = {tuple(logit.shape)}, got {tuple(forced.shape)}")
    return forced.to(logit.device, logit.dtype)


def _compensated(keep: Cells) -> Cells:
    kept = keep.sum((1, 2), keepdim=True)
    count = keep.shape[1] * keep.shape[2]
    return keep * (count / kept.where(kept > 0, 1))  # an empty mask stays empty
