"""HiT: a transformer whose class token reads patches that never mix, so that its logits are sums over patches."""

import math
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, cast

import torch
from jaxtyping import Float
from timm.layers.drop import DropPath
from timm.layers.mlp import Mlp
from timm.layers.weight_init import trunc_normal_
from torch import Tensor, nn
from torch.nn import functional

from xai_bench.errors import InvalidValueError

Inputs = Float[Tensor, "B 3 H W"]  # normalised images
Token = Float[Tensor, "B 1 D"]
Patches = Float[Tensor, "B h w D"]
Number = float | int
EPSILON = 1e-6  # of the layer norms, as in the authors' code

# What `hit:NAME` stands for: the authors' HiT-B, its variant without pooling, and a small one of ours.
ARCHITECTURES: Mapping[str, Mapping[str, Any]] = {
    "base_patch8": {"img_size": 224, "patch_size": 8, "dim": 768, "depths": (4, 4, 4), "heads": 12},
    "base_patch16": {"img_size": 224, "patch_size": 16, "dim": 768, "depths": (12,), "heads": 12},
    "tiny": {"img_size": 64, "patch_size": 8, "dim": 64, "depths": (2, 2), "heads": 4},
}


class Contributions(NamedTuple):
    """What each patch adds to each logit, and what no patch brings; together they are the logits."""

    patches: Float[Tensor, "B K h w"]
    constant: Float[Tensor, "B K"]  # the first class token, every bias, the head's too, and the mean where it is even


class HinderedBlock(nn.Module):
    """The class token takes attention over the patches, then each patch passes an MLP of its own.

    One norm serves class token and patches, as in the authors' code. The MLP of the last block would be read by nobody
    and is left out.
    """

    def __init__(self, dim: int, heads: int, mlp_ratio: Number, dropout: Number, drop_path: Number, *, last: bool):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm1 = nn.LayerNorm(dim, eps=EPSILON)
        self.query, self.key_value, self.proj = nn.Linear(dim, dim), nn.Linear(dim, 2 * dim), nn.Linear(dim, dim)
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()
        self.norm2 = None if last else nn.LayerNorm(dim, eps=EPSILON)
        self.mlp = None if last else Mlp(dim, int(mlp_ratio * dim))

    def forward(self, token: Token, patches: Patches) -> tuple[Token, Patches]:
        query, key, value = self._heads(token, patches)
        read = functional.scaled_dot_product_attention(
            query, key, value, dropout_p=self.dropout if self.training else 0.0
        )
        return token + self.drop_path(self.proj(read.transpose(1, 2).flatten(2))), self.onward(patches)

    def onward(self, patches: Patches) -> Patches:
        """The patches that the next block reads."""
        if self.mlp is None or self.norm2 is None:
            return patches
        return patches + cast("Tensor", self.drop_path(self.mlp(self.norm2(patches))))

    def shares(self, token: Token, patches: Patches) -> Patches:
        """What each patch adds to the class token; the bias of `proj` is nobody's."""
        query, key, value = self._heads(token, patches)
        attention = (query @ key.transpose(2, 3) / math.sqrt(query.shape[3])).softmax(3)  # (B, heads, 1, N)
        read = (attention.transpose(2, 3) * value).transpose(1, 2).flatten(2)  # (B, N, D)
        return functional.linear(read, self.proj.weight).view_as(patches)

    def _heads(self, token: Token, patches: Patches) -> list[Tensor]:
        """Query (B, heads, 1, d), key and value (B, heads, N, d)."""
        asked = self.query(self.norm1(token))
        # the norm sees the patches last, in their grid: that is where hooks of CAM methods look
        key, value = self.key_value(self.norm1(patches)).flatten(1, 2).chunk(2, dim=2)
        return [part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in (asked, key, value)]


