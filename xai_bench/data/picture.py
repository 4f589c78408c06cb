"""One picture, for `xai-bench explain`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from xai_bench.data.files import Entry, FileData
from xai_bench.data.image import read_picture
from xai_bench.errors import DataError, InvalidValueError, UnknownNameError
from xai_bench.types import Card


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture(FileData):
    """A single picture file, with a label where `target` gives one. Refused, not faulted, where it cannot be read."""

    card: ClassVar[Card] = Card("picture", source="yours", summary="one picture file")

    can_know: ClassVar[frozenset[str]] = frozenset({"labels"})

    path: str | Path = ""
    target: int | None = None

    def listed(self) -> Sequence[Entry]:
        if not str(self.path):
            raise InvalidValueError("dataset picture needs a path, got none")
        path = Path(self.path)
        if not path.exists() and path.parent.is_dir():
            siblings = [item.name for item in path.parent.iterdir() if item.is_file()]
            raise DataError(str(UnknownNameError.of(f"file in {str(path.parent)!r}:", path.name, siblings)))
        read_picture(path)
        return [Entry(path.name, path, self.target)]
