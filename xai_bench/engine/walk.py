"""How far a trajectory has been walked: which altered images it wants, which are known, what the model said of them."""

from functools import cached_property

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor
from torch.nn import functional as F

from xai_bench.engine import adaptive
from xai_bench.engine.ranking import Ranks, counts, stride
from xai_bench.engine.readout import Readout
from xai_bench.engine.seen import Asker, Key, pixel_marks, whole
from xai_bench.engine.trajectory import SHOWN, Curve, Steps, Trajectory
from xai_bench.engine.units import Partition
from xai_bench.types import Output


class Walk(Asker):
    """The points of one trajectory for a whole batch."""

    def __init__(self, trajectory: Trajectory, ranked: Ranks, partition: Partition, size: tuple[int, int]) -> None:
        self.trajectory, self.removal, self.full = trajectory, trajectory.removal, trajectory.full
        self.ranked, self.partition, self.size = ranked, partition, size
        self.total = torch.tensor(partition.counts, dtype=torch.int64)[:, None]  # (B, 1)
        removed = _removed(trajectory.steps, partition.counts, trajectory.most)
        # What remains of a ranking: its first units (least relevant first) or its last
        self.edges = self.total - removed if trajectory.order == "lerf" else removed  # (B, S)
        self.fractions = _fractions(trajectory.steps, self.total, removed)
        self.known = torch.zeros(removed.shape, dtype=torch.bool)
        self.wanted: Bool[Tensor, "B S"] | None = self.known.clone()
        self.wanted[:, adaptive.first() if trajectory.steps == "adaptive" else slice(None)] = True
        self.readout: Readout | None = None

    @property
    def unfinished(self) -> bool:
        return self.wanted is not None

    @cached_property
    def keys(self) -> list[list[Key]]:
        """For each sample and step a name of what is altered and how.

        A name holds two sums modulo 2^64 of random numbers, one number per visible pixel. Where nothing is removed the
        image is the clean one, whatever the removal, unless the removal alters the forward pass.
        """
        order = self.ranked.long().expand(2, -1, -1)
        marks = self.partition.marks(pixel_marks(self.size).to(order.device)).expand_as(order)
        sums = F.pad(torch.empty_like(order).scatter_(2, order, marks).cumsum(2), (1, 0))
        edges = sums.gather(2, self.edges.to(order.device).expand(2, -1, -1))
        lerf = self.trajectory.order == "lerf"
        kept = (edges if lerf else sums[:, :, -1:] - edges).permute(1, 2, 0).tolist()
        untouched = (self.edges == (self.total if lerf else 0)) & self.removal.soft
        return [
            [whole(row) if clean else (self.removal, row, *sums) for clean, sums in zip(cleans, places, strict=True)]
            for row, (cleans, places) in enumerate(zip(untouched.tolist(), kept, strict=True))
        ]

    def asked(self) -> list[tuple[Key, int, int]]:
        assert self.wanted is not None
        return [(self.keys[row][step], row, step) for row, step in self.wanted.nonzero().tolist()]

    def visible(self, row: int, steps: list[int]) -> Bool[Tensor, "n H W"]:
        edges = self.edges[row, steps].to(self.ranked.device, torch.int32, non_blocking=True)[:, None]
        chosen = self.ranked[row] < edges if self.trajectory.order == "lerf" else self.ranked[row] >= edges
        return self.partition.pixels(row, chosen)

    def take(self, found: Readout) -> None:
        assert self.wanted is not None
        if self.readout is None:
            self.readout = Readout(*(part.new_zeros(self.known.shape) for part in found))
        place = self.wanted.to(found.target.device)
        for whole_part, part in zip(self.readout, found, strict=True):
            whole_part[place] = part
        self.known |= self.wanted
        self.wanted = self._next()

    def curve(self, output: Output | None) -> Curve:
        """The output (None: the predicted class) at every point."""
        assert self.readout is not None
        if self.trajectory.steps == "adaptive":
            return self._adaptive(output)
        values = self.readout.predicted.double() if output is None else self.readout.scalar(output)
        if self.fractions.ndim == 1:
            return Curve(self.fractions, values.cpu())
        # An image with fewer steps than others repeats its last
        return Curve(self.fractions, values.cpu(), F.pad(self.edges.diff(dim=1) != 0, (1, 0), value=True))

    def _adaptive(self, output: Output | None) -> Curve:
        assert self.readout is not None
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


def _removed(steps: Steps, totals: tuple[int, ...], most: int | None = None) -> Int64[Tensor, "B S"]:
    """How many units of each image are removed at each point."""
    if isinstance(steps, str) and steps.endswith(SHOWN):
        shown = _removed(steps.removesuffix(SHOWN), totals, most)
        return torch.tensor(totals, dtype=torch.int64)[:, None] - shown.flip(1)
    if stride(steps, 1):
        sizes = [stride(steps, total) for total in totals]
        width = max((-(-total // size) for total, size in zip(totals, sizes, strict=True)), default=0)
        points = torch.arange((width if most is None else min(most, width)) + 1)
        strides = torch.tensor(sizes, dtype=torch.int64)[:, None]
        return (points * strides).minimum(torch.tensor(totals, dtype=torch.int64)[:, None])
    number = adaptive.GRID if steps == "adaptive" else steps
    known = {total: counts(number, total) for total in set(totals)}
    return torch.tensor([known[total] for total in totals], dtype=torch.int64).view(len(totals), -1)


def _fractions(steps: Steps, total: Int64[Tensor, "B 1"], removed: Int64[Tensor, "B S"]) -> Float64[Tensor, "*B S"]:
    """The share removed at each point, the same for all images unless steps are of a number of units."""
    if stride(steps, 1):
        return removed.double() / total
    if isinstance(steps, tuple):
        return torch.tensor(steps, dtype=torch.float64)
    return torch.linspace(0, 1, removed.shape[1], dtype=torch.float64)
