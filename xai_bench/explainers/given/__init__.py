"""What people bring themselves: maps that lie in files, and functions."""

from xai_bench.explainers.given.function import check_call, check_explainer, given
from xai_bench.explainers.given.stored import StoredMaps

GIVEN = (StoredMaps,)

__all__ = ["GIVEN", "StoredMaps", "check_call", "check_explainer", "given"]
