"""Reasons why images have no score, put together."""

from torch import Tensor

Reasons = tuple[str, ...]  # (B,) "" where a score is defined


def combined(*reasons: Reasons) -> Reasons:
    """The first reason of each image."""
    return tuple(next(filter(None, column), "") for column in zip(*reasons, strict=True))


def unless(holds: Tensor, reason: str) -> Reasons:
    """The reason for each image of which something, (B,) bool, does not hold."""
    return tuple("" if good else reason for good in holds.tolist())
