"""Where a run is kept: a folder, or a URL that fsspec knows. A file appears there whole or not at all."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pyarrow import fs as arrow_fs

from xai_bench.errors import RunError, UnknownNameError
from xai_bench.whole import write_whole


class Place(ABC):
    """A folder of small files in rooms, one level deep; names are `room/file` or `file`."""

    where: str  # as the user wrote it
    filesystem: Any  # pyarrow's view of it
    root: str  # its path there

    def __str__(self) -> str:
        return self.where

    @abstractmethod
    def read(self, name: str, start: int = 0, stop: int | None = None) -> bytes:
        """The bytes of a file, or some of them. Raises FileNotFoundError or OSError."""

    @abstractmethod
    def write(self, name: str, content: bytes) -> None:
        """Put a file there, whole or not at all. Raises RunError where that fails."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Take a file away; one that is not there is no error."""

    @abstractmethod
    def sizes(self, room: str = "") -> Mapping[str, int]:
        """Bytes of each file directly in a room, by name within the room, sorted; none where there is no room."""

    @abstractmethod
    def folders(self) -> list[str]:
        """Names of the folders at the top."""

    def exists(self, name: str) -> bool:
        """Whether there is such a file."""
        room, _, file = name.rpartition("/")
        return file in self.sizes(room)

    def path(self, name: str) -> str:
        """The file as pyarrow's view calls it."""
        return f"{self.root}/{name}"

    def refusal(self, error: Exception) -> RunError:
        """One sentence that names the place and the cause."""
        cause = (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
        kept = "; what is finished is kept" if self._is_begun() else ""
        return RunError(f"run folder {self.where!r} cannot be written: {cause}{kept}")

    def _is_begun(self) -> bool:
        with suppress(RunError):
            return self.exists("run.json")
        return True


class Disk(Place):
    """A folder of a local file system."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.where, self.root = folder, str(folder), str(folder)
        self.filesystem = arrow_fs.LocalFileSystem()

    def read(self, name: str, start: int = 0, stop: int | None = None) -> bytes:
        with (self.folder / name).open("rb") as file:
            file.seek(start)
            return file.read() if stop is None else file.read(stop - start)

    def write(self, name: str, content: bytes) -> None:
        path = self.folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, content)
        except OSError as error:
            raise self.refusal(error) from error

    def remove(self, name: str) -> None:
        try:
            (self.folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise self.refusal(error) from error

    def sizes(self, room: str = "") -> dict[str, int]:
        try:
            with os.scandir(self.folder / room) as entries:
                return dict(sorted(_sized(entries)))
        except FileNotFoundError:
            return {}
        except OSError as error:
            if self.folder.is_file():
                raise RunError(f"a run is kept in a folder, but {self.where!r} is a file") from error
            raise RunError(f"run folder {self.where!r} cannot be read: {error.strerror}") from error

    def folders(self) -> list[str]:
        with suppress(FileNotFoundError):
            return sorted(item.name for item in self.folder.iterdir() if item.is_dir())
        return []


class Remote(Place):
    """A URL; one put makes one file, which object stores show whole or not at all."""

    def __init__(self, url: str) -> None:
        self.where = url
        with self._told("reached"):
            self._fs, root = _opened(url)
        self.root = root.rstrip("/")
        self.filesystem = arrow_fs.PyFileSystem(arrow_fs.FSSpecHandler(self._fs))

    def read(self, name: str, start: int = 0, stop: int | None = None) -> bytes:
        content: bytes = self._fs.cat_file(self.path(name), start=start or None, end=stop)
        return content

    def write(self, name: str, content: bytes) -> None:
        with self._told("written"):
            self._fs.makedirs(self.path(name).rpartition("/")[0], exist_ok=True)
            self._fs.pipe_file(self.path(name), content)

    def remove(self, name: str) -> None:
        with self._told("written"), suppress(FileNotFoundError):
            self._fs.rm_file(self.path(name))

    def sizes(self, room: str = "") -> dict[str, int]:
        found = ((self._name(item), item["size"] or 0) for item in self._listed(room) if item["type"] == "file")
        return dict(sorted(found))

    def folders(self) -> list[str]:
        return sorted(self._name(item) for item in self._listed("") if item["type"] == "directory")

    def _listed(self, room: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        with self._told("read"), suppress(FileNotFoundError, NotADirectoryError):
            self._fs.invalidate_cache()
            items = self._fs.ls(self.path(room).rstrip("/"), detail=True)
        return items

    @staticmethod
    def _name(item: Mapping[str, Any]) -> str:
        return str(item["name"]).rstrip("/").rpartition("/")[2]

    @contextmanager
    def _told(self, verb: str) -> Iterator[None]:
        try:
            yield
        except (RunError, UnknownNameError, FileNotFoundError):
            raise
        except Exception as error:  # drivers raise what their own libraries raise
            raise RunError(
                f"run folder {self.where!r} cannot be {verb}: {str(error) or type(error).__name__}"
            ) from error


class Listed(Place):
    """A place that nobody else writes, each room listed once."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.where, self.filesystem, self.root = place.where, place.filesystem, place.root
        self._sizes: dict[str, dict[str, int]] = {}
        self._folders: list[str] | None = None

    def read(self, name: str, start: int = 0, stop: int | None = None) -> bytes:
        return self.place.read(name, start, stop)

    def write(self, name: str, content: bytes) -> None:
        self.place.write(name, content)
        room, _, file = name.rpartition("/")
        self._room(room)[file] = len(content)

    def remove(self, name: str) -> None:
        self.place.remove(name)
        room, _, file = name.rpartition("/")
        self._room(room).pop(file, None)

    def sizes(self, room: str = "") -> Mapping[str, int]:
        return MappingProxyType(self._room(room))

    def folders(self) -> list[str]:
        if self._folders is None:
            self._folders = self.place.folders()
        return self._folders

    def _room(self, room: str) -> dict[str, int]:
        if room not in self._sizes:
            self._sizes[room] = dict(self.place.sizes(room))
        return self._sizes[room]


def place(where: str | Path) -> Place:
    """A folder or a URL such as `s3://bucket/run`. A URL without its driver is refused with what to install."""
    if isinstance(where, str) and "://" in where:
        return Disk(Path(where.removeprefix("file://"))) if where.startswith("file://") else Remote(where)
    return Disk(Path(where))


def is_url(where: object) -> bool:
    """Whether a run folder is named by a URL, which no Path can hold."""
    return isinstance(where, str) and "://" in where and not where.startswith("file://")


def _sized(entries: Iterator["os.DirEntry[str]"]) -> Iterator[tuple[str, int]]:
    """Files that another process takes away meanwhile are left out."""
    for entry in entries:
        with suppress(FileNotFoundError):
            if entry.is_file():
                yield entry.name, entry.stat().st_size


def _opened(url: str) -> tuple[Any, str]:
    import fsspec  # noqa: PLC0415 - only where a run is kept at a URL
    from fsspec.registry import known_implementations  # noqa: PLC0415

    scheme = url.partition("://")[0]
    try:
        filesystem, root = fsspec.core.url_to_fs(url)
    except ImportError as error:
        hint = str(known_implementations.get(scheme, {}).get("err", "")) or str(error)
        raise RunError(f"run folder {url!r} needs a driver that is not installed: {hint}") from error
    except ValueError as error:
        if scheme in known_implementations:
            raise
        raise UnknownNameError.of(
            "kind of URL", f"{scheme}://", [f"{name}://" for name in known_implementations]
        ) from error
    return filesystem, root
