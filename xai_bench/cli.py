"""The command line: parses, calls, prints. Data to stdout, words to stderr; exit 2 is bad input, 70 our fault."""

if __name__ == "__main__":  # `python -m xai_bench.cli`: by the door that outlives an import that fails below
    import runpy

    runpy.run_module("xai_bench", run_name="__main__", alter_sys=True)

import errno
import io
import json
import shutil
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click

from xai_bench.cli_check import check
from xai_bench.cli_compare import compare
from xai_bench.cli_reference import reference
from xai_bench.cli_runs import Commands, runs
from xai_bench.cli_studies import study
from xai_bench.cli_train import train
from xai_bench.errors import IncompleteError, InvalidValueError, UnknownNameError, XaiBenchError
from xai_bench.exits import BAD_INPUT, INCOMPLETE, INTERRUPTED, OUR_FAULT, UNREAD, leave, settle
from xai_bench.outputs import check_outputs
from xai_bench.toml import entry, setting

UNREADABLE = {errno.ENAMETOOLONG, errno.ELOOP, errno.EACCES}  # faults of a name that was typed, wherever it is read
LONG = 60  # letters of such a name that are shown

device_option = click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N")
quiet_option = click.option("--quiet", is_flag=True, help="no progress bar")


class Root(Commands):
    """Leaves quietly where whoever read its output, such as `head`, has seen enough."""

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        with _unread():  # --help and --version speak here
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with _unread():
            return super().invoke(ctx)


@contextmanager
def _unread() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:  # click would leave with 1, which is a verdict
        sys.exit(UNREAD)


@click.group(cls=Root, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="xai-bench")
def cli() -> None:
    """Measures how good the explanations of vision models are."""


cli.add_command(check)
cli.add_command(compare)
cli.add_command(reference)
cli.add_command(runs)
cli.add_command(study)
cli.add_command(train)


@cli.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("demo"), show_default=True, help="run folder")
@device_option
@quiet_option
def demo(out: Path, device: str, quiet: bool) -> None:  # noqa: FBT001 - click passes flags by name
    """Train (or load) a small baseline and a small ERSM model on planted data, score them, write a report."""
    from xai_bench.demo import run_demo  # noqa: PLC0415 - heavy imports only in the commands that need them

    results, page = run_demo(out, device=device, progress=_progress(quiet))
    _show(results, page)


@cli.command()
@click.argument("suite", type=click.Path(path_type=Path))
@click.option("--out", help="run folder, or a URL such as s3://bucket/run [default: runs/NAME, of NAME.toml]")
@click.option("--device", help="instead of the suite's")
@click.option("--executor", default="local", show_default=True, help="local, processes (one per device) or ray")
@click.option("--workers", type=int, help="processes or Ray actors [default: one per device]")
@click.option("--address", help="of a Ray cluster [default: the one that runs here, or one for this run]")
@click.option("--loaders", type=int, help="processes that decode images [default: as many as pay]")
@click.option("--fresh", is_flag=True, help="take away the run that is in the folder, and begin anew")
@quiet_option
def run(
    suite: Path,
    out: str | None,
    device: str | None,
    executor: str,
    workers: int | None,
    address: str | None,
    loaders: int | None,
    fresh: bool,  # noqa: FBT001
    quiet: bool,  # noqa: FBT001
) -> None:
    """Carry out SUITE.toml; a second start computes only what is missing.

    The report goes into the folder report of the run folder; of a run at a URL into NAME-report, here.
    Exits with 1 where some of it failed at every try; the rest is kept, and a second start tries only that again.
    """
    from dataclasses import replace  # noqa: PLC0415

    from xai_bench.runs.means import Means  # noqa: PLC0415
    from xai_bench.runs.suite import Suite  # noqa: PLC0415

    means = Means(executor, workers, address, loaders, progress=_progress(quiet), fresh=fresh)
    wanted = Suite.read(suite)
    from xai_bench.api import run_suite  # noqa: PLC0415
    from xai_bench.runs.files import is_url  # noqa: PLC0415

    usual = Path("runs") / suite.stem
    folder = out if is_url(out) else Path(out or usual)
    page = folder / "report" if isinstance(folder, Path) else Path(f"{suite.stem}-report")
    try:
        results = run_suite(replace(wanted, device=device) if device else wanted, folder, means)
    except IncompleteError as error:
        if len(error.results.scores):
            _show(error.results, error.results.report(page))
        raise
    _show(results, results.report(page))


