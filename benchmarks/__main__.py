"""All benchmarks as one table, on the terminal and as a markdown file."""

import platform
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

import click
import torch

from benchmarks import (
    against_catalogue,
    against_explainers,
    against_quantus,
    bare,
    coverage,
    energy_mask,
    gate,
    gpu,
    imputation,
    memory,
    page,
    report,
    scaling,
    sharing,
)
from benchmarks.harness import Line, seconds, table, write
from benchmarks.jobs import FULL, Size
from xai_bench.engine.precision import fp32

PARTS: dict[str, Callable[[Size], Iterator[Line]]] = {
    "bare": bare.lines,
    "mask": energy_mask.lines,
    "quantus": against_quantus.lines,
    "explainers": against_explainers.lines,
    "sharing": sharing.lines,
    "catalogue": against_catalogue.lines,
    "imputation": imputation.lines,
    "scaling": scaling.lines,
    "processes": scaling.in_processes,
    "memory": memory.lines,
    "report": report.lines,
    "page": page.lines,
    "coverage": coverage.lines,
    "gate": gate.lines,
    "gpu": gpu.lines,
}
QUICK = [part for part in PARTS if part != "processes"]  # starting processes takes longer than a short run gains


def heading(size: Size) -> list[str]:
    """What the numbers depend on."""
    chip = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor() or platform.machine()
    where = f"{chip}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    what = f"random weights, {size.images} images at {size.pixels} ({size.peer_images} against other libraries)"
    how = f"Each line is a ratio from one run: median of {size.rounds} rounds, both measured back to back in each."
    meaning = "`a / b` is the time of a divided by the time of b; other lines say what they are."
    return ["# Speed and memory", f"{where}; {what}.", f"{how} {meaning}"]


@click.command()
@click.option("--full", is_flag=True, help="All parts with 32 images; about five hours on two cores.")
@click.option("--part", "parts", multiple=True, type=click.Choice(list(PARTS)), help="Only this part; repeatable.")
@click.option("--rounds", type=click.IntRange(1), help="Rounds in place of 5.")
@click.option("--images", type=click.IntRange(1), help="Images in place of 1 (2 against other libraries).")
@click.option("--processor-time", is_flag=True, help="Measure processor time: less disturbed by a busy machine.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Also write the table to this file.")
def main(
    *,
    full: bool,
    parts: tuple[str, ...],
    rounds: int | None,
    images: int | None,
    processor_time: bool,
    out: Path | None,
) -> None:
    """Measure ours against bare forward passes, other libraries, and itself at other sizes."""
    warnings.simplefilter("ignore")  # what other libraries warn of on import
    given = {"rounds": rounds, "images": images, "peer_images": images}
    size = replace(FULL if full else Size(), **{name: value for name, value in given.items() if value})
    if processor_time:
        size = replace(size, measure=lambda work: seconds(work, time.process_time))
    found: list[Line] = []
    with fp32():
        for line in chain.from_iterable(PARTS[part](size) for part in parts or (PARTS if full else QUICK)):
            found.append(line)
            click.echo(f"{line.name}: {line.cells()[1]}", err=True)
            if out:  # after each line: hours of work should not wait for the last one
                write(out, heading(size), found)
    print("\n\n".join((*heading(size), table(found))))


if __name__ == "__main__":
    sys.exit(main())
