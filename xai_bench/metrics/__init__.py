"""Metrics: one idea, one file. The catalogue is the parameter list of the tests that hold for all."""

from xai_bench.catalogue import Catalogue
from xai_bench.engine import UNITS
from xai_bench.metrics.deletion import Deletion
from xai_bench.metrics.diffroar import DiffRoar
from xai_bench.metrics.insertion import Insertion
from xai_bench.metrics.metric import Metric, score
from xai_bench.metrics.pointing_game import PointingGame
from xai_bench.metrics.removal_disturbance import Accuracy, ClassEntropy, UnchangedPredictions
from xai_bench.metrics.roar import Kar, Roar
from xai_bench.metrics.top1 import Top1
from xai_bench.removal import REMOVALS
from xai_bench.training import TRAIN_SETS

METRICS: Catalogue[Metric] = Catalogue(
    "metric",
    Metric,  # type: ignore[type-abstract]
    (Deletion, Insertion, PointingGame, Accuracy, UnchangedPredictions, ClassEntropy, Top1, Roar, Kar, DiffRoar),
    nested=(REMOVALS, UNITS, TRAIN_SETS),
)

__all__ = ["METRICS", "Metric", "score"]
