"""Runs held against each other, for two checkpoints, two models, two versions of the library or two seeds."""

from xai_bench.comparison.compare import COLUMNS, OF_SET, Compared, compare

__all__ = ["COLUMNS", "OF_SET", "Compared", "compare"]
