"""Maps as `explain` gives them: a tensor to every operation, and a picture with words in a notebook."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from xai_bench.errors import InvalidValueError
from xai_bench.types import Images, Maps, Regions

SIDE = 128  # pixels of a thumbnail's longer side
SHOWN = 6  # maps in a notebook's cell


@dataclass(frozen=True, eq=False)
class About:
    """What the maps explain: enough to show them, small enough to keep beside them."""

    explainer: str
    model: str
    targets: tuple[int, ...]  # (B,)
    thumbnails: NDArray[np.uint8]  # (B, h, w, 3)
    regions: NDArray[np.bool_] | None  # (B, H, W)


class RelevanceMaps(Tensor):
    """Relevance (B, H, W) float32 that shows itself in a notebook.

    It is a tensor like any other: whatever is computed from it, a slice too, is a plain one. So is what a file of
    torch.save or pickle gives back, which holds the numbers alone; a deep copy still shows itself.
    """

    about: About
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    def describe(self, index: int | None = None) -> str:
        """Where a map looks, how concentrated it is, and whether that is on the object; of all maps, a line each."""
        if index is None:
            return "\n".join(f"{place}: {self.describe(place)}" for place in range(len(self)))
        from xai_bench.reports.words import described  # noqa: PLC0415 - matplotlib and the rest only when asked for

        self._check(index)
        regions = self.about.regions
        return described(self._map(index), None if regions is None else regions[index])

    def plot(self, index: int = 0, *, ax: Any = None) -> Any:
        """One map over its image, drawn into matplotlib axes, new ones where none are given; gives the axes."""
        from xai_bench.reports.notebook import overlay, title  # noqa: PLC0415

        self._check(index)
        drawn = overlay(self.about.thumbnails[index], self._map(index), ax=ax)
        drawn.set_title(title(self.about.explainer, self.about.targets[index]))
        return drawn

    def _repr_png_(self) -> bytes | None:
        from xai_bench.reports.notebook import maps_png  # noqa: PLC0415

        count = min(SHOWN, len(self))
        values = [self._map(index) for index in range(count)]
        return maps_png(self.about.thumbnails, values, self.about.targets) if count else None

    def _repr_html_(self) -> str | None:
        from xai_bench.reports.notebook import maps_html  # noqa: PLC0415

        if (png := self._repr_png_()) is None:
            return None
        said = [self.describe(index) for index in range(min(SHOWN, len(self)))]
        who = f"{self.about.explainer} of {self.about.model}"
        return maps_html(png, who, said, self.about.targets)

    def _map(self, index: int) -> NDArray[np.float32]:
        values: NDArray[np.float32] = self.detach()[index].cpu().numpy()
        return values

    def _check(self, index: int) -> None:
        if not -len(self) <= index < len(self):
            raise InvalidValueError(f"there are {len(self)} maps, numbered from 0, so there is no map {index}")

    def __deepcopy__(self, memo: dict[int, Any]) -> "RelevanceMaps":
        found = memo[id(self)] = _showing(self.as_subclass(Tensor).clone(), self.about)
        return found

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.as_subclass(Tensor).__reduce_ex__(protocol)  # type: ignore[no-untyped-call]


def showing(
    maps: Maps, images: Images, targets: Tensor, *, explainer: str, model: str, regions: Regions | None
) -> RelevanceMaps:
    """The same maps, which now show themselves; of the images only thumbnails are kept."""
    facts = About(
        explainer,
        model,
        tuple(targets.tolist()),
        _thumbnails(images),
        None if regions is None else regions.cpu().numpy(),
    )
    return _showing(maps, facts)


def _showing(maps: Tensor, facts: About) -> RelevanceMaps:
    found = maps.as_subclass(RelevanceMaps)
    found.about = facts
    return found


def _thumbnails(images: Images) -> NDArray[np.uint8]:
    """(B, h, w, 3), no side longer than SIDE."""
    height, width = images.shape[2:]
    scale = min(1.0, SIDE / max(height, width))
    small = (max(1, round(height * scale)), max(1, round(width * scale)))
    reduced = images if scale == 1 else interpolate(images, size=small, mode="area")
    pixels: NDArray[np.uint8] = (reduced * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    return pixels
