"""Numbers that mean what they say: full fp32 on every device."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def fp32() -> Iterator[None]:
    """TF32 off for matrix products and convolutions; put back on leaving."""
    matmul, cudnn = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = matmul, cudnn