@cli.command()
@click.argument("image", type=click.Path(path_type=Path))
@click.option("--model", "name", required=True, help="timm:NAME, ersm:NAME, torch:module:factory or a checkpoint")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="key of load_model, as in a suite's table")
@click.option(
    "--explainer",
    "explainers",
    multiple=True,
    help="a name, maps:FOLDER, python:module:function, or a table as in a suite, "
    '\'{name = "gradcam", layers = ["layer3"]}\'; repeatable [default: gradcam, ig, random]',
)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    help="a name or a table as in a suite; repeatable [default: deletion, insertion]",
)
@click.option("--target", type=int, help="class to explain [default: the predicted one]")
@click.option("--out", type=click.Path(path_type=Path), default=Path("explanation.png"), show_default=True)
@device_option
def explain(
    image: Path,
    name: str,
    settings: Sequence[str],
    explainers: Sequence[str],
    metrics: Sequence[str],
    target: int | None,
    out: Path,
    device: str,
) -> None:
    """Explain one IMAGE: a picture of maps and curves, scores in the terminal."""
    from xai_bench.one_image import explain_image  # noqa: PLC0415

    check_outputs([("--out", out)], [image])
    table = {"name": name, "device": device, **dict(map(setting, settings))}
    wanted = {"explainers": [entry(text) for text in explainers], "metrics": [entry(text) for text in metrics]}
    results, picture = explain_image(image, table, **wanted, target=target, out=out)
    _show(results, picture)


@cli.command()
@click.argument("folders", nargs=-1, required=True, metavar="RUN...")
@click.option("--out", type=click.Path(path_type=Path), help="[default: RUN/report]")
def report(folders: Sequence[str], out: Path | None) -> None:
    """Tables (csv, md, tex, html), figures (pdf, svg, png) and one page from a run folder or URL.

    Several RUNs are one suite under several seeds, reported as one; give --out.
    """
    from xai_bench.results import load_results  # noqa: PLC0415
    from xai_bench.runs.files import is_url  # noqa: PLC0415

    first, *others = folders
    if out is None and others:
        raise InvalidValueError(f"a report of {len(folders)} runs has no folder of its own; give --out")
    if out is None and is_url(first):
        raise InvalidValueError(f"a report is written into a local folder; give --out for {first!r}")
    check_outputs(reads=folders, folders=[("--out", out)])
    results = load_results(folders if others else first)
    _show(results, results.report(out or Path(first) / "report"))


NARROW = 20  # columns of a formula
LONG_FACTS = ("keys", "protocols", "source", "kind", "needs", "recipe")
KINDS = ("metrics", "explainers", "removals", "models", "trainers", "data")


@cli.command("list")
@click.argument("kind", metavar="[metrics|explainers|removals|models|trainers|data]")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="everything, for machines")
def list_(kind: str, name: str | None, as_json: bool) -> None:  # noqa: FBT001
    """What there is; with a NAME everything about it: keys and their defaults, source."""
    if kind not in KINDS:
        raise UnknownNameError.of("kind", kind, KINDS)
    from xai_bench.listing import listing, one  # noqa: PLC0415

    rows = listing(kind) if name is None else [one(kind, name)]
    if as_json:
        click.echo(json.dumps(rows, indent=1, ensure_ascii=False))
    elif name is not None:
        click.echo(_facts(rows[0]))
    else:
        click.echo(_overview(rows))
        click.echo(f"\n`xai-bench list {kind} NAME` tells keys, defaults and source; --json tells it of all", err=True)


