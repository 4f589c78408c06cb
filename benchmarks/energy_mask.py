"""An energy mask against the same backbone, pooling and head without it."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

import xai_bench as xb
from benchmarks.harness import Line, Work, line, rounds
from benchmarks.jobs import Size

BACKBONE = "resnet50"
PIXELS = {1: 224, 2: 256}  # patch size -> image size: a grid of 7 x 7 has no patches of 2
BATCHES = (1, 8)
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


class Unmasked(nn.Module):
    """What an ErsmModel computes besides its mask."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.backbone, self.head = model.backbone, model.head

    def forward(self, images: Tensor) -> Tensor:
        """Logits, (B, K)."""
        return self.head(self.backbone.forward_features(images).mean((2, 3)))


def lines(size: Size) -> Iterator[Line]:
    """Both patch sizes, one image and eight, both precisions; the layout and device that load_model chooses.

    Fewer rounds in bf16, which a processor without such arithmetic computes slowly.
    """
    for patch_size, pixels in PIXELS.items():
        for precision, dtype in DTYPES.items():
            model = xb.load_model(f"ersm:{BACKBONE}", pretrained=False, input_size=pixels, patch_size=patch_size)
            ours = model.module.to(dtype)
            for count in BATCHES:
                images = torch.rand(count, 3, pixels, pixels, device=model.device, dtype=dtype)
                jobs = {"ours": forward(ours, images), "bare": forward(Unmasked(ours), images)}
                rounds(jobs, 1)
                times = rounds(jobs, size.mask_rounds if precision == "fp32" else size.rounds, size.measure)
                title = f"with mask / without, {BACKBONE}, p = {patch_size}, {count} at {pixels}, {precision}"
                yield line(title, times, "ours", "bare", "one forward pass in inference mode; random weights")


def forward(module: nn.Module, images: Tensor) -> Work:
    """One forward pass, to its end on whatever device."""
    images = images.to(memory_format=torch.channels_last)

    def work() -> None:
        with torch.inference_mode():
            module(images).sum().item()  # waits for the device

    return work
