"""Eigen-Grad-CAM: the first principal component of a layer's activations times their gradients."""

from dataclasses import dataclass
from typing import ClassVar

from xai_bench.explainers.cam.layered import Cells, Grid, LayerMaps, positive
from xai_bench.explainers.cam.principal import first_component, turned
from xai_bench.types import ExplainerCard


@dataclass(frozen=True)
class EigenGradCAM(LayerMaps):
    """Each cell's place along the first principal component of A d logit / d A: Eigen-CAM that knows the class.

    No paper has it; it comes from pytorch-grad-cam, whose sign is left to chance. Ours is such that cells that add
    more to the logit (HiResCAM) come out higher. Constant where all cells are alike.
    """

    card: ClassVar = ExplainerCard(
        "eigengradcam",
        source="pytorch-grad-cam (Gildenblat et al.), EigenGradCAM",
        summary="first principal component of the target layer's activations times their gradients",
        family="cam",
        passes="1 F + 1 B",
    )

    centred: bool = True
    relu: bool = False

    def cells(self, activations: Grid, gradients: Grid) -> Cells:
        products = activations * gradients
        places = first_component(products, centred=self.centred)
        places = turned(places, (places * products.sum(1)).sum((1, 2)) < 0)
        return positive(places, relu=self.relu)
