"""What the metrics have in common that correlate the map's sum over subsets with the drop of the output."""

from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor

from xai_bench.engine import Case, Masks
from xai_bench.metrics.correlation import CORRELATIONS, ERRORS, Rows, Similarity, without_correlation
from xai_bench.metrics.metric import Metric
from xai_bench.metrics.reasons import combined
from xai_bench.types import Output


class SubsetCorrelation(Metric):
    """Correlation, over the subsets of each of its `questions`, of the map's sum with the drop; their mean.

    Undefined where all sums, or all drops, of a question are equal, and where the map is constant or not finite.
    """

    facts: ClassVar = {"sum": "over hidden pixels", "drop": "clean minus altered", "resampling": "none"}

    output: Output

    @property
    @abstractmethod
    def similarity(self) -> Similarity: ...

    @property
    @abstractmethod
    def questions(self) -> tuple[Masks, ...]: ...

    def sides(self, case: Case) -> Iterator[tuple[Rows, Rows]]:
        """For each question the map's sums and the output's drops, (B, S) each."""
        for masks in self.questions:
            yield case.hidden(masks), drops(case, masks, self.output)

    def undefined(self, case: Case) -> tuple[str, ...]:
        reasons = [super().undefined(case), *(without_correlation(*sides) for sides in self.sides(case))]
        return combined(*reasons)

    def errors(self, case: Case) -> Tensor | None:
        """Monte-Carlo standard error: another draw of the subsets would move the score by about as much."""
        errors = torch.stack([ERRORS[self.similarity](*sides) for sides in self.sides(case)])
        return errors.square().sum(0).sqrt() / len(errors)

    def __call__(self, case: Case) -> Tensor:
        return torch.stack([CORRELATIONS[self.similarity](*sides) for sides in self.sides(case)]).mean(0)


def drops(case: Case, masks: Masks, output: Output) -> Rows:
    """The output of the clean image minus that under each mask."""
    return case.scene.output(output)[:, None] - case.look(masks, output)
