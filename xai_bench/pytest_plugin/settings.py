"""What the command line and the configuration file of pytest ask for; the command line goes first."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from reprlib import Repr
from typing import TYPE_CHECKING, NamedTuple

import pytest

from xai_bench.errors import InvalidValueError

if TYPE_CHECKING:
    from xai_bench.gate import Margins


class Option(NamedTuple):
    """`--xai-bench-NAME` on the command line, `xai_bench_NAME` in the configuration file."""

    name: str
    metavar: str
    words: str

    @property
    def flag(self) -> str:
        return "--xai-bench" if self.name == "suite" else f"--xai-bench-{self.name.replace('_', '-')}"

    @property
    def key(self) -> str:
        return f"xai_bench_{self.name}"


SUITE = Option("suite", "SUITE.toml", "run this suite once; every cell of its reference is a test")
REFERENCE = Option("reference", "REF", "reference file or run folder [default: SUITE.reference.json]")
MARGINS = Option("margins", "FILE", "margins as TOML [default: SUITE.margins.toml, where there is one]")
RUN = Option("run", "RUN", "check this run folder instead of running the suite")
OUT = Option("out", "DIR", "keep the run in this folder [default: a temporary one]")
FAIL_ON = Option("fail_on", "EXPR", "such as 'deletion: drop > 0.02'; repeatable")
UNDECIDED = Option("allow_undecided", "", "a cell of which the data cannot tell is skipped, not failed")
UPDATE = "--xai-bench-update"
_SHORT = Repr()
_SHORT.maxstring = 100


def add_options(parser: pytest.Parser) -> None:
    """All of OPTIONS, on the command line and in the configuration file; the update only on the command line."""
    group = parser.getgroup("xai_bench", "faithfulness of explanations (xai_bench)")
    for option in (SUITE, REFERENCE, MARGINS, RUN, OUT):
        group.addoption(option.flag, dest=option.key, metavar=option.metavar, help=option.words)
        parser.addini(option.key, option.words, type="string", default="")
    group.addoption(
        FAIL_ON.flag, dest=FAIL_ON.key, metavar=FAIL_ON.metavar, action="append", default=[], help=FAIL_ON.words
    )
    parser.addini(FAIL_ON.key, FAIL_ON.words, type="linelist", default=[])
    group.addoption(UNDECIDED.flag, dest=UNDECIDED.key, action="store_true", help=UNDECIDED.words)
    parser.addini(UNDECIDED.key, UNDECIDED.words, type="bool", default=False)
    renewed = "renew the references of what is run; what failed still fails, so that it is looked at"
    group.addoption(UPDATE, dest="xai_bench_update", action="store_true", help=renewed)


@dataclass(frozen=True)
class Settings:
    """What a session checks."""

    suite: Path | None
    run: str  # folder or URL; "": the suite is run
    reference: Path
    out: Path | None
    update: bool
    is_typed: bool  # on the command line, so that it is checked whatever else is collected

    @property
    def anchor(self) -> Path:
        """The file whose tests the cells are."""
        file = self.suite or (self.reference if self.reference.exists() else Path(self.run))
        return file / "run.json" if file.is_dir() else file

    def is_added(self, config: pytest.Config) -> bool:
        """Whether it is collected beside what is named: not where only the configuration file speaks of it.

        Nor where it is named itself, or a cell of it.
        """
        wanted = self.is_typed or config.args_source is not pytest.Config.ArgsSource.ARGS
        return wanted and all(_path(config, word) != self.anchor for word in config.args)

    def is_within(self, config: pytest.Config) -> bool:
        """Whether what pytest collects holds it."""
        return any(self.anchor.is_relative_to(_path(config, word)) for word in config.args)

    @property
    def words(self) -> str:
        """For the head of the session."""
        what = f"run {self.run}" if self.run else f"suite {self.suite}"
        return f"{what} against reference {self.reference}"


def read(config: pytest.Config) -> Settings | None:
    """None where there is nothing to check. UsageError where something is missing, InvalidValueError as `placed`."""
    run = _value(config, RUN)
    suite = _located(config, SUITE)
    if not suite and not run:
        return None
    reference = _located(config, REFERENCE) or (suite and _beside(suite, REFERENCE, "json"))
    if not reference:
        raise pytest.UsageError(f"{RUN.flag} needs {REFERENCE.flag}, a reference file or run folder")
    return Settings(
        suite=suite,
        run=run if "://" in run else str(_located(config, RUN) or ""),
        reference=reference,
        out=_located(config, OUT),
        update=updates(config),
        is_typed=any(config.getoption(option.key) for option in (SUITE, RUN)),
    )


def margins_file(config: pytest.Config, suite: Path | None) -> Path | None:
    """The one that is named, else the one beside the suite, else none."""
    beside = _beside(suite, MARGINS, "toml") if suite else None
    return _located(config, MARGINS) or (beside if beside and beside.is_file() else None)


def margins_of(config: pytest.Config, file: Path | None) -> "Margins":
    """Of the file, with the expressions on top; those of the command line come last."""
    from xai_bench.gate import Margins  # noqa: PLC0415 - numpy only where something is checked

    typed = [*config.getini(FAIL_ON.key), *config.getoption(FAIL_ON.key)]
    return (Margins.read(file) if file else Margins()).with_expressions(typed)


def allows_undecided(config: pytest.Config) -> bool:
    """Whether cells of which the data cannot tell are skipped."""
    return bool(config.getoption(UNDECIDED.key) or config.getini(UNDECIDED.key))


def updates(config: pytest.Config) -> bool:
    """Whether references are renewed."""
    return bool(config.getoption("xai_bench_update"))


def _value(config: pytest.Config, option: Option) -> str:
    return str(config.getoption(option.key) or config.getini(option.key))


def _located(config: pytest.Config, option: Option) -> Path | None:
    """Typed paths start where pytest was called, those of the configuration file where it lies."""
    value = _value(config, option)
    home = (
        config.inipath.parent if config.inipath and not config.getoption(option.key) else config.invocation_params.dir
    )
    return placed(home, value, option.flag) if value else None


def placed(home: Path, value: str | Path, name: str) -> Path:
    """The path that `value` is from `home`; InvalidValueError where nothing can lie there: a name of 300 letters."""
    try:
        path = (home / Path(value).expanduser()).resolve()
        with suppress(FileNotFoundError, NotADirectoryError):
            path.stat()
    except (OSError, ValueError, RuntimeError) as error:  # the latter: a home of nobody
        why = error.strerror if isinstance(error, OSError) else error
        raise InvalidValueError(f"{name} {_SHORT.repr(str(value))} cannot be used: {why}") from error
    return path


def _beside(suite: Path, option: Option, kind: str) -> Path:
    """The file that is taken where the option is not given."""
    return placed(Path(), suite.with_name(f"{suite.stem}.{option.name}.{kind}"), option.flag)


def _path(config: pytest.Config, word: str) -> Path:
    return (config.invocation_params.dir / word.split("::", maxsplit=1)[0]).resolve()
