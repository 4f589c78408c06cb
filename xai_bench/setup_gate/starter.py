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
NAMES = {"pictures": "masks"}  # inside a folder of data


@dataclass(frozen=True)
class Starter:
    """What the user says of it; paths start at the current folder."""

    model: Mapping[str, Any] = field(default_factory=dict)  # table of a suite
    data: Path | None = None  # a folder of pictures; None: planted images
    masks: Path | None = None
    explainers: tuple[str, ...] = ()  # EXPLAINERS where empty
    metrics: tuple[str, ...] = ()  # METRICS where empty, and LOCATED where the data know the object

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
        return None if self.data is None else len(self._found)

    def text(self, folder: Path, n: int, why: str = "") -> str:
        """A suite of n images that is to lie in a folder, `why` they are so many beside the number."""
        lists = {
            "explainers": list(self.explainers or EXPLAINERS),
            "metrics": list(self.metrics or self._metrics),
        }
        return "\n".join(
            [
                "# What `xai-bench run` scores, and `xai-bench check` holds against the reference beside this file.",
                *in_lines(lists),
                "",
                "[[models]]",
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
        if self.data is None:
            return {"name": "planted", "size": self._size}
        pictures, masks = self.data, self.masks
        for inner, beside in NAMES.items():
            if (self.data / inner).is_dir():
                pictures, masks = self.data / inner, masks or self.data / beside
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
        located = self.data is None or "regions" in self._found.knows
        return (*METRICS, LOCATED) if located else METRICS

    def check(self, suite: Path) -> None:
        """Refuse a suite without a model."""
        if "name" not in self.model:
            raise InvalidValueError(
                f"suite {str(suite)!r} does not exist, and a new one needs a model, such as --model timm:resnet18 or "
                "--model torch:package.module:factory --set checkpoint=weights.safetensors"
            )
        if self.masks and not self.data:
            raise InvalidValueError("--masks mirror the pictures of --data; give both")


def _moved(table: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """With paths that start where the suite lies."""

    def moved(key: str, value: Any) -> Any:
        if key not in PATH_KEYS or not isinstance(value, str) or value.startswith(("$", "~")):
            return value
        return Path(os.path.relpath(value, folder)).as_posix()

    return {key: moved(key, value) for key, value in table.items()}