class HinderedTransformer(nn.Module):
    """(B, 3, H, W) normalised images to (B, K) logits, each of which is exactly a sum over patches.

    `depths` are the blocks of each stage; between stages, patches are averaged 2 x 2. Reduced against the authors' HiT:
    one width in all stages (as in HiT-B), no dropout but in attention. `img_size` is fixed, since places are learnt.
    Raises InvalidValueError where sizes do not divide.

    Source: Jeanneret et al. 2025, arXiv:2502.17196 (HiT), read from the authors' code. There the class token's own
    place embedding is missing from the map of the variant without pooling; here there is none, so the sum is exact.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        img_size: int | tuple[int, int] = 224,
        patch_size: int = 8,
        dim: int = 768,
        depths: tuple[int, ...] | list[int] = (4, 4, 4),
        heads: int = 12,
        mlp_ratio: Number = 4,
        attention_dropout: Number = 0.0,
        drop_path: Number = 0.0,
    ) -> None:
        super().__init__()
        size = (img_size, img_size) if isinstance(img_size, int) else tuple(img_size)
        self.grid = _grid(size, patch_size, depths)
        if dim % heads:
            raise InvalidValueError(f"dim must be a multiple of heads, got {dim} and {heads}")
        self.img_size, self.num_classes = size, num_classes
        self.embed = nn.Conv2d(3, dim, patch_size, stride=patch_size)
        self.token = nn.Parameter(torch.empty(1, 1, dim))
        self.places = nn.Parameter(torch.empty(1, *self.grid, dim))
        last = sum(depths) - 1
        self.blocks = nn.ModuleList(
            HinderedBlock(dim, heads, mlp_ratio, attention_dropout, drop_path, last=number == last)
            for number in range(last + 1)
        )
        self.pooled = frozenset(sum(depths[:stage]) for stage in range(1, len(depths)))  # before these blocks
        self.norm = nn.LayerNorm(dim, eps=EPSILON)
        self.head = nn.Linear(dim, num_classes)
        self.feature_info = [{"module": f"blocks.{last}.norm1", "num_chs": dim}]  # where CAM methods look
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weights as timm draws a vision transformer's, from torch's random state."""
        for part in self.modules():
            if isinstance(part, nn.Linear):
                trunc_normal_(part.weight, std=0.02)
                nn.init.zeros_(part.bias)
        trunc_normal_(self.token, std=0.02)
        trunc_normal_(self.places, std=0.02)

    def extra_repr(self) -> str:
        return f"heads={self.blocks[0].heads}, pooled before {sorted(self.pooled)}"

    def forward(self, images: Inputs) -> Float[Tensor, "B K"]:
        token, patches = self._embedded(images)
        for number, block in enumerate(self.blocks):
            token, patches = block(token, self._read_by(number, patches))
        return cast("Tensor", self.head(self.norm(token[:, 0])))

    def contributions(self, images: Inputs, centring: Literal["even", "own"] = "even") -> Contributions:
        """What each patch of the first stage adds to each logit, in eval mode; gradients flow.

        A patch of a later stage is shared out evenly among those that were averaged into it. The final norm divides all
        by the class token's standard deviation and takes its mean off: an even part from each patch, as in the authors'
        code, or from each patch its `own`, so that one that moves all channels alike adds nothing. The sum is the same.
        """
        constant, patches = self._embedded(images)
        token, added = constant, torch.zeros_like(patches)
        for number, block in enumerate(cast("list[HinderedBlock]", self.blocks)):
            patches = self._read_by(number, patches)
            shares = block.shares(token, patches)
            added = added + self._shared_out(shares)
            constant = constant + block.proj.bias
            token = token + shares.sum((1, 2))[:, None] + block.proj.bias
            patches = block.onward(patches)
        spread = (token.var(2, correction=0, keepdim=True) + EPSILON).sqrt()
        rows = self.head.weight * self.norm.weight  # (K, D)
        if centring == "own":
            rows = rows - rows.mean(1, keepdim=True)
        patchwise = functional.linear(added / spread[:, None], rows)
        even = functional.linear((constant - token.mean(2, keepdim=True)) / spread, rows)[:, 0]
        return Contributions(patchwise.permute(0, 3, 1, 2), even + self.head(self.norm.bias))

    def _embedded(self, images: Inputs) -> tuple[Token, Patches]:
        if tuple(images.shape[2:]) != self.img_size:
            raise InvalidValueError(
                f"a hindered transformer for images of {self.img_size[0]} x {self.img_size[1]} got "
                f"{images.shape[2]} x {images.shape[3]}; build it with another img_size"
            )
        patches = self.embed(images).permute(0, 2, 3, 1) + self.places
        return self.token.expand(len(images), -1, -1), patches

    def _read_by(self, number: int, patches: Patches) -> Float[Tensor, "B _ _ D"]:
        if number not in self.pooled:
            return patches
        return functional.avg_pool2d(patches.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)

    def _shared_out(self, shares: Patches) -> Float[Tensor, "B _ _ D"]:
        times = self.grid[0] // shares.shape[1]
        return shares.repeat_interleave(times, 1).repeat_interleave(times, 2) / times**2


def _grid(size: tuple[int, ...], patch_size: int, depths: tuple[int, ...] | list[int]) -> tuple[int, int]:
    """Rows and columns of the first stage's patches."""
    if not depths or min(depths) < 1:
        raise InvalidValueError(f"depths must be whole numbers from 1, one for each stage, got {list(depths)!r}")
    cell = patch_size * 2 ** (len(depths) - 1)
    if any(side % cell for side in size):
        raise InvalidValueError(
            f"images of {size[0]} x {size[1]} cannot be cut into patches of {patch_size} and averaged "
            f"{len(depths) - 1} times; both sides must be multiples of {cell}"
        )
    return size[0] // patch_size, size[1] // patch_size
