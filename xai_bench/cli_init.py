"""`xai-bench reference init`: from a model or a suite to a gate in CI."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from xai_bench.cli_compare import matched
from xai_bench.toml import setting

if TYPE_CHECKING:
    from xai_bench.gate.planning import Size
    from xai_bench.setup_gate import Made

FOLDER = click.Path(path_type=Path)
SHOWN = 5  # cells that fall short, in words


@click.command()
@click.argument("suite", type=FOLDER, metavar="SUITE.toml")
@click.option("--model", "name", help="of a new suite: timm:NAME, torch:module:factory or a checkpoint")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="key of load_model; repeatable")
@click.option("--data", help="of a new suite: folder of pictures/CLASS/... and masks/... if any, or planted")
@click.option("--masks", type=FOLDER, help="mirror the pictures of --data  [default: masks beside pictures]")
@click.option("--explainer", "explainers", multiple=True, help="repeatable  [default: gradcam, ig, random]")
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    help="repeatable  [default: deletion, insertion, and as the data allow pointing_game, top1]",
)
@click.option("--images", type=int, help="of a new suite  [default: as many as a pilot of 50 says]")
@click.option("--most", type=int, default=1000, show_default=True, help="that a pilot may say")
@click.option("--earlier", metavar="RUN", help="run of the last checkpoint: measures how much scores change")
@click.option("--match", "matches", multiple=True, metavar="OLD=NEW", help="model of the earlier run = of this one")
@click.option("--margins", type=FOLDER, help="file that is there  [default: written beside SUITE.toml]")
@click.option("--ci", default="github", show_default=True, help="github, gitlab or none")
@click.option("--force", is_flag=True, help="write the reference anew; suite, margins and CI file are kept")
@click.option("--out", metavar="RUN", help="run folder, or a URL  [default: runs/NAME, of NAME.toml]")
@click.option("--device", help="instead of the suite's")
@click.option("--quiet", is_flag=True, help="no progress bar")
def init(
    suite: Path,
    name: str | None,
    settings: Sequence[str],
    data: str | None,
    masks: Path | None,
    explainers: Sequence[str],
    metrics: Sequence[str],
    images: int | None,
    most: int,
    earlier: str | None,
    matches: Sequence[str],
    margins: Path | None,
    ci: str,
    force: bool,  # noqa: FBT001 - click passes flags by name
    out: str | None,
    device: str | None,
    quiet: bool,  # noqa: FBT001
) -> None:
    """Set up a gate: the suite (where there is none yet), its margins, its reference and the file of a CI service.

    A new suite has as many images as its margins need, as a pilot says; one that is there is run as it is. The table
    says of each cell how many images are needed for 90 % power.
    """
    from xai_bench.runs.files import is_url  # noqa: PLC0415 - heavy only where it is asked for
    from xai_bench.setup_gate import Places, Starter, Wanted, set_up  # noqa: PLC0415

    model = {"name": name, **dict(map(setting, settings))} if name else dict(map(setting, settings))
    wanted = Wanted(
        places=Places(suite, ci),
        starter=Starter(model, data, masks, tuple(explainers), tuple(metrics)),
        images=images,
        most=most,
        margins=margins,
        earlier=earlier,
        match=matched(matches),
        force=force,
        out=out,
        device=device,
        progress=False if quiet else None,
    )
    made = set_up(wanted, say=lambda words: click.echo(words, err=True))
    report = made.results.report(f"{suite.stem}-report" if is_url(made.folder) else Path(made.folder) / "report")
    click.echo(_table(made.sizes))
    for line in _words(made, report):
        click.echo(line, err=True)


def _table(sizes: "Sequence[Size]") -> str:
    from tabulate import tabulate  # noqa: PLC0415

    several = len({size.data for size in sizes}) > 1
    rows = [{"data": size.data, **_row(size)} if several else _row(size) for size in sizes]
    return tabulate(rows, headers="keys", tablefmt="simple", disable_numparse=True)


def _row(size: "Size") -> dict[str, str]:
    return {
        "cell": _cell(size),
        "margin": f"{size.margin:.3g}",
        "spread": "" if math.isnan(size.spread) else f"{size.spread:.3g}",
        "needed": _count(size.needed),
        "there": _there(size),
        "least margin": _margin(size.tells),
    }


def _there(size: "Size") -> str:
    more = size.needed - size.images
    return f"{size.images:,}, {more:,.0f} more" if size.short and math.isfinite(more) else f"{size.images:,}"


def _words(made: "Made", report: Path) -> list[str]:
    """What the table means, what was written, what is left to do."""
    from xai_bench.gate.planning import EARLIER  # noqa: PLC0415
    from xai_bench.setup_gate import shown  # noqa: PLC0415

    measured = any(size.source == EARLIER for size in made.sizes)
    spread = "since the earlier run" if measured else "as if scores before and after correlate by 1/2"
    files = f"{shown(made.reference)} --margins {shown(made.margins)}"
    kept = [f"kept: {', '.join(map(shown, made.kept))}"] if made.kept else []
    return [
        "",
        "Needed: images that catch a worsening of twice the margin and pass what has not changed, 9 times in 10 each.",
        f"Spread: standard deviation of an image's change, {spread}.",
        "Least margin: the one that the images there are enough for.",
        _short(made.sizes),
        *(f"warning: {doubt}" for doubt in made.doubts),
        *(f"note: {note}" for note in made.notes),
        f"written: {', '.join(map(shown, made.files))}",
        *kept,
        f"report: {shown(report)}",
        *(f"left to do: {hint}" for hint in made.hints),
        "next: look at the report, and commit the files, not the run",
        f"in CI, after `xai-bench run`: `xai-bench check {made.folder} {files}`",
    ]


def _short(sizes: "Sequence[Size]") -> str:
    short = [size for size in sizes if size.short]
    if not short:
        return f"All {len(sizes)} cells have the images they need." if sizes else "No cell decides anything."
    more = f"; and {len(short) - SHOWN} more" if len(short) > SHOWN else ""
    cells = "; ".join(f"{_cell(size)}{_why(size)}" for size in short[:SHOWN])
    return (
        f"{len(short)} of {len(sizes)} cells have fewer images than they need, and a change may leave them undecided: "
        f"{cells}{more}. Take more images or wider margins."
    )


def _why(size: "Size") -> str:
    if size.note:
        return f" ({size.note})"
    wider = f", or a margin of {_margin(size.tells)}" if math.isfinite(size.tells) else ""
    return f" ({_count(size.needed)} images{wider})"


def _cell(size: "Size") -> str:
    of = size.model if size.explainer == "none" else f"{size.explainer} on {size.model}"
    return f"{size.metric} of {of}"


def _count(images: float) -> str:
    return "" if math.isnan(images) else "none would do" if math.isinf(images) else f"{images:,.0f}"


def _margin(margin: float) -> str:
    """Rounded up, so that it is enough."""
    if not math.isfinite(margin):
        return ""
    step = 10 ** (math.floor(math.log10(margin)) - 1) if margin else 1.0
    return f"{math.ceil(margin / step) * step:.2g}"
