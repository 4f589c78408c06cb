"""The shapes and units that rooms exchange, spoken once and checked on construction.

Axes: B samples, 3 colours, H x W pixels, h x w cells of a feature map, C channels, K classes, S curve steps.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Float32, Float64, Int64
from torch import Tensor

from xai_bench.errors import InvalidValueError

Images = Float32[Tensor, "B 3 H W"]  # RGB in [0, 1], before normalisation
Inputs = Float[Tensor, "B C H W"]  # normalised, as a module takes them; C = 3, or 1 for a model of grey images
Targets = Int64[Tensor, " B"]  # the class explained
Labels = Int64[Tensor, " B"]  # the true class
Maps = Float32[Tensor, "B H W"]  # relevance, higher = more evidence for the target, signed
Keep = Float32[Tensor, "B H W"]  # 1 = visible, 0 = removed
Regions = Bool[Tensor, "B H W"]
Logits = Float[Tensor, "B K"]
Values = Float64[Tensor, " B"]

Output = Literal["logit", "probability", "log_odds", "margin"]
OUTPUTS: tuple[Output, ...] = ("logit", "probability", "log_odds", "margin")
TargetRule = Literal["predicted", "label"]


class Box(NamedTuple):
    """An object's box in pixels of the original image; x1 and y1 are exclusive."""

    x0: float
    y0: float
    x1: float
    y1: float
    difficult: bool = False


@dataclass(frozen=True, eq=False)
class Batch:
    """Images with whatever the data set knows about them; what it does not know is None."""

    images: Images
    ids: tuple[str, ...]  # (B,) stable names, unique in the data set
    labels: Labels | None = None
    regions: Regions | None = None  # the object; all False where a sample has none
    distractors: Regions | None = None  # objects that do not decide the class
    ignore: Regions | None = None  # pixels that count neither way
    sizes: tuple[tuple[int, int], ...] = ()  # (B,) original (H, W)
    boxes: tuple[tuple[Box, ...], ...] = ()  # (B,) boxes of each image, original pixels
    faults: tuple[str, ...] = ()  # (B,) why a sample cannot be used ("" = it can); its image is black

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.shape[1] != 3:
            raise InvalidValueError(f"images must be (B, 3, H, W), got {tuple(self.images.shape)}")
        count, _, height, width = self.images.shape
        if self.images.numel() and not (self.images.amin() >= 0 and self.images.amax() <= 1):
            low, high = self.images.amin().item(), self.images.amax().item()
            raise InvalidValueError(
                f"images must be RGB in [0, 1] before normalisation, got values in [{low:.3g}, {high:.3g}]"
            )
        if len(set(self.ids)) != count:
            raise InvalidValueError(f"ids must be {count} unique names, got {len(set(self.ids))} in {len(self.ids)}")
        if self.labels is not None and len(self.labels) != count:
            raise InvalidValueError(f"{count} images but {len(self.labels)} labels")
        for name in ("regions", "distractors", "ignore"):
            masks = getattr(self, name)
            if masks is not None and tuple(masks.shape) != (count, height, width):
                raise InvalidValueError(f"{name} must be {(count, height, width)} bool, got {tuple(masks.shape)}")
        for name in ("sizes", "boxes", "faults"):
            if getattr(self, name) and len(getattr(self, name)) != count:
                raise InvalidValueError(f"{count} images but {len(getattr(self, name))} {name}")

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> "Batch":
        """The same batch with its tensors on a device; `non_blocking` copies beside other work, from pinned memory."""
        return self._with(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "Batch":
        """The same batch in page-locked memory, from which a GPU can copy by itself."""
        return self._with(Tensor.pin_memory)

    def _with(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        tensors = ("images", "labels", "regions", "distractors", "ignore")
        changed = {name: change(value) for name in tensors if (value := getattr(self, name)) is not None}
        return Batch(**(vars(self) | changed))


class Scores(NamedTuple):
    """One number per sample of a batch, or one for the whole set; nan where undefined, with the reason."""

    values: Values
    reasons: tuple[str, ...]  # "" where defined
    errors: Values | None = None  # estimate of each value's numerical error; None where it is exact
    clean: Values | None = None  # what the metric reads of the unaltered image; None where it reads no output

    def pairs(self) -> Iterator[tuple[float, str]]:
        """(value, reason) of each sample."""
        return zip(self.values.tolist(), self.reasons, strict=True)


@dataclass(frozen=True)
class Card:
    """What a catalogue entry is, apart from its parameters."""

    name: str
    source: str  # paper and section, or "ours"
    summary: str = ""
    version: int = 1  # bump when the same inputs give another number
    needs: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True)
class MetricCard(Card):
    """A metric's card: which way is better, between which bounds, and over what it speaks.

    Every metric keeps every law of `tests/metrics/test_metric_laws.py` (`scale`, `monotone`, `perfect` ...) but those
    that it names in `exempt`.
    """

    better: Literal["higher", "lower", "unstated"] = "unstated"
    low: float = -float("inf")
    high: float = float("inf")
    scope: Literal["image", "set"] = "image"  # set: per-image records are stored and reduced over the set
    reduction: str = "mean"  # name in reductions.REDUCTIONS: per-image records -> the set's number
    family: Literal["faithfulness", "localisation", "removal", "model", "other"] = "other"
    # power of the model's output in the score: 1 for an area under it, 2 for its squares, 0 where it cancels out;
    # None where the score is no function of the output's scale (a share of predictions, a place in the image)
    degree: int | None = None
    exempt: Mapping[str, str] = field(default_factory=dict, hash=False)  # law of the catalogue -> why it does not hold


@dataclass(frozen=True)
class ExplainerCard(Card):
    """An explainer's card: where its maps come from and how many passes they cost.

    A `control` knows nothing of the model or the object, and is the floor. A `ceiling` is the control that is told
    where the object is: beside the explainers in every table, never among those that win.
    Every explainer keeps every law of `tests/explainers/test_explainer_laws.py` but those that it names in `exempt`.
    """

    kind: Literal["post-hoc", "intrinsic", "control", "ceiling"] = "post-hoc"
    family: Literal[
        "gradient", "cam", "perturbation", "attention", "intrinsic", "control", "wrapper", "given", "other"
    ] = "other"
    passes: str = "0"  # forward (F) and backward (B) passes per image, in terms of the fields: "steps F + steps B"
    exempt: Mapping[str, str] = field(default_factory=dict, hash=False)  # law of the catalogue -> why it does not hold
