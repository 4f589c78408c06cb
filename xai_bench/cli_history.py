"""`xai-bench reference history`: scores over time."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from xai_bench.errors import InvalidValueError, RunError
from xai_bench.grammar import shown
from xai_bench.outputs import check_outputs

if TYPE_CHECKING:
    from xai_bench.references.history import History


@click.command()
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option(
    "--git", "file", type=click.Path(path_type=Path), help="instead of FOLDER: one file, as git has its versions"
)
@click.option("--metric", "metrics", multiple=True, help="only this one; repeatable  [default: all]")
@click.option("--json", "as_json", is_flag=True, help="for machines")
@click.option("--out", type=click.Path(path_type=Path), help="write tables, figures and a page into this folder")
def history(
    folder: Path | None,
    file: Path | None,
    metrics: Sequence[str],
    as_json: bool,  # noqa: FBT001 - click passes flags by name
    out: Path | None,
) -> None:
    """Scores over time, of the reference files in FOLDER or of the versions of one FILE that git has.

    In the order in which they were made, each with its commit. Scores that cannot be compared with the earlier ones
    (another version or spec of the metric, other images) begin a new line.
    """
    from xai_bench.references.history import of_file, of_folder  # noqa: PLC0415 - heavy only where it is asked for
    from xai_bench.reports.history import records, text  # noqa: PLC0415

    if (folder is None) == (file is None):
        raise InvalidValueError("a history is that of a FOLDER of reference files, or of one file in git (--git FILE)")
    check_outputs(folders=[("--out", out)])
    found = (of_folder(folder) if folder else of_file(file or Path())).only(metrics)
    page = _written(found, out) if out else None
    for note in found.notes:
        click.echo(shown(note), err=True)
    click.echo(json.dumps(records(found), indent=1) if as_json else text(found))
    if page:
        click.echo(f"\nwritten: {page}", err=True)


def _written(found: "History", out: Path) -> Path:
    from xai_bench.reports.history import write  # noqa: PLC0415

    try:
        return write(found, out)
    except OSError as error:
        raise RunError(f"cannot write the history into {str(out)!r}: {error.strerror or error}") from error
