"""Bad input and crashes: errors of a session, which none can take for explanations that got worse."""

from typing import Any, TypeVar

import pytest

ENDING, BAD_INPUT, CRASH = "xai_bench_ending", "bad input", "crash"  # a property of the reports of a test
CODES = {BAD_INPUT: pytest.ExitCode.USAGE_ERROR, CRASH: pytest.ExitCode.INTERNAL_ERROR}  # the last one wins
Error = TypeVar("Error", bound=BaseException)


def ending(error: Error, kind: str) -> Error:
    """The error; a test that it ends, and does not catch it, ends the session so."""
    setattr(error, ENDING, kind)
    return error


def bad_input(error: Exception, *, pytrace: bool) -> BaseException:
    """Ends a test with the sentence of an error that the user can mend; `pytrace`: with the line of the test."""
    return ending(pytest.fail.Exception(f"{BAD_INPUT}: {error}", pytrace=pytrace), BAD_INPUT)


class Endings:
    """Of every session; the exit code is that of the first process, which pytest-xdist calls the controller."""

    def __init__(self) -> None:
        self.seen: set[str] = set()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[Any]) -> None:
        """From the error into the reports, which also come from other processes."""
        error = call.excinfo.value if call.excinfo else None
        if kind := getattr(error, ENDING, ""):
            item.user_properties.append((ENDING, kind))

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.CollectReport | pytest.TestReport) -> tuple[str, str, str] | None:
        """An error also where it is a test's own code that asked, and not its setup."""
        return ("error", "E", "ERROR") if _kinds(report) else None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Also of what another process ran."""
        self.seen |= _kinds(report)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Bad input is pytest's usage error and a crash its internal error."""
        if hasattr(session.config, "workerinput"):
            return
        for kind, code in CODES.items():
            session.exitstatus = code if kind in self.seen else session.exitstatus


def _kinds(report: pytest.CollectReport | pytest.TestReport) -> set[str]:
    if not (isinstance(report, pytest.TestReport) and report.failed):
        return set()
    return {str(value) for name, value in report.user_properties if name == ENDING}
