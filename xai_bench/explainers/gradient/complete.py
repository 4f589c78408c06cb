"""What explainers share whose maps sum to what the score gains on a path, up to the error of their quadrature."""

from abc import abstractmethod

import torch

from xai_bench.adapters import VisionModel
from xai_bench.explainers.explainer import Explainer
from xai_bench.types import Images, Maps, Targets, Values


class Complete(Explainer):
    """An integral of gradients along a path from `start` to the image."""

    @abstractmethod
    def start(self, model: VisionModel, images: Images) -> Images:
        """Where each image's path begins."""

    def completeness_error(self, model: VisionModel, images: Images, targets: Targets, maps: Maps) -> Values:
        """|sum of the map - gain| / |gain|, the gain being the score of the image less that of its start.

        0 for exact maps, 0.01 for one per cent. Costs two forward passes. nan where the path gains nothing; large, and
        no fault of the map's, where it gains next to nothing.
        """
        with model.ready(), torch.no_grad():
            scores = [model(shown).gather(1, targets[:, None])[:, 0] for shown in (images, self.start(model, images))]
        gain = (scores[0] - scores[1]).double()
        error = (maps.double().sum((1, 2)) - gain).abs() / gain.abs()
        return error.masked_fill(gain == 0, torch.nan)
