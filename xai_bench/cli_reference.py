"""`xai-bench reference`: makes and renews reference files, and shows scores over time."""

from pathlib import Path

import click

from xai_bench.cli_history import history
from xai_bench.cli_init import init
from xai_bench.cli_runs import Commands
from xai_bench.outputs import check_outputs


@click.group(cls=Commands)
def reference() -> None:
    """The scores that `xai-bench check` holds a run against, in one small file to be committed."""


reference.add_command(history)
reference.add_command(init)


@reference.command()
@click.argument("run")
@click.argument("file", metavar="REFERENCE", type=click.Path(path_type=Path))
@click.option("--markdown", type=click.Path(path_type=Path), help="what changed, for the description of a pull request")
@click.option(
    "--history", "folder", type=click.Path(path_type=Path), help="keep a copy in this folder, DATE-COMMIT.json"
)
@click.option("--dry-run", is_flag=True, help="only say what would change")
@click.option("--force", is_flag=True, help="replace a damaged reference")
def update(
    run: str,
    file: Path,
    markdown: Path | None,
    folder: Path | None,
    dry_run: bool,  # noqa: FBT001 - click passes flags by name
    force: bool,  # noqa: FBT001
) -> None:
    """Keep the scores of RUN as the reference file REFERENCE, and say what changed. RUN is a folder or a URL.

    Where no score, spec, version or image changed, the file stays as it is, to the byte.
    """
    from xai_bench.references import words  # noqa: PLC0415 - pandas only where it is asked for
    from xai_bench.references.update import keep, updated  # noqa: PLC0415
    from xai_bench.results import load_run  # noqa: PLC0415

    check_outputs([("REFERENCE", file)])
    check_outputs([("--markdown", markdown)], [run, file], folders=[("--history", folder)])
    made = updated(load_run(run).run, file, force=force)
    click.echo(words.text(made.changes, file.name))
    if not dry_run:
        for path in keep(made, history=folder, markdown=markdown):
            click.echo(f"written: {path}", err=True)
    elif not made.same:
        click.echo("not written: --dry-run", err=True)
    if made.same:
        click.echo(f"nothing changed: {file} stays as it is", err=True)
