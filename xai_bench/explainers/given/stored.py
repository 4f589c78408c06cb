"""Maps that somebody made elsewhere, by whatever means, and left in files."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import torch
from torch.nn import functional

from xai_bench.adapters import VisionModel
from xai_bench.errors import DataError, InvalidValueError
from xai_bench.explainers.explainer import Explainer
from xai_bench.explainers.given.map_files import MapFiles
from xai_bench.seeding import Noise
from xai_bench.types import Batch, ExplainerCard, Images, Maps, Targets

NO_PATH = "explainer 'maps' needs the folder that holds them: maps:FOLDER, or a table with a path"


@dataclass(frozen=True)
class StoredMaps(Explainer):
    """The map of each image that lies in a file, found by the image's id. `maps:FOLDER` is the same.

    FOLDER holds ID.npz, ID.safetensors or ID.png for each id, an id's own picture suffix dropped or not, its slashes
    being folders; or npz or safetensors files with one array per id; or it is a run that kept its maps. An npz or
    safetensors file of one map holds one array, or one that is called `key`. A map is (H, W), signed, of the image as
    the model sees it; one of another size is resized bilinearly, antialiased where it gets smaller. A grey png of 8 or
    16 bits becomes 0 (black) to 1 (white).

    An image without a map, or whose map is damaged, not finite or not (H, W), is undefined, with the reason. Nobody
    here knows what was explained: the target of the run should be that of the maps. Metrics that explain altered
    images or other samples are undefined. The files' bytes are part of what it is, where they lie is not.
    """

    card: ClassVar = ExplainerCard(
        "maps", source="yours", summary="maps that lie in files, by the id of each image", family="given", passes="0"
    )

    path: str = field(default="", repr=False)  # a folder, one file of many maps, or a run's folder
    key: str = ""  # array of a file with several; of a run EXPLAINER, or MODEL/EXPLAINER
    label: str = ""  # what tables call it [default: the folder's name]
    contents: str = field(init=False, default="")  # a hash of the files

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.path:
            object.__setattr__(self, "label", self.label or Path(self.path).absolute().name)
            object.__setattr__(self, "contents", self._files.contents)

    def __call__(self, model: VisionModel, images: Images, targets: Targets, noise: Noise) -> Maps:  # type: ignore[override]  # noqa: ARG002
        if not self.path:
            raise InvalidValueError(NO_PATH)
        maps = [self._map(sample, (images.shape[2], images.shape[3])) for sample in noise.ids]
        return torch.stack(maps).to(images.device)

    @property
    def anew(self) -> bool:
        return False

    def unfit(self, model: VisionModel) -> str:  # noqa: ARG002
        return "" if self.path else NO_PATH

    def lacks(self, batch: Batch) -> tuple[str, ...]:
        return tuple(map(self._lack, batch.ids))

    @cached_property
    def _files(self) -> MapFiles:
        return MapFiles(Path(self.path), self.key)

    def _lack(self, sample: str) -> str:
        try:
            self._files.read(sample)
        except DataError as error:
            return str(error)
        return ""

    def _map(self, sample: str, size: tuple[int, int]) -> torch.Tensor:
        """(H, W); nan where `lacks` says why."""
        try:
            found = self._files.read(sample)
        except DataError:
            return torch.full(size, torch.nan)
        if tuple(found.shape) == size:
            return found
        resized = functional.interpolate(found[None, None], size, mode="bilinear", align_corners=False, antialias=True)
        return resized[0, 0]
