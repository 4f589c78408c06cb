"""An engine: one model made ready for many forward passes on one device, at one precision."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cached_property
from typing import Literal, cast

import torch
from torch import Tensor, nn

from xai_bench.adapters import VisionModel
from xai_bench.adapters.fold import folded
from xai_bench.engine.memory import is_out_of_memory
from xai_bench.errors import InvalidValueError, UnknownNameError
from xai_bench.removal import PixelRemoval, Removal
from xai_bench.types import Images, Logits

Precision = Literal["fp32", "bf16"]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
CHUNK = 32  # altered images per forward pass where nobody looked for a better number
LARGEST = {"cpu": 64, "cuda": 256}
CACHED = 32 * 2**20  # bytes: on a CPU the largest activations of a chunk should stay in its cache
SHARE = 0.5  # of the free memory of a GPU


class Engine:
    """Forward passes of one model. `chunk` images at a time, half as many for good once memory runs out.

    `bf16` rounds weights and activations to bfloat16; `compile` runs torch.compile's code; `fold` folds batch
    normalisation into convolutions. The caller's module is never changed: what runs is a copy where one is needed.
    """

    def __init__(
        self,
        model: VisionModel,
        *,
        precision: Precision = "fp32",
        compile: bool = False,  # noqa: A002 - the word torch users know
        fold: bool = False,
        chunk: int | None = None,
    ) -> None:
        if precision not in DTYPES:
            raise UnknownNameError.of("precision", precision, DTYPES)
        self.model, self.precision, self.compiled, self.fold = model, precision, compile, fold
        self.chunk = chunk or CHUNK
        self.dtype = DTYPES[precision]

    @cached_property
    def eyes(self) -> VisionModel:
        """The model that looks at altered pixels: folded, rounded or compiled as asked, else the caller's own."""
        with self.model.ready():
            module = folded(self.model.module, self._probe(2)) if self.fold else self.model.module
            if module is self.model.module and (self.precision != "fp32" or self.compiled):
                module = copy.deepcopy(module)
        if module is self.model.module:
            return self.model
        module = module.eval().requires_grad_(requires_grad=False)
        if self.precision == "bf16":
            module = _Rounded(module, self.dtype)
        if self.compiled:
            module = cast("nn.Module", torch.compile(module, dynamic=False))
        model = self.model
        return VisionModel(
            module,
            name=model.name,
            mean=model.mean,
            std=model.std,
            preprocessing=model.preprocessing,
            label=model.label,
        )

    def eyes_for(self, removal: Removal) -> VisionModel:
        """A removal that alters the forward pass needs the layers as their author wrote them."""
        return self.eyes if isinstance(removal, PixelRemoval) else self.model

    @contextmanager
    def ready(self, removal: Removal | None = None) -> Iterator[VisionModel]:
        """Inference on the device; under autocast where the layers stay as they are but bf16 was asked for."""
        eyes = self.eyes if removal is None else self.eyes_for(removal)
        rounded = self.precision == "bf16" and eyes is self.model
        autocast = torch.autocast(self.model.device.type, self.dtype) if rounded else nullcontext()
        with torch.inference_mode(), self.model.ready(), autocast:
            yield eyes

    def normalised(self, images: Images) -> Tensor:
        """Images as `logits` takes them: normalised once, in the precision of the passes."""
        return self.model.normalise(images).to(self.dtype)

    def logits(self, inputs: Tensor) -> Logits:
        """One forward pass on at most `chunk` normalised inputs, (B, K) float32; call it inside `ready`."""
        if self.compiled and len(inputs) < self.chunk:  # compiled for one size
            filler = inputs[:1].expand(self.chunk - len(inputs), -1, -1, -1)
            return self.logits(torch.cat([inputs, filler]))[: len(inputs)]
        if self.eyes is not self.model:
            self.model.elsewhere += len(inputs)
        try:
            found = self.eyes.module(inputs.to(self.eyes.dtype))
        except (AssertionError, RuntimeError, ValueError) as error:
            if tuple(inputs.shape[2:]) != self.model.input_size and not is_out_of_memory(error):
                raise self._of_another_size(inputs, error) from error
            raise
        return self.eyes.as_logits(found, len(inputs))

    def _of_another_size(self, inputs: Tensor, error: Exception) -> InvalidValueError:
        size, made = (" x ".join(map(str, size)) for size in (inputs.shape[2:], self.model.input_size))
        return InvalidValueError(
            f"model {self.model.label!r}, made for {made}, cannot look at images of {size}: {error}"
        )

    def fit(self, size: tuple[int, int]) -> int:
        """Find the chunk for images of this height and width; the same on every machine with this kind of device."""
        device = self.model.device
        largest = LARGEST.get(device.type, CHUNK)
        fitting = CACHED // self._activations(size) if device.type == "cpu" else self._affordable(size, largest)
        self.chunk = 1 << max(2, min(fitting, largest).bit_length() - 1)
        return self.chunk

    def halve(self) -> bool:
        """Half as many images at a time from now on; False where it is one already."""
        smaller, self.chunk = self.chunk > 1, max(1, self.chunk // 2)
        return smaller

    def _probe(self, count: int, size: tuple[int, int] | None = None) -> Tensor:
        images = torch.linspace(0, 1, 3 * count).view(count, 3, 1, 1).to(self.model.device)
        return self.model.normalise(images.expand(count, 3, *(size or self.model.input_size)).contiguous())

    def _activations(self, size: tuple[int, int]) -> int:
        """Bytes of the largest output of a layer for one image."""
        largest = 1

        def look(_module: nn.Module, _inputs: object, out: object) -> None:
            nonlocal largest
            largest = max(largest, out.numel() * self.dtype.itemsize if isinstance(out, Tensor) else 1)

        hooks = [part.register_forward_hook(look) for part in self.model.module.modules()]
        try:
            with torch.inference_mode(), self.model.ready():
                self.model.module(self._probe(1, size))
        finally:
            for hook in hooks:
                hook.remove()
        return largest

    def _affordable(self, size: tuple[int, int], largest: int) -> int:
        """Images for which a forward pass takes a share of the GPU's free memory."""
        if self.model.device.type != "cuda":
            return CHUNK
        peaks = [self._peak(count, size) for count in (1, 9)]
        each = max(1, (peaks[1] - peaks[0]) // 8)
        free = torch.cuda.mem_get_info(self.model.device)[0]
        return min(largest, int(SHARE * free) // each)

    def _peak(self, count: int, size: tuple[int, int]) -> int:
        torch.cuda.reset_peak_memory_stats(self.model.device)
        with self.ready():
            self.eyes.module(self._probe(count, size).to(self.dtype))
        return torch.cuda.max_memory_allocated(self.model.device)


class _Rounded(nn.Module):
    """A module in a lower precision between float32 images and float32 logits."""

    def __init__(self, module: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.module, self.dtype = module.to(dtype), dtype

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.module(images.to(self.dtype))
        return logits.float()
