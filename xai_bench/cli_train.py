"""`xai-bench train`: models for the experiments, or yours."""

from pathlib import Path

import click


@click.command()
@click.argument("suite", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="folder [default: trained/NAME, of NAME.toml]")
@click.option("--device", help="instead of the suite's: auto, cpu, cuda or cuda:N")
@click.option("--quiet", is_flag=True, help="no progress bar")
def train(suite: Path, out: Path | None, device: str | None, quiet: bool) -> None:  # noqa: FBT001 - click's flags
    """Train the models of SUITE.toml; a second start trains only what is missing.

    A training that was killed goes on from its last whole epoch, to the same weights. Every model is one file,
    LABEL-seedS.safetensors, that --model, a suite and load_model take by its path.
    """
    from tabulate import tabulate  # noqa: PLC0415 - heavy imports only in the commands that need them

    from xai_bench.training.run import train_suite  # noqa: PLC0415

    folder = out or Path("trained") / suite.stem
    made = train_suite(suite, folder, device=device, progress=not quiet)
    rows = [
        {"model": one.label, "seed": one.seed, **one.figures}
        | {f"accuracy on {name}": value for name, value in one.held_out.items()}
        for one in made
    ]
    click.echo(tabulate(rows, headers="keys", tablefmt="simple", floatfmt=".4g"))
    click.echo(f"\nwritten: {folder}", err=True)
