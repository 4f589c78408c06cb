"""Data and modules that tests of training stand on."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from xai_bench.adapters import Preprocessing, VisionModel
from xai_bench.data import Data
from xai_bench.data.dataset import Sample
from xai_bench.types import Card


@dataclass(frozen=True, kw_only=True, eq=False)
class Spots(Data):
    """Grey noise with one square whose colour (red, green) is the class; every fifth can be broken, or unlabelled."""

    card: ClassVar[Card] = Card("spots", source="tests")
    classes: ClassVar[tuple[str, ...]] = ("red", "green")
    fingerprint: ClassVar[str] = "0"
    n: int | None = 64
    broken: bool = False
    knows: frozenset[str] = frozenset({"labels", "regions"})
    preprocessing: Preprocessing = Preprocessing((32, 32))  # noqa: RUF009 (frozen)

    def __len__(self) -> int:
        return self.n or 64

    def id(self, index: int) -> str:
        return str(index)

    def sample(self, index: int) -> Sample:
        generator = torch.Generator().manual_seed(index)
        image = 0.4 + 0.2 * torch.rand(3, 32, 32, generator=generator)
        y, x = torch.randint(0, 20, (2,), generator=generator).tolist()
        region = torch.zeros(32, 32, dtype=torch.bool)
        region[y : y + 12, x : x + 12] = True
        image[:, region] = 0
        image[index % 2, region] = 1
        fault = "cannot read it" if self.broken and index % 5 == 0 else ""
        return Sample(image, str(index), (32, 32), label=index % 2, region=region, fault=fault)


def model_of(module: nn.Module | None = None) -> VisionModel:
    """A VisionModel for 32 x 32 images around anything."""
    half = (0.5, 0.5, 0.5)
    return VisionModel(module or nn.Flatten(), name="toy", mean=half, std=half, preprocessing=Preprocessing((32, 32)))


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def equal(one: nn.Module, other: nn.Module) -> bool:
    """Whether all weights are, to the last bit."""
    return all(torch.equal(a, b) for a, b in zip(weights(one).values(), weights(other).values(), strict=True))
