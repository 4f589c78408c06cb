"""Jobs measured back to back, round after round, and the table of their ratios."""

import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tabulate import tabulate
from torch import Tensor, nn

Work = Callable[[], object]
Times = Mapping[str, Sequence[float]]  # job -> what was measured in each round
HEADERS = ("", "median", "lowest", "highest", "what was measured")


@dataclass(frozen=True)
class Line:
    """One ratio of the table: a number for each round."""

    name: str
    ratios: tuple[float, ...]
    note: str = ""

    def cells(self) -> tuple[str, str, str, str, str]:
        """As the table shows it."""
        numbers = statistics.median(self.ratios), min(self.ratios), max(self.ratios)
        return (self.name, *(f"{number:.3g}" if number >= 10 else f"{number:.2f}" for number in numbers), self.note)


def seconds(work: Work, clock: Callable[[], float] = time.perf_counter) -> float:
    """Wall time of one call."""
    start = clock()
    work()
    return clock() - start


def rounds(jobs: Mapping[str, Work], count: int, measure: Callable[[Work], float] = seconds) -> Times:
    """All jobs one after the other, `count` times, in reverse order every second time; warm them up before."""
    names = list(jobs)
    times: dict[str, list[float]] = {name: [] for name in names}
    for number in range(count):
        for name in names if number % 2 == 0 else reversed(names):
            times[name].append(measure(jobs[name]))
    return times


def line(name: str, times: Times, above: str, below: str, note: str = "", *, scale: float = 1.0) -> Line:
    """The ratio of two jobs of the same rounds, times `scale`."""
    pairs = zip(times[above], times[below], strict=True)
    return Line(name, tuple(scale * upper / lower for upper, lower in pairs), note)


def passes(modules: nn.Module | Iterable[nn.Module], work: Work) -> int:
    """How many images go through the modules while some work is done; it also warms the work up."""
    seen = 0

    def look(_module: nn.Module, inputs: tuple[Tensor, ...], _out: object) -> None:
        nonlocal seen
        seen += len(inputs[0])

    watched = [modules] if isinstance(modules, nn.Module) else list(modules)
    hooks = [module.register_forward_hook(look) for module in watched]
    try:
        work()
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def table(lines: Sequence[Line]) -> str:
    """All lines as one markdown table."""
    return tabulate([each.cells() for each in lines], HEADERS, tablefmt="github", disable_numparse=True)


def write(path: Path, heading: Sequence[str], lines: Sequence[Line]) -> None:
    """The table with what stands above it as a markdown file."""
    path.write_text("\n\n".join((*heading, table(lines))) + "\n")
