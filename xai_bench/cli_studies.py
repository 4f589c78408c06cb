"""`xai-bench study`: the experiments behind the claims."""

from pathlib import Path

import click

from xai_bench.cli_runs import Commands


@click.group(cls=Commands)
def study() -> None:
    """The experiments behind the claims, each with its report."""


@study.command()
@click.argument("suite", type=click.Path(path_type=Path), required=False)
@click.option("--out", type=click.Path(path_type=Path), default=Path("protocols"), show_default=True, help="run folder")
@click.option("--device", help="instead of the suite's")
@click.option("--quiet", is_flag=True, help="no progress bar")
def protocols(suite: Path | None, out: Path, device: str | None, quiet: bool) -> None:  # noqa: FBT001 - click's flags
    """Score the same maps under every library's protocol, and show which conclusions survive.

    Models, data and explainers are those of SUITE, whose metrics are put aside; without one, the demo's. A second start
    computes only what is missing.
    """
    from xai_bench.runs.means import Means  # noqa: PLC0415 - heavy imports only in the commands that need them
    from xai_bench.runs.suite import Suite  # noqa: PLC0415

    wanted = Suite.read(suite) if suite else None
    from xai_bench.studies.protocols import run_protocols  # noqa: PLC0415

    _, page = run_protocols(wanted, out, Means(progress=False if quiet else None), device=device)
    click.echo((page.parent / "study.md").read_text(encoding="utf-8"))
    click.echo(f"written: {page}", err=True)


@study.command()
@click.argument("settings", type=click.Path(path_type=Path), required=False)
@click.option("--out", type=click.Path(path_type=Path), default=Path("ersm"), show_default=True, help="study folder")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps")
@click.option("--quiet", is_flag=True, help="no progress bar")
def ersm(settings: Path | None, out: Path, device: str, quiet: bool) -> None:  # noqa: FBT001 - click's flags
    """Judge energy-regularised spatial masking by its own claims: deletion, sparsity, occlusion, localisation.

    SETTINGS is a TOML file whose keys are those of the embedded experiment, which is taken without one. Models, tables
    and the report lie in the study folder; a second start computes only what is missing.
    """
    from xai_bench.studies.ersm import ErsmSettings, run_ersm  # noqa: PLC0415 - heavy imports only where they are needed

    wanted = ErsmSettings.read(settings) if settings else ErsmSettings()
    _, page = run_ersm(wanted, _made(out), device=device, progress=not quiet)
    click.echo((page.parent / "study.md").read_text(encoding="utf-8"))
    click.echo(f"written: {page}", err=True)


@study.command()
@click.argument("settings", type=click.Path(path_type=Path), required=False)
@click.option(
    "--setting",
    type=click.Choice(["supervised", "reinforcement"]),
    default="supervised",
    show_default=True,
    help="teach classifiers, or agents that learn by trial and error (extra `rl`)",
)
@click.option("--out", type=click.Path(path_type=Path), help="study folder  [default: camal, or camal-rl for agents]")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N")
@click.option("--quiet", is_flag=True, help="no progress bar")
def camal(settings: Path | None, setting: str, out: Path | None, device: str, quiet: bool) -> None:  # noqa: FBT001 - click's flags
    """Teach classifiers or agents where to look, and judge each claim of CAMAL's abstract.

    Data, backbone, losses and weights are those of SETTINGS.toml, for agents world, recipe, losses and weights; without
    one, generated images and a small network. A second start computes only what is missing.
    """
    page = (_supervised if setting == "supervised" else _reinforcement)(
        settings, out, device=device, progress=not quiet
    )
    click.echo((page.parent / "study.md").read_text(encoding="utf-8"))
    click.echo(f"written: {page}", err=True)


def _supervised(settings: Path | None, out: Path | None, *, device: str, progress: bool) -> Path:
    from xai_bench.studies.camal.settings import CamalSettings  # noqa: PLC0415

    wanted = CamalSettings.read(settings) if settings else CamalSettings()
    from xai_bench.studies.camal.study import run_camal  # noqa: PLC0415

    return run_camal(wanted, _made(out or Path("camal")), device=device, progress=progress)[1]


def _reinforcement(settings: Path | None, out: Path | None, *, device: str, progress: bool) -> Path:
    from xai_bench.studies.camal_rl.settings import ReinforcementSettings  # noqa: PLC0415

    wanted = ReinforcementSettings.read(settings) if settings else ReinforcementSettings()
    from xai_bench.studies.camal_rl.study import run_rl  # noqa: PLC0415

    return run_rl(wanted, _made(out or Path("camal-rl")), device=device, progress=progress)[1]


def _made(folder: Path) -> Path:
    from xai_bench.whole import make_folder  # noqa: PLC0415

    return make_folder(folder, "study folder")
