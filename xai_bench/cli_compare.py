"""`xai-bench compare`: runs held against the first of them."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import click

from xai_bench.errors import InvalidValueError
from xai_bench.outputs import check_outputs


@click.command()
@click.argument("runs", nargs=-1, metavar="RUN RUN...")
@click.option(
    "--match", "matches", multiple=True, metavar="OLD=NEW", help="model of the first RUN = of the others; repeatable"
)
@click.option(
    "--metric", "metrics", multiple=True, help="compare only this one; repeatable  [default: all that are shared]"
)
@click.option("--json", "as_json", is_flag=True, help="for machines")
@click.option("--out", type=click.Path(path_type=Path), help="write tables, a figure and a page into this folder")
def compare(
    runs: Sequence[str],
    matches: Sequence[str],
    metrics: Sequence[str],
    as_json: bool,  # noqa: FBT001 - click passes flags by name
    out: Path | None,
) -> None:
    """Paired differences by image between runs; the first RUN is the reference. RUN is a folder or a URL.

    For two checkpoints, two models, two versions of the library or two seeds. What else differs (seed, device,
    precision, weights, versions, what only one run has) is told; runs of other images, or of another version or spec
    of a metric, are refused.
    """
    from xai_bench.reports.comparison import records, text  # noqa: PLC0415 - heavy only where it is asked for
    from xai_bench.results import compare as held  # noqa: PLC0415

    check_outputs(reads=runs, folders=[("--out", out)])
    comparison = held(list(runs), match=matched(matches), metrics=list(metrics))
    page = comparison.report(out) if out else None
    found = comparison.compared
    click.echo(json.dumps(records(found), indent=1, ensure_ascii=False) if as_json else text(found))
    if page:
        click.echo(f"\nwritten: {page}", err=True)


def matched(texts: Sequence[str]) -> dict[str, str]:
    """`OLD=NEW` as typed, to a table."""
    found: dict[str, str] = {}
    for text in texts:
        parts = re.fullmatch(r"([^=]+)=([^=]+)", text)
        if not parts:
            raise InvalidValueError(f"--match takes OLD=NEW, two models, got {text!r}")
        old, new = parts.groups()
        if found.setdefault(old, new) != new:
            raise InvalidValueError(f"--match names {old!r} twice, as {found[old]!r} and {new!r}; it can stand for one")
    return found
