"""Reference pages made from the package: public names, commands, lists, examples, and what lies beside docs/."""

import inspect
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import click
from entry_pages import TEMPLATES

import xai_bench
from xai_bench.cli import cli
from xai_bench.listing import listing

ROOT = Path(__file__).parents[2]
INTRODUCTION = """\
# Python

```python
import xai_bench as xb
```

Names are imported when they are first used; results, reports and commands that need no model never import torch.

`xb.METRICS`, `xb.EXPLAINERS` and `xb.REMOVALS` are read-only mappings from names to classes, listed under
[metrics](../metrics/index.md), [explainers](../explainers/index.md) and [removals](../removals/index.md)."""
LISTS = {
    "models": "Models, by the scheme of their name",
    "data": "Data sets",
    "trainers": "What `xai-bench train` trains",
}


def pages() -> Iterator[tuple[str, str]]:
    """(path, Markdown) of every page."""
    yield "reference/python.md", python()
    yield "reference/commands.md", commands()
    yield "reference/lists.md", lists()
    yield "reference/examples.md", examples()
    yield "reference/gate-project.md", gate_project()
    yield "reference/contributing.md", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    yield "reference/changelog.md", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def python() -> str:
    """Every public name, for mkdocstrings to fill in."""
    functions = [name for name in xai_bench.__all__ if inspect.isfunction(getattr(xai_bench, name))]
    classes = [name for name in xai_bench.__all__ if inspect.isclass(getattr(xai_bench, name))]
    parts = [
        INTRODUCTION,
        "## Functions",
        *map(_home, functions),
        "## Classes",
        *map(_home, classes),
        "## For what you write yourself",
        *(f"::: {name}" for name in ("xai_bench.types.Batch", "xai_bench.types.Scores", "xai_bench.engine.case.Case")),
    ]
    return "\n\n".join(parts)


def _home(name: str) -> str:
    """Where mkdocstrings reads a public name, which the package itself only forwards."""
    return f"::: {getattr(xai_bench, name).__module__}.{name}"


def commands() -> str:
    """The help of every command."""
    found = "\n\n".join(f"## {path}\n\n```text\n{text}\n```" for path, text in _helps(cli, "xai-bench"))
    return f"# Command line\n\nData go to stdout, words to stderr. Exit codes: {EXITS}.\n\n{found}\n"


EXITS = "0 done, 1 done but not whole (`check`: regression), 2 bad input, 3 undecided, 70 our fault, 130 interrupted"


def _helps(command: click.Command, path: str) -> Iterator[tuple[str, str]]:
    with click.Context(command, info_name=path, max_content_width=100, terminal_width=100) as context:
        yield path, command.get_help(context)
    if isinstance(command, click.Group):
        for name in sorted(command.commands):
            yield from _helps(command.commands[name], f"{path} {name}")


def lists() -> str:
    """Models, data and trainers as `xai-bench list` prints them."""
    tables = []
    for kind, heading in LISTS.items():
        rows = listing(kind)
        columns = tuple(rows[0])
        tables.append((heading, columns, [_row(row) for row in rows]))
    return TEMPLATES.get_template("overview.md.j2").render(
        title="Models, data sets and trainers",
        words="What `xai-bench list models`, `list data` and `list trainers` print.",
        tables=tables,
    )


def _row(row: dict[str, str]) -> list[str]:
    return [f"`{value}`" if column == "name" else value for column, value in row.items()]


FENCES = {".toml": "toml", ".py": "python", ".yml": "yaml", ".txt": "text"}


def examples() -> str:
    """The files of examples/ whole; `{#name}` so that other pages can point at one."""
    parts = _whole(path for path in (ROOT / "examples").iterdir() if path.suffix in (".toml", ".py"))
    return f"# Examples\n\nThe files of `examples/` in the repository.\n\n{parts}\n"


def gate_project() -> str:
    """The project of examples/gate: what it says of itself, then its files."""
    folder = ROOT / "examples" / "gate"
    said = (folder / "README.md").read_text(encoding="utf-8").replace("](../../docs/", "](../")
    parts = _whole(path for path in folder.rglob("*") if path.suffix in FENCES)
    return f"{said}\nIts files, as they lie in `examples/gate/`:\n\n{parts}\n"


def _whole(files: Iterable[Path]) -> str:
    return "\n\n".join(
        f"## {path.name} {{#{anchor(path.name)}}}\n\n```{FENCES[path.suffix]}\n{path.read_text(encoding='utf-8')}```"
        for path in sorted(files)
    )


def anchor(file: str) -> str:
    """The anchor of an example on its page."""
    return re.sub(r"\W", "-", file)
