"""When memory runs out: say so in one way for all devices, and go on with half as much at a time."""

import gc
from collections.abc import Callable
from typing import TypeVar

import torch

T = TypeVar("T")
ON_THE_CPU = ("DefaultCPUAllocator", "can't allocate memory")  # torch raises a plain RuntimeError there


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the error says that the device, or the machine, has no memory left."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in ON_THE_CPU)


def attempt(work: Callable[[], T]) -> T | None:
    """What the work gives, or None where memory ran out and half the work may be tried; the caches are emptied then."""
    try:
        return work()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    gc.collect()  # outside the handler: the error held the frames, and they the tensors
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return None
