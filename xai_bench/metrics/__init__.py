"""Metrics: one idea, one file. The catalogue is the parameter list of the tests that hold for all."""

from xai_bench.catalogue import Catalogue
from xai_bench.engine import UNITS
from xai_bench.metrics.deletion import Deletion
from xai_bench.metrics.faithfulness_correlation import FaithfulnessCorrelation
from xai_bench.metrics.faithfulness_estimate import FaithfulnessEstimate
from xai_bench.metrics.infidelity import Infidelity
from xai_bench.metrics.insertion import Insertion
from xai_bench.metrics.metric import Metric, score
from xai_bench.metrics.mu_fidelity import MuFidelity
from xai_bench.metrics.pointing_game import PointingGame
from xai_bench.metrics.removal_disturbance import Accuracy, ClassEntropy, UnchangedPredictions
from xai_bench.metrics.saco import Saco
from xai_bench.metrics.sensitivity_n import SensitivityN
from xai_bench.metrics.top1 import Top1
from xai_bench.removal import REMOVALS

METRICS: Catalogue[Metric] = Catalogue(
    "metric",
    Metric,  # type: ignore[type-abstract]
    (
        Deletion,
        Insertion,
        FaithfulnessCorrelation,
        FaithfulnessEstimate,
        MuFidelity,
        SensitivityN,
        Infidelity,
        Saco,
        PointingGame,
        Accuracy,
        UnchangedPredictions,
        ClassEntropy,
        Top1,
    ),
    nested=(REMOVALS, UNITS),
)

__all__ = ["METRICS", "Metric", "score"]
