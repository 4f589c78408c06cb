"""Maps in files: which file or array is which sample's, and how one is read. Nothing in a file is ever executed."""

import json
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float32
from PIL import Image
from safetensors import SafetensorError, safe_open
from torch import Tensor

from xai_bench.data.folder import SUFFIXES as PICTURES
from xai_bench.digests import file_digest
from xai_bench.errors import DataError, InvalidValueError, UnknownNameError
from xai_bench.keys import digest

SUFFIXES = (".npz", ".safetensors", ".png")
GREY = {"1": 1, "L": 255, "I;16": 65535, "I;16B": 65535, "I": 65535}  # Pillow mode -> white
# what numpy, safetensors and Pillow raise on damaged files
UNREADABLE = (
    *(OSError, ValueError, TypeError, KeyError, IndexError, SyntaxError, EOFError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error, struct.error, SafetensorError, Image.DecompressionBombError),
)


class Place(NamedTuple):
    """Where one map lies."""

    file: Path
    array: str | None = None  # None: the file's only one, or the one called `key`
    row: int | None = None  # of an array that holds the maps of several samples


@dataclass(frozen=True)
class MapFiles:
    """The maps below a folder, in one file, or in a run's folder.

    A sample's map is the file of its id, with or without the id's own picture suffix (`cat/tom.png.npz` or
    `cat/tom.npz`), or else the array of this name in any npz or safetensors file. A run's own files say which samples
    they hold. What two samples could mean, or two arrays be, is refused.
    """

    path: Path
    key: str
    _whose: dict[Path, str] = field(init=False, default_factory=dict, compare=False, repr=False)  # file -> its sample

    def __post_init__(self) -> None:
        if not self.files:
            raise DataError(f"no maps in {str(self.path)!r}; looked for {', '.join(SUFFIXES)}")
        # what is ambiguous is refused now
        self._places if self._is_run else self._by_name  # noqa: B018

    @property
    def root(self) -> Path:
        """The folder that ids start at; a run keeps its maps in a room of its own."""
        return self.path / "maps" if (self.path / "run.json").is_file() else self.path

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """Every file that may hold maps, sorted."""
        if not self.path.exists():
            around = self.path.absolute().parent.glob("*")
            siblings = [item.name for item in around if item.is_dir() or item.suffix.lower() in SUFFIXES]
            raise DataError(str(UnknownNameError.of(f"place of maps {str(self.path)!r}:", self.path.name, siblings)))
        found = self.root.rglob("*") if self.root.is_dir() else iter([self.root])
        return tuple(sorted(file for file in found if file.suffix.lower() in SUFFIXES and file.is_file()))

    @property
    def contents(self) -> str:
        """Twelve hexadecimal digits over the names and bytes of all files."""
        return digest(*((self._name(file), file_digest(file)) for file in self.files))

    def read(self, sample: str) -> Float32[Tensor, "h w"]:
        """One sample's map. Raises DataError where there is none, or none that can be used."""
        place = self._place(sample)
        try:
            return _checked(self._loaded(place, sample))
        except (DataError, *UNREADABLE) as error:
            raise DataError(f"stored map cannot be used: {place.file.name}: {error}") from error

    def _place(self, sample: str) -> Place:
        file = self._of_file(sample)
        arrays = [place for place in self._places.get(sample, ()) if place.file != file]
        places: list[Place] = [*([Place(file)] if file else ()), *arrays]
        if len(places) > 1:
            names = " and ".join(self._name(place.file) for place in places)
            raise InvalidValueError(f"{str(self.path)!r} has several maps of {sample!r}: in {names}")
        if not places:
            raise DataError("no stored map")
        return places[0]

    def _of_file(self, sample: str) -> Path | None:
        """The file called by the id, or by the id without its picture suffix; another dot may be any name's."""
        stem, dot, suffix = sample.rpartition(".")
        file = self._by_name.get(sample) or (self._by_name.get(stem) if f"{dot}{suffix}".lower() in PICTURES else None)
        if file and (other := self._whose.setdefault(file, sample)) != sample:
            raise InvalidValueError(
                f"{self._name(file)} in {str(self.path)!r} would be the map of {other!r} and of {sample!r}; name maps "
                f"by the whole ids, as {other}{file.suffix}"
            )
        return file

    def _name(self, file: Path) -> str:
        return file.relative_to(self.root).as_posix() if self.root.is_dir() else file.name

    @cached_property
    def _by_name(self) -> Mapping[str, Path]:
        """Files by the id that their name stands for."""
        if self._is_run or not self.root.is_dir():
            return {}
        found: dict[str, Path] = {}
        for file in self.files:
            name = self._name(file).removesuffix(file.suffix)
            if name in found:
                raise DataError(f"{str(self.path)!r} has two maps of {name!r}: {found[name].name} and {file.name}")
            found[name] = file
        return found

    @cached_property
    def _places(self) -> Mapping[str, Sequence[Place]]:
        """Maps by the id that an array is called by. Files of one map each may all call theirs alike."""
        if self._is_run:
            return _of_run(self.path, self.files, self.key)
        found: dict[str, list[Place]] = {}
        for file in self.files:
            for name in _names(file):
                found.setdefault(name, []).append(Place(file, name))
        return found

    @cached_property
    def _is_run(self) -> bool:
        return self.files[0].suffix == ".safetensors" and _index(self.files[0]) is not None

    def _loaded(self, place: Place, sample: str) -> Tensor:
        if place.file.suffix.lower() == ".png":
            return _picture(place.file)
        name = place.array or _only(_names(place.file, strict=True), self.key, sample)
        return _array(place.file, name, place.row)


