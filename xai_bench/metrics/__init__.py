"""Metrics: one idea, one file. The catalogue is the parameter list of the tests that hold for all."""

from xai_bench.catalogue import Catalogue
from xai_bench.engine import UNITS
from xai_bench.metrics.ccs import Ccs
from xai_bench.metrics.cgc import Cgc
from xai_bench.metrics.cgs import Cgs
from xai_bench.metrics.comprehensiveness import Comprehensiveness
from xai_bench.metrics.deletion import Deletion
from xai_bench.metrics.insertion import Insertion
from xai_bench.metrics.irof import Irof
from xai_bench.metrics.metric import Metric, score
from xai_bench.metrics.minimal_sufficient_region import MinimalSufficientRegion
from xai_bench.metrics.monotonicity import Monotonicity
from xai_bench.metrics.monotonicity_correlation import MonotonicityCorrelation
from xai_bench.metrics.pgs import Pgs
from xai_bench.metrics.pointing_game import PointingGame
from xai_bench.metrics.region_perturbation import RegionPerturbation
from xai_bench.metrics.removal_disturbance import Accuracy, ClassEntropy, UnchangedPredictions
from xai_bench.metrics.selectivity import Selectivity
from xai_bench.metrics.sufficiency import Sufficiency
from xai_bench.metrics.top1 import Top1
from xai_bench.removal import REMOVALS

METRICS: Catalogue[Metric] = Catalogue(
    "metric",
    Metric,  # type: ignore[type-abstract]
    (
        *(Deletion, Insertion),
        *(RegionPerturbation, Selectivity, Irof, Comprehensiveness, Sufficiency),
        *(Monotonicity, MonotonicityCorrelation, MinimalSufficientRegion),
        *(Ccs, Pgs, Cgc, Cgs),
        *(PointingGame, Accuracy, UnchangedPredictions, ClassEntropy, Top1),
    ),
    nested=(REMOVALS, UNITS),
)

__all__ = ["METRICS", "Metric", "score"]
