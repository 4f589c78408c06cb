"""`xai-bench runs`: what a run holds, whether it is whole, what can go."""

import json
import sys
from typing import Any

import click

from xai_bench.errors import UnknownNameError

NOT_WHOLE = 1


class Commands(click.Group):
    """Knows the nearest command to a wrong one."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            raise click.UsageError(str(UnknownNameError.of("command", args[0], self.commands)))
        return super().resolve_command(ctx, args)


@click.group(cls=Commands)
def runs() -> None:
    """What a run holds, whether it is whole, what can go. RUN is a folder or a URL."""


@runs.command()
@click.argument("run")
@click.option("--json", "as_json", is_flag=True, help="for machines")
def show(run: str, as_json: bool) -> None:  # noqa: FBT001 - click passes flags by name
    """Cells expected, there, missing and undefined per line; sizes on disk; where the run comes from."""
    from xai_bench.runs import verify as reading  # noqa: PLC0415 - pyarrow only where it is asked for
    from xai_bench.runs.files import place  # noqa: PLC0415

    found = reading.show(place(run))
    click.echo(json.dumps(found, indent=1, ensure_ascii=False) if as_json else _text(found))


@runs.command()
@click.argument("run")
def verify(run: str) -> None:
    """Read every byte of RUN. Exits with 0 where it is whole, 1 where not, with a line each, 2 where there is none."""
    from xai_bench.runs import verify as reading  # noqa: PLC0415
    from xai_bench.runs.files import place  # noqa: PLC0415

    problems = list(reading.verify(place(run)))
    for problem in problems:
        click.echo(str(problem))
    if problems:
        sys.exit(NOT_WHOLE)
    click.echo(f"{run} is whole", err=True)


@runs.command()
@click.argument("run")
@click.option("--maps", is_flag=True, help="the kept maps too; a metric added later has to make them again")
@click.option("--dry-run", is_flag=True, help="only say what would go")
def gc(run: str, maps: bool, dry_run: bool) -> None:  # noqa: FBT001
    """Take away what killed processes left, what nobody reads, and merge many small files into few."""
    from xai_bench.runs.collect import collect  # noqa: PLC0415
    from xai_bench.runs.files import place  # noqa: PLC0415

    gone = collect(place(run), maps=maps, dry_run=dry_run)
    for one in gone:
        click.echo(f"{one.name}  {_bytes(one.bytes)}  {one.why}")
    went = "would go" if dry_run else "went"
    click.echo(f"{len(gone)} files, {_bytes(sum(one.bytes for one in gone))} {went}", err=True)


def _text(found: dict[str, Any]) -> str:
    from tabulate import tabulate  # noqa: PLC0415

    versions = ", ".join(f"{name} {version}" for name, version in (found["versions"] or {}).items())
    facts = {key: found[key] for key in ("run", "created", "precision", "seed", "target", "chunk", "in_use_by")}
    facts["chunk"] = _chunks(found["chunk"])
    if found["earlier"]:
        facts["earlier"] = f"{len(found['earlier'])} with other packages or on another machine, see run.json"
    sizes = {room: f"{size['files']} files, {_bytes(size['bytes'])}" for room, size in found["files"].items()}
    cells = {f"cells {name}": count for name, count in found["cells"].items()}
    head = [
        (key, value) for key, value in (facts | {"versions": versions} | cells | sizes).items() if value is not None
    ]
    lines = tabulate(found["lines"], headers="keys", tablefmt="simple", disable_numparse=True)
    return f"{tabulate(head, tablefmt='plain', disable_numparse=True)}\n\n{lines}"


def _chunks(chunk: Any) -> Any:
    return ", ".join(f"{model} {size}" for model, size in chunk.items()) if isinstance(chunk, dict) else chunk


def _bytes(count: int) -> str:
    """Powers of 1,000, as disks are sold and `ls --si` shows."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"
