"""A folder of the user's own pictures, in class folders or flat, with masks or boxes where there are any."""

import csv
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from xai_bench.data.files import Entry, FileData, check_labels, existing_folder, positional
from xai_bench.data.masks import MaskFile
from xai_bench.errors import DataError, InvalidValueError, UnknownNameError
from xai_bench.types import Box, Card

SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"}
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Folder(FileData):
    """Pictures in PATH/CLASS/..., labelled by class folder, or directly in PATH, without labels.

    The labels number the sorted class folders, unless `class_index` says otherwise or all folder names are integers,
    which are then the labels as they stand. Ids are paths below PATH.
    There is one split: point `path` at the folder of the split.
    """

    card: ClassVar[Card] = Card("folder", source="yours", summary="your own pictures, with masks or boxes if any")

    path: str | Path = ""
    masks: str | Path | None = None  # mirrors PATH; same stem, any suffix; which values are the object: MaskFile
    boxes: str | Path | None = None  # csv with columns file, x0, y0, x1, y1, or json {file: [[x0, y0, x1, y1], ...]}
    class_index: Mapping[str, int] | None = None

    @property
    def root(self) -> Path:
        """The folder as a path."""
        return Path(self.path)

    @property
    def name(self) -> str:
        return f"folder/{self.root.absolute().name}"

    @property
    def classes(self) -> tuple[str, ...]:
        return positional(self._labels.items())

    def listed(self) -> Sequence[Entry]:
        if not str(self.path):
            raise InvalidValueError("dataset folder needs a path, got none")
        found = _pictures(existing_folder(self.root))
        flat = [file for file in found if file.parent == self.root]
        if not found:
            raise DataError(f"no pictures in folder {str(self.root)!r}; looked for {', '.join(sorted(SUFFIXES))}")
        if flat and len(flat) < len(found):
            raise DataError(f"folder {str(self.root)!r} has pictures beside class folders, such as {flat[0].name!r}")
        masks, boxes = self._masks(), self._boxes(found)
        return [self._entry(file, masks, boxes) for file in found]

    def _entry(self, file: Path, masks: Mapping[str, Path], boxes: Mapping[str, tuple[Box, ...]]) -> Entry:
        inside = file.relative_to(self.root)
        label = self._labels[inside.parts[0]] if len(inside.parts) > 1 else None
        drawn = masks.get(inside.with_suffix("").as_posix())
        mask = MaskFile(drawn) if drawn else None
        return Entry(inside.as_posix(), file, label, mask, boxes.get(inside.as_posix(), ()))

    @cached_property
    def _labels(self) -> dict[str, int]:
        # An empty class folder keeps its number, so that the labels of the others stay.
        names = sorted(item.name for item in self.root.iterdir() if item.is_dir() and not item.name.startswith("."))
        if self.class_index is not None:
            labels = {name: _label(name, self.class_index) for name in names}
        elif all(name.isascii() and name.isdigit() for name in names):
            labels = {name: int(name) for name in names}
        else:
            labels = {name: label for label, name in enumerate(names)}
        check_labels(labels.values())
        return labels

    def _masks(self) -> dict[str, Path]:
        if self.masks is None:
            return {}
        root = existing_folder(Path(self.masks))
        pairs = [(file.relative_to(root).with_suffix("").as_posix(), file) for file in _pictures(root)]
        twice = [stem for stem, count in Counter(stem for stem, _ in pairs).items() if count > 1]
        if twice:
            raise DataError(f"folder {str(root)!r} has two masks for {twice[0]!r}")
        if not {stem for stem, _ in pairs} & {self._stem(file) for file in _pictures(self.root)}:
            raise DataError(f"no mask in {str(root)!r} mirrors a picture in {str(self.root)!r}, such as CLASS/NAME.png")
        return dict(pairs)

    def _stem(self, file: Path) -> str:
        return file.relative_to(self.root).with_suffix("").as_posix()

    def _boxes(self, pictures: Sequence[Path]) -> dict[str, tuple[Box, ...]]:
        """Boxes by id; a file may be named by its path below PATH or, where that is unique, by its name alone."""
        if self.boxes is None:
            return {}
        source, names = Path(self.boxes), Counter(file.name for file in pictures)
        given = read_boxes(source)
        inside = {file.relative_to(self.root).as_posix(): file.name for file in pictures}
        found = {
            path: given.get(path) or (given.get(name) if names[name] == 1 else None) for path, name in inside.items()
        }
        if not any(found.values()):
            wrong = next(iter(given), "nothing")
            raise DataError(f"no box in {source.name} fits: " + str(UnknownNameError.of("picture", wrong, inside)))
        return {path: boxes for path, boxes in found.items() if boxes}


def read_boxes(path: Path) -> dict[str, tuple[Box, ...]]:
    """Boxes of each file; DataError where a line is not four numbers with x0 < x1 and y0 < y1."""
    readers = {".csv": _csv_rows, ".json": _json_rows}
    if path.suffix.lower() not in readers:
        raise DataError(f"boxes must be a .csv or .json file, got {path.name!r}")
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = readers[path.suffix.lower()](text)
        boxes: dict[str, list[Box]] = {}
        for file, numbers in rows:
            boxes.setdefault(file, []).append(_box(file, numbers))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"cannot read boxes {path.name}: {type(error).__name__}: {error}") from error
    return {file: tuple(found) for file, found in boxes.items()}


def _csv_rows(text: str) -> Iterable[tuple[str, Any]]:
    return [
        (row["file"], [row[name] for name in ("x0", "y0", "x1", "y1")]) for row in csv.DictReader(text.splitlines())
    ]


def _json_rows(text: str) -> Iterable[tuple[str, Any]]:
    return [(file, numbers) for file, found in json.loads(text).items() for numbers in found]


def _box(file: str, numbers: Any) -> Box:
    x0, y0, x1, y1 = map(float, numbers)
    if not (x0 < x1 and y0 < y1):
        raise DataError(f"a box of {file!r} must have x0 < x1 and y0 < y1, got {[x0, y0, x1, y1]}")
    return Box(x0, y0, x1, y1)


def _label(name: str, index: Mapping[str, int]) -> int:
    if name not in index:
        raise UnknownNameError.of("class folder", name, index)
    return index[name]


def _pictures(root: Path) -> list[Path]:
    files = sorted(file for file in root.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
    return [file for file in files if not any(part.startswith(".") for part in file.relative_to(root).parts)]
