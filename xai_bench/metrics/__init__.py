"""Metrics: one idea, one file. The catalogue is the parameter list of the tests that hold for all."""

from xai_bench.catalogue import Catalogue
from xai_bench.engine import UNITS
from xai_bench.metrics.adcc import Adcc
from xai_bench.metrics.average_drop import AverageDrop
from xai_bench.metrics.average_gain import AverageGain
from xai_bench.metrics.ccs import Ccs
from xai_bench.metrics.cgc import Cgc
from xai_bench.metrics.cgs import Cgs
from xai_bench.metrics.completeness import Completeness
from xai_bench.metrics.comprehensiveness import Comprehensiveness
from xai_bench.metrics.confidence import Confidence
from xai_bench.metrics.deletion import Deletion
from xai_bench.metrics.diffroar import DiffRoar
from xai_bench.metrics.energy_pointing_game import EnergyPointingGame
from xai_bench.metrics.faithfulness_correlation import FaithfulnessCorrelation
from xai_bench.metrics.faithfulness_estimate import FaithfulnessEstimate
from xai_bench.metrics.increase_in_confidence import IncreaseInConfidence
from xai_bench.metrics.infidelity import Infidelity
from xai_bench.metrics.insertion import Insertion
from xai_bench.metrics.inside_minus_outside import InsideMinusOutside
from xai_bench.metrics.iou import Iou
from xai_bench.metrics.irof import Irof
from xai_bench.metrics.label_similarity import LabelSimilarity
from xai_bench.metrics.lime_ablation import LimeAblation
from xai_bench.metrics.lime_alignment import LimeAlignment
from xai_bench.metrics.lime_jaccard import LimeJaccard
from xai_bench.metrics.mask_leakage import LeakageGap, MaskLeakage
from xai_bench.metrics.metric import Metric, score
from xai_bench.metrics.minimal_sufficient_region import MinimalSufficientRegion
from xai_bench.metrics.monotonicity import Monotonicity
from xai_bench.metrics.monotonicity_correlation import MonotonicityCorrelation
from xai_bench.metrics.mu_fidelity import MuFidelity
from xai_bench.metrics.patch_linearity import PatchLinearity, PatchLinearityError
from xai_bench.metrics.pgs import Pgs
from xai_bench.metrics.pixel_flipping import PixelFlipping
from xai_bench.metrics.pointing_game import PointingGame
from xai_bench.metrics.region_perturbation import RegionPerturbation
from xai_bench.metrics.removal_disturbance import Accuracy, ClassEntropy, UnchangedPredictions
from xai_bench.metrics.road import Road
from xai_bench.metrics.roar import Kar, Roar
from xai_bench.metrics.saco import Saco
from xai_bench.metrics.selectivity import Selectivity
from xai_bench.metrics.sensitivity_n import SensitivityN
from xai_bench.metrics.soft_iou import SoftIou
from xai_bench.metrics.sufficiency import Sufficiency
from xai_bench.metrics.top1 import Top1
from xai_bench.removal import REMOVALS
from xai_bench.training import TRAIN_SETS

METRICS: Catalogue[Metric] = Catalogue(
    "metric",
    Metric,  # type: ignore[type-abstract]
    (
        *(Deletion, Insertion, PixelFlipping, Road),
        *(RegionPerturbation, Selectivity, Irof, Comprehensiveness, Sufficiency),
        *(Monotonicity, MonotonicityCorrelation, MinimalSufficientRegion),
        *(Ccs, Pgs, Cgc, Cgs),
        *(FaithfulnessCorrelation, FaithfulnessEstimate, MuFidelity, SensitivityN, Infidelity, Saco),
        *(AverageDrop, IncreaseInConfidence, AverageGain, Adcc, InsideMinusOutside),
        *(Roar, Kar, DiffRoar),
        *(PointingGame, EnergyPointingGame, Iou, SoftIou),
        *(Accuracy, UnchangedPredictions, ClassEntropy, LabelSimilarity),
        *(MaskLeakage, LeakageGap),
        *(LimeAlignment, LimeJaccard, LimeAblation),
        *(PatchLinearity, PatchLinearityError),
        *(Completeness, Confidence, Top1),
    ),
    nested=(REMOVALS, UNITS, TRAIN_SETS),
)

__all__ = ["METRICS", "Metric", "score"]
