"""`xai-bench check`: whether explanations got worse than a reference says they were."""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from xai_bench.cli_compare import matched
from xai_bench.errors import InvalidValueError
from xai_bench.outputs import check_outputs, is_plain
from xai_bench.whole import make_folder, write_whole

if TYPE_CHECKING:
    from xai_bench.gate import Check, Margins
    from xai_bench.results import Results

file = click.Path(path_type=Path)


class Wanted(NamedTuple):
    """Files to write besides what is printed."""

    junit: Path | None
    markdown: Path | None
    benchmark: str | None  # prefix of two

    @property
    def bigger(self) -> Path | None:
        """Of metrics of which more is better."""
        return None if self.benchmark is None else Path(f"{self.benchmark}-bigger.json")

    @property
    def smaller(self) -> Path | None:
        """Of metrics of which less is better."""
        return None if self.benchmark is None else Path(f"{self.benchmark}-smaller.json")

    def places(self) -> list[tuple[str, Path | None]]:
        """Each file with the option that asks for it."""
        pair = [("--benchmark", path) for path in (self.bigger, self.smaller)]
        return [("--junit", self.junit), ("--markdown", self.markdown), *pair]


@click.command()
@click.argument("run")
@click.argument("reference")
@click.option(
    "--margins", type=file, help="TOML  [default: STEM.margins.toml beside STEM.reference.json, else 2 % of each range]"
)
@click.option(
    "--fail-on", "expressions", multiple=True, metavar="EXPR", help="such as 'deletion: drop > 0.02'; repeatable"
)
@click.option("--ignore", multiple=True, metavar="NAME", help="explainer, metric, model or data that decides nothing")
@click.option("--match", "matches", multiple=True, metavar="OLD=NEW", help="model of REFERENCE = of RUN; repeatable")
@click.option("--allow-undecided", is_flag=True, help="exit with 0 where the data cannot tell")
@click.option("--update", is_flag=True, help="renew REFERENCE, a file, from RUN; the exit code stays that of the check")
@click.option("--all", "everything", is_flag=True, help="list the cells that pass too")
@click.option("--json", "as_json", is_flag=True, help="for machines")
@click.option("--junit", type=file, help="write JUnit XML, a test case per cell")
@click.option("--markdown", type=file, help='write a summary; onto the end of "$GITHUB_STEP_SUMMARY"')
@click.option(
    "--benchmark", metavar="PREFIX", help="write PREFIX-bigger.json and PREFIX-smaller.json for github-action-benchmark"
)
def check(
    run: str,
    reference: str,
    margins: Path | None,
    expressions: Sequence[str],
    ignore: Sequence[str],
    matches: Sequence[str],
    allow_undecided: bool,  # noqa: FBT001 - click passes flags by name
    update: bool,  # noqa: FBT001
    everything: bool,  # noqa: FBT001
    as_json: bool,  # noqa: FBT001
    junit: Path | None,
    markdown: Path | None,
    benchmark: str | None,
) -> None:
    """Did explanations get worse? RUN and REFERENCE are run folders, URLs or reference files.

    Exits with 0 where nothing got worse, 1 where a cell (model x explainer x metric) got worse or vanished, 3 where the
    data cannot tell, 2 where the two cannot be compared or an argument is wrong, 70 where we failed.
    """
    from xai_bench.gate.exports import advice, records, text  # noqa: PLC0415 - pandas only where it is asked for
    from xai_bench.results import check as held  # noqa: PLC0415
    from xai_bench.results import load_run  # noqa: PLC0415

    wanted, margins = Wanted(junit, markdown, benchmark), margins or _beside(reference)
    if update:
        _check_renewable(reference)
    check_outputs(wanted.places(), [run, reference, margins])
    allowed, match = _margins(margins, expressions, ignore), matched(matches)
    now = load_run(run)
    found = held(now, reference, allowed, match=match)
    if as_json:
        click.echo(json.dumps(records(found, allow_undecided=allow_undecided), indent=1, allow_nan=False))
    else:
        click.echo(text(found, everything=everything))
    _write(wanted, found, allow_undecided=allow_undecided)
    if update:
        _renew(now, Path(reference))
    else:
        for sentence in advice(found):
            click.echo(sentence, err=True)
    sys.exit(found.exit_code(allow_undecided=allow_undecided))


def _beside(reference: str) -> Path | None:
    """The margins that `reference init` wrote with this reference, as the Action and the pytest plugin take them."""
    place = Path(reference)
    stem = place.name.removesuffix(".reference.json")
    margins = place.with_name(f"{stem}.margins.toml")
    if stem in ("", place.name) or not margins.is_file():
        return None
    click.echo(f"margins: {margins}", err=True)
    return margins


def _margins(path: Path | None, expressions: Sequence[str], ignore: Sequence[str]) -> "Margins":
    """The file's, changed by what was typed."""
    from xai_bench.gate import Margins  # noqa: PLC0415

    given = Margins() if path is None else Margins.read(path)
    return replace(given, ignore=(*given.ignore, *ignore)).with_expressions(expressions)


def _check_renewable(reference: str) -> None:
    from xai_bench.runs.files import is_url  # noqa: PLC0415

    if is_url(reference) or Path(reference).is_dir():
        raise InvalidValueError(
            f"--update renews a reference file, but {reference!r} is a run; make a file of it with "
            "`xai-bench reference update RUN FILE`"
        )
    check_outputs([("REFERENCE", Path(reference))])


def _renew(run: "Results", path: Path) -> None:
    from xai_bench.references.update import keep, updated  # noqa: PLC0415
    from xai_bench.references.words import sentence  # noqa: PLC0415

    made = updated(run.run, path)
    keep(made)
    click.echo(sentence(made.changes, path.name), err=True)
    click.echo(f"nothing changed: {path} stays as it is" if made.same else f"written: {path}", err=True)


def _write(wanted: Wanted, found: "Check", *, allow_undecided: bool) -> None:
    for option, path, content in _files(wanted, found, allow_undecided=allow_undecided):
        try:
            make_folder(path.parent, f"the folder of {option}")
            _put(path, content)
        except OSError as error:
            raise InvalidValueError(f"{option} {str(path)!r} cannot be written: {error.strerror or error}") from error
        click.echo(f"written: {path}", err=True)


def _files(wanted: Wanted, found: "Check", *, allow_undecided: bool) -> Iterator[tuple[str, Path, bytes]]:
    from xai_bench.gate import exports  # noqa: PLC0415

    if wanted.junit:
        yield "--junit", wanted.junit, exports.junit(found, allow_undecided=allow_undecided)
    if wanted.markdown:
        there = wanted.markdown.stat().st_size if _is_step_summary(wanted.markdown) else 0
        yield "--markdown", wanted.markdown, exports.markdown(found, exports.LIMIT - there).encode()
    if wanted.bigger and wanted.smaller:
        for path, entries in zip((wanted.bigger, wanted.smaller), exports.benchmark(found).values(), strict=True):
            yield "--benchmark", path, json.dumps(entries, indent=1, allow_nan=False).encode() + b"\n"


def _put(path: Path, content: bytes) -> None:
    """Whole or not at all; onto the end of the job summary, and into what is no plain file, such as /dev/stdout."""
    if _is_step_summary(path) or not is_plain(path):
        with path.open("ab") as stream:
            stream.write(content)
    else:
        write_whole(path.resolve(), content)


def _is_step_summary(path: Path) -> bool:
    """Whether steps of a GitHub job share it."""
    summary = os.environ.get("GITHUB_STEP_SUMMARY", "")
    return bool(summary) and path.is_file() and path.resolve() == Path(summary).resolve()
