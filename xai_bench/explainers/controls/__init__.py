"""Controls: maps that know nothing of the model. The floor that every table shows, and the object as the ceiling."""

from xai_bench.explainers.controls.centre import Centre
from xai_bench.explainers.controls.edges import Edges
from xai_bench.explainers.controls.random import Random
from xai_bench.explainers.controls.region import Region

CONTROLS = (Random, Centre, Edges, Region)

__all__ = ["CONTROLS", "Centre", "Edges", "Random", "Region"]
