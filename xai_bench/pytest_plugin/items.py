"""The tests of a suite: a cell of the reference each, and one for the cells that are new."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import pytest

from xai_bench.errors import XaiBenchError
from xai_bench.pytest_plugin.endings import CRASH, bad_input, ending
from xai_bench.pytest_plugin.gate import Cell, Gate, NotMadeError
from xai_bench.pytest_plugin.settings import allows_undecided

if TYPE_CHECKING:
    from xai_bench.gate import Verdict

NEW, FIRST = "new-cells", "reference"


class Checked(pytest.File):
    """The file of a suite, or the reference of a run."""

    gate: Gate

    @classmethod
    def of(cls, parent: pytest.Collector, gate: Gate) -> "Checked":
        found: Checked = cls.from_parent(parent, path=gate.settings.anchor)
        found.gate = gate
        return found

    def collect(self) -> Iterator[pytest.Item]:
        """Reads the reference and runs nothing."""
        if self.gate.is_new:
            yield FirstItem.from_parent(self, name=FIRST)
            return
        try:
            cells = self.gate.cells
        except XaiBenchError as error:
            raise self.CollectError(str(error)) from error
        for cell, name in zip(cells, names(cells), strict=True):
            yield CellItem.from_parent(self, name=name, cell=cell)
        yield NewItem.from_parent(self, name=NEW)


class GateItem(pytest.Item):
    """Stands on the check of the session."""

    def __init__(self, name: str, parent: Checked) -> None:
        super().__init__(name, parent)
        self.gate = parent.gate
        self.add_marker("xai_bench")

    def setup(self) -> None:
        """Makes the check, or waits for it: what goes wrong here is an error, not a failure."""
        try:
            self.prepare()
        except NotMadeError as error:
            pytest.skip(f"not checked: {error}")
        except XaiBenchError as error:
            raise bad_input(error, pytrace=False) from None
        except BaseException as error:  # also of code that calls sys.exit
            ending(error, CRASH)
            raise

    def prepare(self) -> None:
        _ = self.gate.check

    def reportinfo(self) -> tuple[str, None, str]:
        return str(self.path), None, headline(self.path.name, self.name)


class CellItem(GateItem):
    """Passes where the cell did not get worse."""

    def __init__(self, name: str, parent: Checked, cell: Cell) -> None:
        super().__init__(name, parent)
        self.cell = cell

    def runtest(self) -> None:
        from xai_bench.pytest_plugin import words  # noqa: PLC0415 - pandas only where something is checked

        verdict = self.gate.verdict(self.cell)
        self.user_properties.extend(words.properties(verdict))
        judge(verdict, allow_undecided=allows_undecided(self.config), failures=self.gate.failures)


class NewItem(GateItem):
    """Skipped where there are cells that the reference has not; they decide nothing."""

    def runtest(self) -> None:
        from xai_bench.pytest_plugin import words  # noqa: PLC0415

        if new := self.gate.new:
            pytest.skip(words.new(new))


class FirstItem(GateItem):
    """In the place of all others where the reference is yet to be written; fails, since nothing was checked."""

    def prepare(self) -> None:
        self.gate.make()

    def runtest(self) -> None:
        from xai_bench.pytest_plugin import words  # noqa: PLC0415

        pytest.fail(words.first(self.gate.settings.reference), pytrace=False)


def judge(verdict: "Verdict", *, allow_undecided: bool, failures: Sequence[str]) -> None:
    """Pass, skip or fail, with the reason in a few lines."""
    from xai_bench.pytest_plugin import words  # noqa: PLC0415

    if verdict.verdict in ("regression", "vanished"):
        pytest.fail(words.worse(verdict, failures), pytrace=False)
    if verdict.verdict == "undecided" and allow_undecided:
        pytest.skip(words.undecided(verdict))
    if verdict.verdict == "undecided":
        pytest.fail(words.undecided(verdict), pytrace=False)
    if verdict.verdict in ("unscored", "ignored"):
        pytest.skip(words.without(verdict))


def headline(file: str, name: str) -> str:
    """Over what a test says."""
    return f"{file}: {name}"


def names(cells: Sequence[Cell]) -> Iterator[str]:
    """`deletion-gradcam-resnet18`; with the data where there are several, with a number where two would be one."""
    several = len({cell.data for cell in cells}) > 1
    seen = Counter((NEW, FIRST))
    for cell in cells:
        parts = [cell.metric, *([cell.explainer] if cell.explainer != "none" else []), cell.model]
        name = "-".join(map(_plain, [*parts, *([cell.data] if several else [])]))
        seen[name] += 1
        yield name if seen[name] == 1 else f"{name}-{seen[name]}"


def _plain(name: str) -> str:
    """Without what pytest, a shell or a file name reads as something else."""
    return re.sub(r"[^\w.,=+()@]+", "_", name) or "_"
