"""Scores to statements: means with intervals, paired differences with corrected tests, ranks, aggregates.

Every random number comes from one fixed seed, so that the same scores give the same interval, to the last digit.
"""

from xai_bench.stats.aggregates import aggregates, improvement, profiles
from xai_bench.stats.bands import curve_bands
from xai_bench.stats.blocks import CELL
from xai_bench.stats.intervals import Interval, interval
from xai_bench.stats.marks import top_marks
from xai_bench.stats.pairs import paired
from xai_bench.stats.ranks import friedman, mean_ranks
from xai_bench.stats.resampling import LEVEL, RESAMPLES, SEED, Numbers, resampled_means
from xai_bench.stats.signed import holm
from xai_bench.stats.summary import summary
from xai_bench.stats.undefined import undefined

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
