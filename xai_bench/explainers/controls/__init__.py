"""Controls: maps that know nothing of the model. The floor that every table shows, and the object as the ceiling."""

from xai_bench.explainers.controls.blurred import Blurred
from xai_bench.explainers.controls.centre import Centre
from xai_bench.explainers.controls.constant import Constant
from xai_bench.explainers.controls.edges import Edges
from xai_bench.explainers.controls.random import Random
from xai_bench.explainers.controls.random_model import RandomModel
from xai_bench.explainers.controls.region import Region

CONTROLS = (Random, Centre, Edges, Constant, Blurred, RandomModel, Region)

__all__ = ["CONTROLS", "Blurred", "Centre", "Constant", "Edges", "Random", "RandomModel", "Region"]
