"""The hooks of a session that checks a suite."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from xai_bench.errors import XaiBenchError
from xai_bench.pytest_plugin.endings import BAD_INPUT, CRASH, ENDING, Endings
from xai_bench.pytest_plugin.gate import Gate, NotMadeError
from xai_bench.pytest_plugin.items import Checked, GateItem, headline
from xai_bench.pytest_plugin.settings import Settings

SHARED = "xai_bench_shared"  # of pytest-xdist's workers: the folder in which they meet


class Checking:
    """One for each process; the first, which pytest-xdist calls the controller, refuses, sums up and renews."""

    def __init__(self, config: pytest.Config, settings: Settings, endings: Endings) -> None:
        self.config, self.settings, self.endings = config, settings, endings
        self.gate = Gate(config, settings, getattr(config, "workerinput", {}).get(SHARED))
        self._renewed = ""
        if settings.is_added(config):
            config.args.append(str(settings.anchor))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """What can be refused before anything is run is refused, before pytest-xdist starts its workers."""
        if self._is_first and self.settings.is_within(self.config):
            try:
                self.gate.prepare()
            except XaiBenchError as error:
                raise pytest.UsageError(str(error)) from error

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Of pytest-xdist: workers meet in one folder, so that one runs the suite and the others wait for it."""
        node.workerinput[SHARED] = str(self.gate.folder)

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, crashitem: str, report: pytest.TestReport) -> None:
        """Of pytest-xdist: a worker died in this test. Where it is one of ours that is an error, told once."""
        file, _, name = crashitem.partition("::")
        worker = str(report.node.gateway.id)  # pytest-xdist's
        said = self.gate.death(worker)
        if not said and Path(file).name != self.settings.anchor.name:
            return
        report.when, report.location = "setup", (file, None, headline(Path(file).name, name))
        report.longrepr = said or f"{CRASH}: worker {worker} died while it waited for the check; this is no verdict"
        report.user_properties.append((ENDING, CRASH))

    def pytest_report_header(self) -> str | None:
        return f"xai_bench: {self.settings.words}" if self.settings.is_within(self.config) else None

    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        """The cells of the reference are the tests of the suite's file."""
        return Checked.of(parent, self.gate) if file_path == self.settings.anchor else None

    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> pytest.TestReport | None:
        """A cell is skipped where the suite stands, not at a line of ours."""
        if not isinstance(item, GateItem):
            return None
        report = pytest.TestReport.from_item_and_call(item, call)
        if report.skipped and isinstance(report.longrepr, tuple):
            report.longrepr = (str(item.path), 1, report.longrepr[2])
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Before `Endings` gives the exit code."""
        if self._is_first and self.settings.update and self.gate.is_made and CRASH not in self.endings.seen:
            try:
                self._renewed = self.gate.renew()
            except XaiBenchError as error:
                self._renewed = f"error: {error}"
                self.endings.seen.add(BAD_INPUT)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.config.option.collectonly or not self.gate.is_made:
            return
        terminalreporter.section("explanations", "-")
        for line in self._lines():
            terminalreporter.write_line(line)

    def _lines(self) -> Iterator[str]:
        if not self.gate.is_new:
            with suppress(XaiBenchError, NotMadeError):  # told by the test that asked first
                yield from (self.gate.check.sentence, *self.gate.check.notes)
        yield from (f"failed: {failure}" for failure in self.gate.failures)
        yield f"run: {self.gate.place}"
        if self._renewed:
            yield self._renewed

    @property
    def _is_first(self) -> bool:
        return not hasattr(self.config, "workerinput")
