"""The fixture `faithfulness`: results held to a reference beside the test, as pytest-regressions does with data."""

import hashlib
import re
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from xai_bench.errors import InvalidValueError, XaiBenchError
from xai_bench.pytest_plugin.endings import CRASH, bad_input, ending
from xai_bench.pytest_plugin.settings import allows_undecided, margins_file, margins_of, placed, updates

if TYPE_CHECKING:
    from xai_bench.gate import Check, Margins
    from xai_bench.results import Results


class Faithfulness:
    """`faithfulness.check(results)` in a test."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._request = request
        self._taken: set[Path] = set()

    @property
    def reference(self) -> Path:
        """`TESTFILE/TESTNAME.json`, beside the test file."""
        node = self._request.node
        classes = [parent.name for parent in node.listchain() if isinstance(parent, pytest.Class)]
        return self._folder / self._request.path.stem / f"{file_name('.'.join([*classes, node.name]))}.json"

    def check(
        self,
        results: "Results | str | Path",
        *,
        reference: str | Path | None = None,
        margins: "Margins | Mapping[str, float] | str | Path | None" = None,
        match: Mapping[str, str] | None = None,
        allow_undecided: bool | None = None,
    ) -> "Check":
        """The check, if nothing got worse; else the test fails and says what did.

        `results` are Results, a run folder or a URL; `reference` is a file, relative to the folder of the test
        [TESTFILE/TESTNAME.json]. Where it is missing it is written, and the test fails once. `margins` are Margins, a
        TOML file, or a mapping {"deletion": 0.02} [those of the session]; `allow_undecided` passes cells of which the
        data cannot tell [as the session does]; `match` says which model stands for which, {"old": "new"}. Bad input
        and crashes of ours are errors of the session, with its exit codes 4 and 3.
        """
        __tracebackhide__ = True
        try:
            _refuse(results, reference, margins, match)
            path = self.reference if reference is None else placed(self._folder, reference, "reference")
            return self._check(results, path, margins, match, allow_undecided=allow_undecided)
        except XaiBenchError as error:
            raise bad_input(error, pytrace=True) from None
        except Exception as error:
            ending(error, CRASH)
            raise

    def _check(
        self,
        results: "Results | str | Path",
        path: Path,
        margins: "Margins | Mapping[str, float] | str | Path | None",
        match: Mapping[str, str] | None,
        *,
        allow_undecided: bool | None,
    ) -> "Check":
        __tracebackhide__ = True
        from xai_bench.pytest_plugin import words  # noqa: PLC0415 - pandas only where it is asked for
        from xai_bench.results import check  # noqa: PLC0415

        self._take(path)
        if not path.exists() or updates(self._request.config):
            _write(results, path)
        found = check(results, path, self._margins if margins is None else margins, match=match)
        allowed = allows_undecided(self._request.config) if allow_undecided is None else allow_undecided
        if found.exit_code(allow_undecided=allowed):
            pytest.fail(words.whole(found, allow_undecided=allowed))
        return found

    @property
    def _folder(self) -> Path:
        return Path(self._request.path.parent)

    @property
    def _margins(self) -> "Margins":
        """Those that the session names, for a test that names none."""
        config = self._request.config
        return margins_of(config, margins_file(config, None))

    def _take(self, path: Path) -> None:
        """Two checks of one test would overwrite each other's reference."""
        if path in self._taken:
            raise InvalidValueError(f"reference {path.name!r} is checked twice in one test; name another, reference=")
        self._taken.add(path)


def _refuse(results: Any, reference: Any, margins: Any, match: Any) -> None:
    """What no annotation kept out."""
    from xai_bench.gate import Margins  # noqa: PLC0415 - pandas only where it is asked for
    from xai_bench.results import Results  # noqa: PLC0415

    kinds = (
        ("results", results, Results | str | Path, "Results, a run folder or a URL"),
        ("reference", reference, str | Path | None, "a path"),
        (
            "margins",
            margins,
            Margins | Mapping | str | Path | None,
            'a mapping {"deletion": 0.02}, a TOML file or Margins',
        ),
        ("match", match, Mapping | None, 'a mapping {"old": "new"}'),
    )
    for name, value, kind, allowed in kinds:
        if not isinstance(value, kind):
            raise InvalidValueError(f"{name} must be {allowed}, got {reprlib.repr(value)}")
    for name, value in (("results", results), ("margins", margins)):
        if isinstance(value, str | Path) and "://" not in str(value):
            placed(Path(), value, name)


def _write(results: Any, path: Path) -> NoReturn:
    """The reference is new, so the test has checked nothing and fails."""
    __tracebackhide__ = True
    from xai_bench.results import Results, load_run  # noqa: PLC0415 - pandas only where it is asked for

    was = "reference renewed" if path.exists() else "there was no reference, now there is one"
    (results if isinstance(results, Results) else load_run(results)).save_reference(path)
    pytest.fail(f"{was}; look at it, commit it and run again: {path}")


def file_name(name: str) -> str:
    """`test_x[resnet-0.5]` as `test_x-resnet-0.5`; names that lose something get a hash, so that no two are one."""
    plain = re.sub(r"\[(.*)\]$", r"-\1", name, flags=re.DOTALL)
    kept = re.sub(r"[^\w.,=+-]", "_", plain).encode()[:100].decode(errors="ignore")  # of a file name's 255 bytes
    return kept if kept == plain else f"{kept}-{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:8]}"
