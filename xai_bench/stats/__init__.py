"""Scores to statements: means with intervals, paired differences with corrected tests, ranks, aggregates.

Every random number comes from one fixed seed, so that the same scores give the same interval, to the last digit.
Names are imported when first used (PEP 562): a gate in CI needs few of them, and scipy.stats takes most of a second.
No module is called as what it offers, or it would stand in its place.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xai_bench.stats.aggregation import aggregates, improvement, profiles
    from xai_bench.stats.bands import curve_bands
    from xai_bench.stats.blocks import CELL
    from xai_bench.stats.correction import holm
    from xai_bench.stats.intervals import Interval, interval
    from xai_bench.stats.marks import top_marks
    from xai_bench.stats.pairs import paired
    from xai_bench.stats.ranks import friedman, mean_ranks
    from xai_bench.stats.reasons import undefined
    from xai_bench.stats.resampling import LEVEL, RESAMPLES, SEED, Numbers, resampled_means
    from xai_bench.stats.summaries import summary

_HOMES = {
    "CELL": "blocks",
    "Interval": "intervals",
    "LEVEL": "resampling",
    "Numbers": "resampling",
    "RESAMPLES": "resampling",
    "SEED": "resampling",
    "aggregates": "aggregation",
    "curve_bands": "bands",
    "friedman": "ranks",
    "holm": "correction",
    "improvement": "aggregation",
    "interval": "intervals",
    "mean_ranks": "ranks",
    "paired": "pairs",
    "profiles": "aggregation",
    "resampled_means": "resampling",
    "summary": "summaries",
    "top_marks": "marks",
    "undefined": "reasons",
}

__all__ = [
    "CELL",
    "LEVEL",
    "RESAMPLES",
    "SEED",
    "Interval",
    "Numbers",
    "aggregates",
    "curve_bands",
    "friedman",
    "holm",
    "improvement",
    "interval",
    "mean_ranks",
    "paired",
    "profiles",
    "resampled_means",
    "summary",
    "top_marks",
    "undefined",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'xai_bench.stats' has no attribute {name!r}")
    return getattr(import_module(f"xai_bench.stats.{_HOMES[name]}"), name)
