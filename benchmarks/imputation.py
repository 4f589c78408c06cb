"""ROAD's linear imputation against pytorch-grad-cam's."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from benchmarks.gpu import finished
from benchmarks.harness import Line, line, rounds
from benchmarks.jobs import Size, pictures, smooth_maps, untied
from xai_bench.removal.imputation import impute
from xai_bench.types import Batch, Images, Keep, Maps

PERCENTAGES = (10, 50, 90)


def smooth(batch: Batch) -> Maps:
    """A map for each image, as explainers make them."""
    return smooth_maps(batch, 1)[0]


def random(batch: Batch) -> Maps:
    """A map for each image in which neighbours have nothing in common, the other extreme."""
    return untied(torch.rand(batch.images[:, 0].shape, generator=torch.Generator().manual_seed(0)))


MAPS: dict[str, Callable[[Batch], Maps]] = {"smooth maps": smooth, "random maps": random}


def without(maps: Maps, percentage: float) -> Keep:
    """What is kept once so many of the most relevant pixels are removed."""
    left = maps[0].numel() * (1 - percentage / 100)
    return (maps < left).float()  # no value comes twice: they are 0, 1, 2, ...


def grad_cams(images: Images, keep: Keep) -> Tensor:
    """By pytorch-grad-cam, one image at a time."""
    from pytorch_grad_cam.metrics.road import NoisyLinearImputer  # noqa: PLC0415 - an optional peer

    imputer = NoisyLinearImputer(noise=0)
    return torch.stack([imputer(image, mask) for image, mask in zip(images, keep, strict=True)])


def lines(size: Size) -> Iterator[Line]:
    """On the CPU and, where there is one, on a GPU: each percentage, and all of them together."""
    batch = pictures(size.peer_images, size.pixels)
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        for kind, maps_of in MAPS.items():
            yield from _of_maps(f"{kind}, {device}", batch, maps_of(batch), torch.device(device), size)


def _of_maps(title: str, batch: Batch, maps: Maps, device: torch.device, size: Size) -> Iterator[Line]:
    both: dict[str, list[float]] = {"theirs": [0.0] * size.rounds, "ours": [0.0] * size.rounds}
    for percentage in PERCENTAGES:
        keep = without(maps, percentage)
        ours = partial(impute, batch.images.to(device), keep.to(device))
        apart = (ours().cpu() - grad_cams(batch.images, keep)).abs().max()
        jobs = {"theirs": partial(grad_cams, batch.images, keep), "ours": finished(ours)}
        times = rounds(jobs, size.rounds, size.measure)
        both = {job: [before + now for before, now in zip(both[job], times[job], strict=True)] for job in both}
        each = ", ".join(f"{job} {1000 * min(times[job]) / len(keep):.3g} ms" for job in both)
        note = f"an image: {each}; they agree to {apart:.0e}"
        yield line(f"pytorch-grad-cam / ours, imputing {percentage} %, {title}", times, "theirs", "ours", note)
    all_of_them = f"pytorch-grad-cam / ours, imputing {', '.join(map(str, PERCENTAGES))} %, {title}"
    yield line(all_of_them, both, "theirs", "ours", f"{len(batch)} images, all in one call")
