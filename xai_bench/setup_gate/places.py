"""Where the files of a gate lie: beside the suite, and in the repository that the suite is in."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xai_bench.errors import InvalidValueError, UnknownNameError
from xai_bench.outputs import check_outputs
from xai_bench.setup_gate.service import SERVICES
from xai_bench.toml import PATH_KEYS

NO_SERVICE = "none"


@dataclass(frozen=True)
class Places:
    """The files that belong to a suite."""

    suite: Path  # STEM.toml
    service: str = NO_SERVICE  # that is to run it

    @property
    def stem(self) -> str:
        """What they are all called."""
        return self.suite.stem

    @property
    def margins(self) -> Path:
        """How much worse is allowed."""
        return self.suite.with_name(f"{self.stem}.margins.toml")

    @property
    def reference(self) -> Path:
        """The scores to hold later ones against."""
        return self.suite.with_name(f"{self.stem}.reference.json")

    @property
    def job(self) -> Path | None:
        """What the service reads; None where there is no service."""
        service = SERVICES.get(self.service)
        return self.root / service.file.format(stem=self.stem) if service else None

    @property
    def repository(self) -> Path | None:
        """The nearest folder above that git calls a working tree."""
        folder = self.suite.resolve().parent
        return next((one for one in (folder, *folder.parents) if (one / ".git").exists()), None)

    @property
    def root(self) -> Path:
        """Where a service starts: the repository's top, or the suite's folder where there is none."""
        return self.repository or self.suite.resolve().parent

    def from_root(self, path: Path) -> str:
        """A path as a service writes it."""
        return Path(os.path.relpath(path.resolve(), self.root)).as_posix()

    def check(self) -> None:
        """Refuse a suite that is no TOML file in a folder that exists, and a service that nobody knows."""
        if self.service not in (*SERVICES, NO_SERVICE):
            raise UnknownNameError.of("CI service", self.service, (*SERVICES, NO_SERVICE))
        if self.suite.suffix != ".toml" or self.suite.is_dir():
            raise InvalidValueError(f"a suite is a file NAME.toml, got {str(self.suite)!r}")
        if not self.suite.parent.is_dir():
            raise InvalidValueError(f"the suite's folder {str(self.suite.parent)!r} does not exist; make it first")
        check_outputs(
            [
                *(("the suite", self.suite), ("the file of margins", self.margins)),
                *(("the reference", self.reference), ("the job", self.job)),
            ]
        )


def outside(table: Mapping[str, Any] | str, places: Places) -> Iterator[str]:
    """The files that a table of a suite names and that the repository does not hold."""
    if isinstance(table, str) or places.repository is None:
        return
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from outside(value, places)
        elif key in PATH_KEYS and not Path(value).resolve().is_relative_to(places.root):
            yield f"{key} {str(value)!r}"


def shown(path: Path) -> str:
    """From the current folder where it lies below, else whole."""
    here = Path.cwd()
    whole = path.resolve()
    return (whole.relative_to(here) if whole.is_relative_to(here) else whole).as_posix()
