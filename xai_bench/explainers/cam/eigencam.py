"""Eigen-CAM: the first principal component of a layer's activations."""

from dataclasses import dataclass
from typing import ClassVar

from xai_bench.adapters import VisionModel
from xai_bench.explainers.cam.layered import Cells, Grid, Layered, positive
from xai_bench.explainers.cam.principal import first_component, turned
from xai_bench.explainers.explainer import OnePass
from xai_bench.explainers.look import Seen, Sight
from xai_bench.types import ExplainerCard, Maps


@dataclass(frozen=True)
class EigenCAM(Layered, OnePass):
    """Each cell's place along the first principal component of the target layer's activations; blind to the class.

    `centred` takes the mean over the cells from each channel first, as pytorch-grad-cam does and as principal
    components are usually understood; the paper's equation has the singular vector of the activations as they are,
    which after a ReLU is close to their mean over the channels. The paper leaves the sign open and pytorch-grad-cam
    leaves it to chance; here the cell that stands out most is positive (Chung & Ying 2025, Seg-Eigen-CAM, equation 13).
    Constant where all cells are alike.
    """

    card: ClassVar = ExplainerCard(
        "eigencam",
        source="Muhammad & Yeasin 2020, arXiv:2008.00299, section III",
        summary="first principal component of the target layer's activations",
        family="cam",
        passes="1 F",
        exempt={"targets": "reads no output: the same map for all classes"},
    )

    centred: bool = True
    relu: bool = False

    def sights(self, model: VisionModel) -> frozenset[Sight]:
        return frozenset(Sight("layer", model.layer_at(name).name, gradient=False) for name in self.places)

    def read(self, seen: Seen) -> Maps:
        return self.joined([self.cells(seen.activations(name)) for name in self.places], seen.images)

    def cells(self, activations: Grid) -> Cells:
        """The map of one layer."""
        places = first_component(activations, centred=self.centred)
        places = turned(places, -places.amin((1, 2)) > places.amax((1, 2)))
        return positive(places, relu=self.relu)
