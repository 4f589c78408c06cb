"""What people bring themselves: maps that lie in files, and functions."""

from xai_bench.explainers.given.function import given
from xai_bench.explainers.given.stored import StoredMaps

GIVEN = (StoredMaps,)

__all__ = ["GIVEN", "StoredMaps", "given"]
