"""What people hand to `score` and `explain`, as the shapes of types.py; every slip is refused in one sentence."""

from typing import Any

import torch
from torch import Tensor

from xai_bench.errors import InvalidValueError
from xai_bench.keys import digest
from xai_bench.types import Batch, Maps


def hashes(images: Tensor) -> tuple[str, ...]:
    """A name from each image's pixels; equal images of one batch are numbered apart."""
    names = [digest(image.cpu().numpy().tobytes().hex()) for image in images]
    before = [names[:place].count(name) for place, name in enumerate(names)]
    return tuple(f"{name}-{twins}" if twins else name for name, twins in zip(names, before, strict=True))


def classes(values: Any, count: int, what: str) -> Tensor:
    """Classes as (count,) int64, one for each image or one for all."""
    try:
        found = torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidValueError(f"{what} must be whole numbers, got {values!r}") from error
    if found.is_floating_point() or found.dtype == torch.bool:
        raise InvalidValueError(f"{what} must be whole numbers, got {found.dtype}")
    if found.ndim == 0:
        found = found.expand(count)
    if tuple(found.shape) != (count,):
        raise InvalidValueError(f"{what} must be ({count},), one for each image, got {tuple(found.shape)}")
    return found.to(torch.int64).clone()


def regions(given: Any, images: Tensor) -> Tensor:
    """Objects as (B, H, W) bool."""
    expected = (len(images), *images.shape[2:])
    try:
        tensor = torch.as_tensor(given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidValueError(f"regions must be {expected} bool, got {type(given).__name__}") from error
    if tuple(tensor.shape) != expected or not ((tensor == 0) | (tensor == 1)).all():
        raise InvalidValueError(f"regions must be {expected} of 0 and 1, got {tensor.dtype} {tuple(tensor.shape)}")
    return tensor.bool()


def maps(given: Any, batch: Batch) -> Maps:
    """Relevance as (B, H, W) float32."""
    expected = (len(batch), *batch.images.shape[2:])
    try:
        tensor = torch.as_tensor(given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidValueError(f"maps must be numbers of shape {expected}, got {type(given).__name__}") from error
    if tensor.is_complex():
        raise InvalidValueError("maps must be real numbers, got complex ones")
    tensor = tensor.to(torch.float32)
    if tuple(tensor.shape) != expected:
        raise InvalidValueError(f"maps must be {expected}, the images' (B, H, W), got {tuple(tensor.shape)}")
    return tensor