@cli.command()
def selftest() -> None:
    """Score models whose right scores are known on paper, on this machine."""
    from xai_bench.selftest import run_oracles  # noqa: PLC0415

    outcomes = run_oracles()
    click.echo(_table([outcome._asdict() for outcome in outcomes]))
    wrong = sum(not outcome.passed for outcome in outcomes)
    click.echo(f"{len(outcomes) - wrong} of {len(outcomes)} oracles agree", err=True)
    if wrong:
        sys.exit(OUR_FAULT)


def main() -> None:
    """Entry point: every way out has its exit code, so that a crash is never read as a verdict."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # an arrow that the terminal's encoding lacks is no crash
            stream.reconfigure(errors="replace")
    try:
        cli(prog_name="xai-bench", standalone_mode=False)
    except click.ClickException as error:
        leave(BAD_INPUT, error.show)
    except (click.Abort, KeyboardInterrupt):
        leave(INTERRUPTED, partial(_tell, "interrupted; what was finished is kept"))
    except IncompleteError as error:
        leave(INCOMPLETE, partial(_tell, *(f"failed: {failure}" for failure in error.failures), f"error: {error}"))
    except XaiBenchError as error:
        leave(BAD_INPUT, partial(_tell, f"error: {error}"))
    except OSError as error:
        if error.errno not in UNREADABLE or error.filename is None:
            leave(OUR_FAULT, traceback.print_exc)
        leave(BAD_INPUT, partial(_tell, f"error: {_named(str(error.filename))} cannot be used: {error.strerror}"))
    except Exception:  # noqa: BLE001 - the outermost frame: anything that comes here is our fault, and is shown whole
        leave(OUR_FAULT, traceback.print_exc)
    finally:
        settle()


def _tell(*lines: str) -> None:
    for line in lines:
        click.echo(line, err=True)


def _named(place: str) -> str:
    return repr(place if len(place) <= LONG else f"{place[:LONG]}…")


def _progress(quiet: bool) -> bool | None:  # noqa: FBT001
    return False if quiet else None


def _show(results: Any, page: Path) -> None:
    from xai_bench.reports import text_table  # noqa: PLC0415

    click.echo(text_table(results.run))
    click.echo(f"\nwritten: {page}", err=True)


def _overview(rows: Sequence[dict[str, Any]]) -> str:
    """A line for each, as wide as the terminal: long facts are left to the page of one."""
    from tabulate import tabulate  # noqa: PLC0415

    short = [{fact: said for fact, said in row.items() if fact not in LONG_FACTS} for row in rows]
    others = [fact for fact in short[0] if fact != "what"]
    wide = {fact: max(2 + len(fact), *(len(str(row[fact])) for row in short)) for fact in others}
    taken = sum(2 + (min(width, NARROW) if fact == "passes" else width) for fact, width in wide.items())
    room = max(30, shutil.get_terminal_size().columns - taken)
    widths = [room if fact == "what" else NARROW if fact == "passes" else None for fact in short[0]]
    return tabulate(short, headers="keys", tablefmt="simple", disable_numparse=True, maxcolwidths=widths)


def _facts(row: dict[str, Any]) -> str:
    """All that is known of one, a line for each fact and each key."""
    lines = [f"{fact}: {said}" for fact, said in row.items() if fact != "keys" and said]
    keys = [f"  {key}" for key in str(row.get("keys", "")).split(", ") if key]
    return "\n".join([*lines, *(["keys:", *keys] if keys else [])])


def _table(rows: Sequence[dict[str, Any]]) -> str:
    from tabulate import tabulate  # noqa: PLC0415

    return tabulate(rows, headers="keys", tablefmt="simple", disable_numparse=True)
