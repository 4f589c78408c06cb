"""Label similarity: how near to the label is what the model predicts as parts of the image are removed?"""

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from xai_bench.digests import file_digest
from xai_bench.engine import Case, Curve
from xai_bench.errors import DataError, InvalidValueError
from xai_bench.metrics.metric import Metric
from xai_bench.metrics.removal_disturbance import SOURCE, Disturbance
from xai_bench.types import MetricCard, TargetRule


@dataclass(frozen=True)
class LabelSimilarity(Disturbance):
    """Similarity of the predicted class to the label, averaged over the fractions removed (0, 1/steps ... 1).

    `matrix` is a file of numpy (.npy) that holds K x K similarities of the model's K classes, row = label, column =
    predicted class; the spec holds the hash of its bytes instead of its place. The paper's are of WordNet. Undefined
    for a label that is no class.
    """

    card: ClassVar = MetricCard(
        "label_similarity",
        source=SOURCE,
        summary="mean similarity of the predicted class to the label over the fractions removed",
        needs=frozenset({"labels"}),
        better="higher",
        family="removal",
    )

    matrix: str = ""  # path

    def spec(self, target: TargetRule | str = "predicted") -> str:
        return Metric.spec(replace(self, matrix=f"sha256:{_digest(self.matrix)[:12]}"), target)

    def curve(self, case: Case) -> Curve:
        similarities, labels, predicted = _similarities(case, self.matrix), _labels(case), self.predicted(case)
        rows = similarities[labels.clamp(0, len(similarities) - 1)]
        return predicted._replace(values=rows.gather(1, predicted.values.long()))


def _labels(case: Case) -> Tensor:
    assert case.batch.labels is not None
    return case.batch.labels.cpu()


def _similarities(case: Case, path: str) -> Tensor:
    """The matrix, (K, K) float64, of the size of the model's classes."""
    found, classes = _read(path, _digest(path)), case.scene.clean.shape[1]
    if len(found) != classes:
        raise InvalidValueError(
            f"matrix {path!r} of metric label_similarity is {len(found)} x {len(found)}, but model "
            f"{case.scene.model.label!r} has {classes} classes"
        )
    return found


def _digest(path: str) -> str:
    if not path:
        raise InvalidValueError(
            "metric label_similarity needs matrix, a .npy file of K x K similarities of the classes, row = label, "
            "column = predicted class (the paper's are WordNet's), got none"
        )
    try:
        return file_digest(Path(path))
    except OSError as error:
        raise DataError(f"cannot read matrix {path!r} of metric label_similarity: {error.strerror}") from error


@lru_cache(maxsize=1)
def _read(path: str, _digest: str) -> Tensor:
    """The similarities of a file with these bytes."""
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"matrix {path!r} of metric label_similarity is no .npy file of numbers: {error}") from error
    if getattr(found, "ndim", 0) != 2 or found.shape[0] != found.shape[1] or found.dtype.kind not in "fiu":
        shape = getattr(found, "shape", type(found).__name__)
        raise DataError(f"matrix {path!r} of metric label_similarity must be K x K numbers, got {shape} {found.dtype}")
    if not np.isfinite(found).all():
        raise DataError(f"matrix {path!r} of metric label_similarity holds values that are not finite")
    return torch.from_numpy(found.astype(np.float64))
