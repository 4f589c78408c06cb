"""A suite to begin with: one model, three explainers, and what says most of explanations."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from xai_bench.errors import InvalidValueError
from xai_bench.setup_gate.toml_lines import in_lines
from xai_bench.toml import PATH_KEYS

EXPLAINERS = ("gradcam", "ig", "random")
METRICS = ("deletion", "insertion")
LOCATED = {"name": "pointing_game", "tolerance": 0}  # where the data know the object
LABELLED = "top1"  # where they know the class: a model that is sure of nothing has the best deletion
PLANTED = "planted"  # instead of a folder; a folder of this name is ./planted
NAMES = {"pictures": "masks"}  # inside a folder of data


@dataclass(frozen=True)
class Starter:
    """What the user says of it; paths start at the current folder."""

    model: Mapping[str, Any] = field(default_factory=dict)  # table of a suite
    data: str | Path | None = None  # a folder of pictures, or PLANTED
    masks: Path | None = None
    explainers: tuple[str, ...] = ()  # EXPLAINERS where empty
    metrics: tuple[str, ...] = ()  # METRICS where empty, and LOCATED or LABELLED where the data know enough

    @property
    def asked(self) -> tuple[str, ...]:
        """The options that were given: a suite that is there takes none."""
        given = {
            "--model or --set": self.model,
            "--data": self.data,
            "--masks": self.masks,
            "--explainer": self.explainers,
            "--metric": self.metrics,
        }
        return tuple(option for option, value in given.items() if value)

    @property
    def most(self) -> int | None:
        """Images that there are; None where they are drawn, as many as one likes."""
        return None if self.planted else len(self._found)

    @property
    def planted(self) -> bool:
        """Whether the images are drawn."""
        return self.data == PLANTED

    def text(self, folder: Path, n: int, why: str = "", takes: str = "") -> str:
        """A suite of n images that is to lie in a folder; `why` they are so many, and what the model takes, beside."""
        lists = {
            "explainers": list(self.explainers or EXPLAINERS),
            "metrics": list(self.metrics or self._metrics),
        }
        return "\n".join(
            [
                "# What `xai-bench run` scores, and `xai-bench check` holds against the reference beside this file.",
                *in_lines(lists),
                "",
                f"[[models]]{f' # {takes}' if takes else ''}",
                *in_lines(_moved(self.model, folder)),
                "",
                "[data]",
                *in_lines(_moved(self._data, folder)),
                "seed = 0 # of its own: the images stay the same whatever the suite's seed",
                f"n = {n} # images{f': {why}' if why else ''}",
                "",
            ]
        )

    @cached_property
    def _data(self) -> Mapping[str, Any]:
        if self.data is None or self.planted:
            return {"name": PLANTED, "size": self._size}
        given = Path(self.data)
        pictures, masks = given, self.masks
        for inner, beside in NAMES.items():
            if (given / inner).is_dir():
                pictures, masks = given / inner, masks or given / beside
        there = masks is not None and (masks.is_dir() or self.masks)
        return {"name": "folder", "path": str(pictures)} | ({"masks": str(masks)} if there else {})

    @cached_property
    def _found(self) -> Any:
        from xai_bench.data import load_data  # noqa: PLC0415 - torch only where pictures are looked at

        return load_data(**self._data)

    @cached_property
    def _size(self) -> int | list[int]:
        """Pixels that the model expects."""
        from xai_bench.adapters import load_model  # noqa: PLC0415

        height, width = load_model(**self.model).preprocessing.size
        return height if height == width else [height, width]

    @property
    def _metrics(self) -> tuple[Any, ...]:
        knows = {"regions", "labels"} if self.planted else self._found.knows
        return (*METRICS, *([LOCATED] if "regions" in knows else []), *([LABELLED] if "labels" in knows else []))

    def check(self, suite: Path) -> None:
        """Refuse a suite without a model, or without data."""
        if "name" not in self.model:
            raise InvalidValueError(
                f"suite {str(suite)!r} does not exist, and a new one needs a model, such as --model timm:resnet18 or "
                "--model torch:package.module:factory --set checkpoint=weights.safetensors"
            )
        if self.masks and (not self.data or self.planted):
            raise InvalidValueError("--masks mirror the pictures of --data; give both")
        if not self.data:
            raise InvalidValueError(
                f"suite {str(suite)!r} does not exist, and a new one needs data: --data FOLDER takes your pictures, "
                "--data planted draws shapes, right for models trained on them"
            )


def _moved(table: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """With paths that start where the suite lies."""

    def moved(key: str, value: Any) -> Any:
        if key not in PATH_KEYS or not isinstance(value, str) or value.startswith(("$", "~")):
            return value
        return Path(os.path.relpath(value, folder)).as_posix()

    return {key: moved(key, value) for key, value in table.items()}
