"""Training of small models: a plain classifier, ERSM on its frozen backbone, and any architecture anew."""

from xai_bench.training.anew import train_anew, unrenewable
from xai_bench.training.demo import DemoModels, demo_models
from xai_bench.training.ersm import CollapseWarning, train_ersm
from xai_bench.training.kinds import TRAINERS
from xai_bench.training.lesson import Figures, Lesson, Objective
from xai_bench.training.plain import train_plain
from xai_bench.training.recipe import PRESETS, Recipe
from xai_bench.training.run import Made, train_suite
from xai_bench.training.suite import TrainSuite
from xai_bench.training.train import Trained, train
from xai_bench.training.train_set import TRAIN_SETS, TrainSet
from xai_bench.training.trainer import Start, Trainer

__all__ = [
    "PRESETS",
    "TRAINERS",
    "TRAIN_SETS",
    "CollapseWarning",
    "DemoModels",
    "Figures",
    "Lesson",
    "Made",
    "Objective",
    "Recipe",
    "Start",
    "TrainSet",
    "TrainSuite",
    "Trained",
    "Trainer",
    "demo_models",
    "train",
    "train_anew",
    "train_ersm",
    "train_plain",
    "train_suite",
    "unrenewable",
]
