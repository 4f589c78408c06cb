"""How far a trajectory has been walked: which altered images it wants, which are known, what the model said of them."""

from functools import cached_property, lru_cache
from typing import NamedTuple

import torch
from jaxtyping import Bool, Int64
from torch import Tensor
from torch.nn import functional as F

from xai_bench.engine import adaptive
from xai_bench.engine.ranking import Ranks, counts
from xai_bench.engine.readout import Readout
from xai_bench.engine.trajectory import Curve, Trajectory
from xai_bench.types import Output

Key = tuple[object, int, int, int]  # removal, sample, and two sums over what is kept


class Altered(NamedTuple):
    """One altered image: what remains of a sample at a step of a walk."""

    row: int  # of the batch
    walk: int  # place in the list of walks that are carried out together
    step: int


class Walk:
    """The points of one trajectory for a whole batch."""

    def __init__(self, trajectory: Trajectory, ranked: Ranks, size: tuple[int, int]) -> None:
        self.trajectory, self.ranked, self.size = trajectory, ranked, size
        chosen = trajectory.steps == "adaptive"
        steps = adaptive.GRID if trajectory.steps == "adaptive" else trajectory.steps
        self.total = ranked[0].numel()
        self.fractions = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
        removed = torch.tensor(counts(steps, self.total))
        # What remains of a ranking: its first units (least relevant first) or its last
        self.edges = self.total - removed if trajectory.order == "lerf" else removed
        self.known = torch.zeros(len(ranked), steps + 1, dtype=torch.bool)
        self.wanted: Bool[Tensor, "B S"] | None = self.known.clone()
        self.wanted[:, adaptive.first() if chosen else slice(None)] = True
        self.readout: Readout | None = None

    @cached_property
    def keys(self) -> list[list[Key]]:
        """For each sample and step a name of what is altered and how; equal names mean equal altered images.

        A name holds two sums modulo 2^64 of random numbers, one number per visible pixel: two different masks have
        the same name with probability 2^-128. Where nothing is removed the image is the clean one, whatever the
        removal, unless the removal alters the forward pass.
        """
        order = self.ranked.flatten(1).long().expand(2, -1, -1)
        marks = _cell_marks(self.size, self.trajectory.patch).to(order.device)[:, None].expand_as(order)
        sums = F.pad(torch.empty_like(order).scatter_(2, order, marks).cumsum(2), (1, 0))
        edges = sums[:, :, self.edges.to(order.device)]
        kept = (edges if self.trajectory.order == "lerf" else sums[:, :, -1:] - edges).permute(1, 2, 0).tolist()
        untouched = (self.total if self.trajectory.order == "lerf" else 0) if self.trajectory.removal.soft else None
        return [
            [
                whole(row) if edge == untouched else (self.trajectory.removal, row, *marks)
                for edge, marks in zip(self.edges.tolist(), places, strict=True)
            ]
            for row, places in enumerate(kept)
        ]

    def asked(self) -> list[tuple[Key, int, int]]:
        """The wanted points: name, sample, step."""
        assert self.wanted is not None
        return [(self.keys[row][step], row, step) for row, step in self.wanted.nonzero().tolist()]

    def visible(self, row: int, steps: list[int]) -> Bool[Tensor, "n H W"]:
        """Which pixels of a sample remain at these steps."""
        edges = self.edges[steps].to(self.ranked.device, torch.int32, non_blocking=True)[:, None, None]
        keep = self.ranked[row] < edges if self.trajectory.order == "lerf" else self.ranked[row] >= edges
        patch, (height, width) = self.trajectory.patch, self.size
        if patch > 1:
            keep = keep.repeat_interleave(patch, 1).repeat_interleave(patch, 2)[:, :height, :width]
        return keep

    def take(self, found: Readout) -> None:
        """Put down what was seen at the wanted points, in their order, and decide what is wanted next."""
        assert self.wanted is not None
        if self.readout is None:
            self.readout = Readout(*(part.new_zeros(self.known.shape) for part in found))
        place = self.wanted.to(found.target.device)
        for whole, part in zip(self.readout, found, strict=True):
            whole[place] = part
        self.known |= self.wanted
        self.wanted = self._next()

    def curve(self, output: Output | None) -> Curve:
        """The output (None: the predicted class) at every point."""
        assert self.readout is not None
        if self.trajectory.steps != "adaptive":
            values = self.readout.predicted.double() if output is None else self.readout.scalar(output)
            return Curve(self.fractions, values.cpu())
        assert output is not None
        assert output == self.trajectory.guide, "adaptive steps are those of one output"
        values = self.readout.scalar(output).cpu()
        filled, error = adaptive.filled(values, self.known), adaptive.error(values, self.known)
        return Curve(self.fractions, filled, self.known.clone(), error)

    def _next(self) -> Bool[Tensor, "B S"] | None:
        if self.trajectory.steps != "adaptive":
            return None
        assert self.readout is not None
        assert self.trajectory.guide is not None, "adaptive steps need an output to look at"
        wanted = adaptive.wanted(self.readout.scalar(self.trajectory.guide).cpu(), self.known)
        return wanted if wanted.any() else None


def whole(row: int) -> Key:
    """The name of a sample of which nothing is removed."""
    return None, row, 0, 0


@lru_cache(maxsize=8)
def _cell_marks(size: tuple[int, int], patch: int) -> Int64[Tensor, "2 n"]:
    """Two random numbers for each unit of a grid: the sums of those of its pixels, so that grids can be compared."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(-(2**63), 2**63 - 1, (2, *size), generator=generator)
    height, width = size
    padded = F.pad(pixels, (0, -width % patch, 0, -height % patch))
    rows, columns = padded.shape[1] // patch, padded.shape[2] // patch
    return padded.view(2, rows, patch, columns, patch).sum((2, 4)).flatten(1)
