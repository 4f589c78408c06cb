"""`xai-bench reference`: the scores that later ones are held against."""

import click

from xai_bench.cli_init import init
from xai_bench.cli_runs import Commands


@click.group(cls=Commands)
def reference() -> None:
    """Make or renew a reference file."""


reference.add_command(init)
