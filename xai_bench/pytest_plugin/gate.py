"""The check of a session: made by the first test that asks for it, in whichever process, and read by the others."""

import json
import tempfile
import warnings
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import pytest
from filelock import FileLock

from xai_bench.errors import IncompleteError, RunError, XaiBenchError
from xai_bench.pytest_plugin.endings import BAD_INPUT, CRASH
from xai_bench.pytest_plugin.settings import Settings, margins_file, margins_of

if TYPE_CHECKING:
    from xai_bench.gate import Check, Margins, Verdict
    from xai_bench.results import Results
    from xai_bench.runs.suite import Suite

FAILED, MADE, WORKING = "failed", "made.json", "working"
Done = TypeVar("Done")


class Cell(NamedTuple):
    """What has a score in the reference."""

    data: str
    model: str
    explainer: str  # "none" where the metric needs no map
    metric: str


class NotMadeError(Exception):
    """There is no check, and why has been told by another test."""


class Gate:
    """`folder` is where the processes of a session meet: it holds the lock, what became of the run, and the run."""

    def __init__(self, config: pytest.Config, settings: Settings, folder: str | None) -> None:
        self.config, self.settings = config, settings
        self._folder = folder

    @cached_property
    def folder(self) -> Path:
        """Made when it is first asked for, so that a session that runs nothing leaves nothing."""
        if self._folder is not None:
            return Path(self._folder)
        kept = getattr(self.config, "_tmp_path_factory", None)  # pytest's own: it keeps those of the last sessions
        return kept.mktemp("xai_bench") if kept else Path(tempfile.mkdtemp(prefix="xai_bench-"))

    @property
    def place(self) -> str | Path:
        """Of the run."""
        return self.settings.run or self.settings.out or self.folder / "run"

    @cached_property
    def is_new(self) -> bool:
        """Whether the reference is yet to be written: as it was when the session began."""
        return self.settings.update and not self.settings.reference.exists()

    def prepare(self) -> None:
        """Raises what can be known before anything is run."""
        if not self.settings.run:
            _ = self.suite
        if self.settings.update and self.settings.reference.is_dir():
            raise RunError(
                f"reference {str(self.settings.reference)!r} is a run folder, which --xai-bench-update cannot renew; "
                "name a reference file"
            )
        _ = self.margins, self.cells
        if self.settings.run and not (self.settings.update or self.config.option.collectonly):
            _ = self.check

    @cached_property
    def suite(self) -> "Suite":
        """As its file says."""
        from xai_bench.runs.suite import Suite  # noqa: PLC0415

        return Suite.read(self.settings.suite or Path())

    @cached_property
    def margins(self) -> "Margins":
        """Of the file, with the expressions on top."""
        return margins_of(self.config, margins_file(self.config, self.settings.suite))

    @cached_property
    def reference(self) -> "Results":
        """Read once, at the collection, so that an update cannot change what is compared with."""
        from xai_bench.results import load_run  # noqa: PLC0415

        path = self.settings.reference
        if not path.exists():
            raise RunError(
                f"there is no reference {str(path)!r}; start pytest once with --xai-bench-update, which writes it"
            )
        return load_run(path)

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """Of the reference, in its order."""
        if self.is_new:
            return ()
        frame = self.reference.scores[list(Cell._fields)].drop_duplicates()
        return tuple(Cell(*map(str, row)) for row in frame.itertuples(index=False, name=None))

    def verdict(self, cell: Cell) -> "Verdict":
        """Of a cell of the reference."""
        return next(one for one in self.check.verdicts if Cell(one.data, one.model, one.explainer, one.metric) == cell)

    @property
    def new(self) -> "Sequence[Verdict]":
        """Cells that the reference has not."""
        return self.check.of("new")

    @cached_property
    def check(self) -> "Check":
        """Made under the lock; raises NotMadeError where it failed before."""
        return self._once(self._checked)

    def make(self) -> None:
        """The run alone, under the lock; raises NotMadeError where it failed before."""
        self._once(self._scored)

    def _once(self, work: Callable[[], Done]) -> Done:
        """What fails is not tried again, by no process: a suite may have run for an hour until it did.

        Who works leaves a mark for as long; who holds the lock and finds one knows that its maker died.
        """
        failed, working = self.folder / FAILED, self.folder / WORKING
        with FileLock(self.folder / "lock"):
            if working.exists():
                raise NotMadeError("the process that was to make the check died, told by the first error")
            if failed.exists():
                raise NotMadeError(failed.read_text(encoding="utf-8"))
            working.write_text(self._worker, encoding="utf-8")
            try:
                return work()
            except BaseException as error:  # also of code that calls sys.exit
                kind = BAD_INPUT if isinstance(error, XaiBenchError) else f"a {CRASH}"
                failed.write_text(f"{kind}, told by the first error", encoding="utf-8")
                raise
            finally:
                working.unlink()

    @property
    def _worker(self) -> str:
        """The name that pytest-xdist gave to this process, which it gives to no other; "" of the first."""
        return str(getattr(self.config, "workerinput", {}).get("workerid", ""))

    def death(self, worker: str) -> str:
        """What to say of a worker that is no more, if the check died with it; else ""."""
        working = self.folder / WORKING
        if not working.exists() or working.read_text(encoding="utf-8") != worker:
            return ""
        did = "judged the run" if self.is_made else "ran the suite"
        alone = f"; `xai-bench run {self.settings.suite}` shows it alone" if self.settings.suite else ""
        return (
            f"{CRASH}: worker {worker} died while it {did}\n  it was killed, for want of memory perhaps, or code that "
            f"it ran ended it\n  this is no verdict, and it is not tried again{alone}"
        )

    def _checked(self) -> "Check":
        from xai_bench.results import check  # noqa: PLC0415

        return check(self._scored(), self.reference, self.margins)

    def _scored(self) -> "Results":
        from xai_bench.results import load_run  # noqa: PLC0415

        if not self.is_made:
            failures = () if self.settings.run else self._run()
            (self.folder / MADE).write_text(json.dumps(failures), encoding="utf-8")
        return load_run(self.place)

    @property
    def is_made(self) -> bool:
        """Whether there is a run."""
        return (self.folder / MADE).exists()

    @property
    def failures(self) -> Sequence[str]:
        """Units of the run that failed at every try, a sentence each."""
        found: list[str] = json.loads((self.folder / MADE).read_text(encoding="utf-8"))
        return found

    def _run(self) -> Sequence[str]:
        """The units that failed."""
        from xai_bench.api import run_suite  # noqa: PLC0415 - torch only where a suite is run
        from xai_bench.runs.means import Means  # noqa: PLC0415

        with warnings.catch_warnings():
            warnings.simplefilter("default")  # a project that makes warnings errors does not mean those of the run
            try:
                run_suite(self.suite, self.place, Means(progress=False))
            except IncompleteError as error:
                if not len(error.results.scores):
                    raise
                return error.failures
        return ()

    def renew(self) -> str:
        """The run becomes the reference; says so."""
        from xai_bench.results import load_run  # noqa: PLC0415

        load_run(self.place).save_reference(self.settings.reference)
        was = "written" if self.is_new else "renewed; look at what changed, and commit it"
        return f"reference {was}: {self.settings.reference}"