def _names(file: Path, *, strict: bool = False) -> list[str]:
    """The arrays of a file; a damaged one has none, unless `strict`, which raises what is wrong."""
    try:
        match file.suffix.lower():
            case ".npz":
                with file.open("rb") as content, np.load(content) as arrays:
                    return list(arrays.files)
            case ".safetensors":
                with safe_open(file, "pt") as tensors:
                    return list(tensors.keys())
    except UNREADABLE:
        if strict:
            raise
    return []


def _only(names: list[str], key: str, sample: str) -> str:
    """The array meant: the one called `key`, or by the id, or the only one."""
    if meant := next((name for name in (key, sample) if name in names), None):
        return meant
    if len(names) != 1:
        raise DataError(f"it holds the arrays {', '.join(sorted(names)) or 'none'}; name one as key")
    return names[0]


def _array(file: Path, name: str, row: int | None) -> Tensor:
    """One array, or of a safetensors file one row of it, (1, ...)."""
    if file.suffix.lower() == ".npz":
        with file.open("rb") as content, np.load(content) as arrays:  # without pickles, which could be code
            values = arrays[name]
            return torch.from_numpy(values.astype(values.dtype.newbyteorder("=")))
    with safe_open(file, "pt") as tensors:
        found: Tensor = tensors.get_tensor(name) if row is None else tensors.get_slice(name)[row : row + 1]
    return found


def _picture(file: Path) -> Tensor:
    """A grey picture, black 0 and white 1."""
    with Image.open(file) as picture:
        if picture.mode not in GREY:
            raise DataError(f"a map is a grey picture of 8 or 16 bits, this one is {picture.mode}")
        return torch.from_numpy(np.asarray(picture).astype(np.float64) / GREY[picture.mode])


def _checked(found: Tensor) -> Float32[Tensor, "h w"]:
    """Real finite numbers, rows by columns; leading axes of length 1 are dropped."""
    shape = tuple(found.shape)
    while found.ndim > 2 and len(found) == 1:
        found = found[0]
    if found.ndim != 2 or not found.numel():
        raise DataError(f"a map is rows by columns, its shape is {shape}")
    if found.is_complex():
        raise DataError("a map is real numbers, its are complex")
    if not (values := found.to(torch.float32)).isfinite().all():
        raise DataError("its numbers are not all finite")
    return values


def _index(file: Path) -> Any:
    """What one of a run's own files says it holds: data, ids, (model, explainer); None of any other file."""
    try:
        with safe_open(file, "pt") as tensors:
            found = json.loads((tensors.metadata() or {})["index"])
    except UNREADABLE:
        return None
    return found if _is_index(found) else None


def _is_index(found: Any) -> bool:
    """Whether this is {data: word, ids: [word], names: [[model, explainer]]}; any file may have an entry `index`."""
    match found:
        case {"data": str(), "ids": [*ids], "names": [*names]}:
            pairs = all(isinstance(pair, list) and len(pair) == 2 for pair in names)
            return pairs and all(isinstance(word, str) for word in chain(ids, *names))
    return False


def _of_run(path: Path, files: tuple[Path, ...], key: str) -> dict[str, Sequence[Place]]:
    """A run's maps of the one explainer of one model that `key` names: `gradcam`, or `timm:resnet18/gradcam`."""
    indices = [(file, index) for file in files if (index := _index(file))]
    pairs = {(model, explainer) for _, index in indices for model, explainer in index["names"]}
    chosen = {pair for pair in pairs if key in ("", pair[1], "/".join(pair))}
    if len(chosen) != 1:
        raise InvalidValueError(
            f"key of maps must say which maps of the run {str(path)!r} are meant, one of "
            f"{', '.join(sorted(map('/'.join, pairs)))}; got {key!r}"
        )
    if len(data := {index["data"] for _, index in indices}) > 1:
        raise InvalidValueError(f"the run {str(path)!r} keeps maps of several data ({', '.join(sorted(data))})")
    return {sample: (place,) for sample, place in _rows(indices, *chosen)}


def _rows(indices: list[tuple[Path, Any]], pair: tuple[str, str]) -> Iterator[tuple[str, Place]]:
    for file, index in indices:
        for number, name in enumerate(index["names"]):
            if tuple(name) == pair:
                yield from ((sample, Place(file, str(number), row)) for row, sample in enumerate(index["ids"]))
