"""How often the gate is wrong: false alarms, power and the images it asks for, in simulated checks; and its speed.

`python -m benchmarks.gate --out gate.md` writes the tables of docs/statistics.md. Verdicts are those of
`xai_bench.gate`: what is simulated are scores of images, then and now.
"""

import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
from scipy import special
from tabulate import tabulate

from benchmarks.coverage import EXPONENTIAL, FOUR, LOGNORMAL, Truth, beta
from benchmarks.harness import Line, seconds
from benchmarks.jobs import Size
from benchmarks.stored import Shape, write
from xai_bench.gate.sets import compared
from xai_bench.gate.sizes import Numbers, Spread, to_decide
from xai_bench.gate.verdicts import SIGNS, Found, Verdict, judged
from xai_bench.gate.worsening import estimate
from xai_bench.results import load_results

CHECKS = 2_000
CELLS = (1, 6, 30, 100)
PIECES = {1: 20, 6: 5, 30: 3, 100: 1}  # checks of so many cells that are cut out of one of 100
IMAGES = (20, 50, 200)
ALPHA = 0.05
SEED = 7

Draw = Callable[[np.random.Generator, int, int], tuple[Numbers, Numbers]]  # images, cells -> (n, K) then and now


class Kind(NamedTuple):
    """Scores of an unchanged model, by another draw of whatever is drawn; lower is better."""

    name: str
    draw: Draw
    margin: float  # what a user gets who sets none
    hits: bool = False


def again(truth: Truth, shared: float = 0.0) -> Draw:
    """Scored twice: an image that is hard once is hard again; `shared` is how alike all cells of an image are.

    Then and now can be exchanged, as they can where one model is scored under two seeds.
    """
    table = truth.quantile((np.arange(4096) + 0.5) / 4096)  # looked up, not computed: there are many to draw

    def draw(rng: np.random.Generator, n: int, cells: int) -> tuple[Numbers, Numbers]:
        def normal() -> Numbers:
            alike, own = rng.normal(size=(n, 1)), rng.normal(size=(n, cells))
            return np.sqrt(shared) * alike + np.sqrt(1 - shared) * own

        ease, sides = normal(), (normal(), normal())
        shares = (special.ndtr(np.sqrt(0.8) * ease + np.sqrt(0.2) * side) for side in sides)
        then, now = (table[(share * 4096).astype(np.intp) % 4096] for share in shares)
        return then, now

    return draw


def differing(draw: Draw, share: float) -> Draw:
    """Only so many images are scored anew; all others keep their score."""

    def some(rng: np.random.Generator, n: int, cells: int) -> tuple[Numbers, Numbers]:
        then, now = draw(rng, n, cells)
        return then, np.where(rng.random((n, cells)) < share, now, then)

    return some


def two_values(apart: float, low: float = 0.0, high: float = 1.0) -> Draw:
    """Of two values, one then and the other now for a share of the images."""

    def draw(rng: np.random.Generator, n: int, cells: int) -> tuple[Numbers, Numbers]:
        then = rng.random((n, cells)) < 0.5
        now = then ^ (rng.random((n, cells)) < apart)
        return np.where(then, high, low), np.where(now, high, low)

    return draw


def drawn_apart(then: Truth, now: Truth) -> Draw:
    """Of the same mean but another shape: no model does so that has not changed."""
    return lambda rng, n, cells: (then.draw(rng, (n, cells)), now.draw(rng, (n, cells)))


SKEWED, MIRRORED = beta(0.5, 4), beta(2, 16)  # the same mean
T3 = Truth("t, 3 degrees", lambda u: special.stdtrit(3, u), 0.0)
LEVEL = Truth("1", np.ones_like, 1.0)
SPREADS = {LOGNORMAL: float(np.sqrt(np.e**2 - np.e)), T3: float(np.sqrt(3))}
UNCHANGED = (
    Kind("beta(2, 5)", again(beta(2, 5)), 0.02),
    Kind("beta(0.5, 4), skewed", again(SKEWED), 0.02),
    Kind("four values", again(FOUR), 0.02),
    Kind("0.2 or 0.7, 40 % change", two_values(0.4, 0.2, 0.7), 0.02),
    Kind("hits, 2 % change", two_values(0.02), 0.02, hits=True),
    Kind("hits, 30 % change", two_values(0.3), 0.02, hits=True),
    Kind("lognormal(0, 1)", again(LOGNORMAL), SPREADS[LOGNORMAL] / 10),
    Kind("t, 3 degrees", again(T3), SPREADS[T3] / 10),
    Kind("beta(2, 5), cells alike", again(beta(2, 5), shared=0.8), 0.02),
    Kind("beta(2, 5), 10 % change", differing(again(beta(2, 5)), 0.1), 0.02),
    Kind("lognormal, 10 % change", differing(again(LOGNORMAL), 0.1), SPREADS[LOGNORMAL] / 10),
)
LOPSIDED = (
    Kind("beta(0.5, 4) to beta(2, 16)", drawn_apart(SKEWED, MIRRORED), 0.02),
    Kind("beta(2, 16) to beta(0.5, 4)", drawn_apart(MIRRORED, SKEWED), 0.02),
    Kind("1 to exponential", drawn_apart(LEVEL, EXPONENTIAL), 0.1),
    Kind("exponential to 1", drawn_apart(EXPONENTIAL, LEVEL), 0.1),
)


def found(worsenings: Numbers, margin: float, *, hits: bool = False) -> Found:
    """A cell as the gate measures it, of worsenings (n,)."""
    rounded = np.round(worsenings, 12)
    key = ("data", "model", "explainer", "metric")
    measured = estimate(rounded, ALPHA, hits=hits)
    return Found(key, "lower", margin, n=len(rounded), estimate=measured, equal=not rounded.any())


def least_p(worsenings: Numbers, *, hits: bool) -> Numbers:
    """What the gate's p of each column (n, K) is not below: Student's, of hits that of the sign test; 1 without any."""
    n, worse, apart = len(worsenings), (worsenings > 0).sum(axis=0), (worsenings != 0).sum(axis=0)
    if hits:
        return np.where(worse > 0, special.bdtrc(worse - 1, np.maximum(apart, 1), 0.5), 1.0)
    error = worsenings.std(axis=0, ddof=1) / np.sqrt(n)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = special.stdtr(n - 1, -worsenings.mean(axis=0) / error)
    return np.where(apart > 0, p, 1.0)


def suspects(worsenings: Numbers, count: int, *, hits: bool) -> Iterator[Numbers]:
    """Checks of so many cells, (n, count), of which one may be red: Holm's first step would let something through.

    That the gate corrects as Holm does, and that no p is below this one, is tested (tests/gate/test_false_alarms.py).
    """
    p, tested = least_p(worsenings, hits=hits), worsenings.any(axis=0)
    for piece in range(PIECES[count]):
        part = slice(piece * count, (piece + 1) * count)
        if p[part].min() * tested[part].sum() < ALPHA:
            yield worsenings[:, part]


def is_red(worsenings: Numbers, margin: float, *, hits: bool = False) -> bool:
    """Whether the gate turns red on cells of these worsenings (n, K)."""
    return _worst(judged([found(cell, margin, hits=hits) for cell in worsenings.T], ALPHA, 0.0)) == "regression"


def _worst(verdicts: Sequence[Verdict]) -> str:
    seen = {verdict.verdict for verdict in verdicts}
    return next(name for name in ("regression", "undecided", "pass") if name in seen | {"pass"})


def false_alarms(kind: Kind, n: int, checks: int = CHECKS) -> dict[tuple[bool, int], float]:
    """Share of red checks, per cent, without and with a margin, for each number of cells."""
    red, rng = Counter[tuple[bool, int]](), np.random.default_rng((SEED, n))
    for _ in range(checks):
        then, now = kind.draw(rng, n, max(CELLS))
        for count in CELLS:
            for cells in suspects(now - then, count, hits=kind.hits):
                if is_red(cells, 0.0, hits=kind.hits):  # a margin makes no check red that is green without
                    red[False, count] += 1
                    red[True, count] += is_red(cells, kind.margin, hits=kind.hits)
    return {
        (margin, count): 100 * red[margin, count] / (checks * PIECES[count])
        for margin in (False, True)
        for count in CELLS
    }


def by_kind(kinds: Sequence[Kind], checks: int) -> Iterator[list[str]]:
    """Two rows for each kind of scores, a column for each number of images and cells."""
    for kind in kinds:
        shares = [false_alarms(kind, n, checks) for n in IMAGES]
        for margin in (False, True):
            said = f"{kind.margin:.2g}" if margin else "0"
            row = [kind.name, said, *(f"{found[margin, count]:.1f}" for found in shares for count in CELLS)]
            click.echo(" | ".join(row), err=True)  # a table takes minutes
            yield row


class SetKind(NamedTuple):
    """Records of an unchanged model, of a metric of the whole set, by another draw."""

    name: str
    reduction: str
    better: str
    draw: Callable[[np.random.Generator, int], Numbers]  # images -> records (n, S)


def classes(count: int, steepness: float = 0.0) -> Callable[[np.random.Generator, int], Numbers]:
    """The classes predicted at three steps; class k as likely as k^-steepness."""
    weights = np.arange(1, count + 1) ** -steepness
    return lambda rng, n: rng.choice(count, p=weights / weights.sum(), size=(n, 3)).astype(np.float64)


def two_hits(above: float, below: float) -> Callable[[np.random.Generator, int], Numbers]:
    """Right or wrong twice, so often; what a ratio is of."""
    return lambda rng, n: (rng.random((n, 2)) < (above, below)).astype(np.float64)


SETS = (
    SetKind("entropy of 10 classes", "class_entropy", "higher", classes(10)),
    SetKind("entropy of 100 classes", "class_entropy", "higher", classes(100)),
    SetKind("entropy of 1,000 classes", "class_entropy", "higher", classes(1_000)),
    SetKind("entropy of 100 classes, steep", "class_entropy", "higher", classes(100, 1.5)),
    SetKind("ratio of hits, 30 % to 70 %", "ratio", "lower", two_hits(0.3, 0.7)),
)
KEPT = 0.5  # of an image's records of a set metric keep their value
FEWER = 10  # times: a cell of a set metric takes milliseconds


def set_cell(kind: SetKind, rng: np.random.Generator, n: int) -> Found:
    """One cell of an unchanged model, by the gate; without a test where the number is not defined."""
    ease = kind.draw(rng, n)
    then, now = (np.where(rng.random(ease.shape) < KEPT, ease, kind.draw(rng, n)) for _ in range(2))
    cell = Found(("data", "model", "explainer", "metric"), kind.better, 0.0, n=n, equal=bool((then == now).all()))
    if cell.equal or (kind.reduction == "ratio" and not (then[:, 1].any() and now[:, 1].any())):
        return cell
    return replace(cell, estimate=compared(kind.reduction, then, now, SIGNS[kind.better], ALPHA))


def set_alarms(kind: SetKind, n: int, checks: int) -> dict[int, float]:
    """Share of red checks, per cent, with a margin of 0, for each number of cells that so many cells can make up."""
    rng = np.random.default_rng((SEED, n))
    cells = [set_cell(kind, rng, n) for _ in range(checks * max(CELLS))]
    parts = {count: [cells[i : i + count] for i in range(0, len(cells) - count + 1, count)] for count in CELLS}
    red = {count: [_worst(judged(part, ALPHA, 0.0)) == "regression" for part in parts[count]] for count in CELLS}
    return {count: 100 * float(np.mean(red[count])) for count in CELLS}


def by_set_kind(checks: int) -> Iterator[list[str]]:
    """A row for each kind of set metric."""
    for kind in SETS:
        shares = [set_alarms(kind, n, checks) for n in IMAGES]
        row = [kind.name, *(f"{found[count]:.1f}" for found in shares for count in CELLS)]
        click.echo(" | ".join(row), err=True)
        yield row


class Change(NamedTuple):
    """One cell of a check got worse and no other."""

    worse: float  # its mean worsening, in the unit of the margin
    spread: Spread  # of the worsenings by image of every cell
    margin: float = 1.0

    def draw(self, rng: np.random.Generator, n: int, cells: int) -> Numbers:
        """Worsenings (n, K), normal or of hits in {-1, 0, 1}; the first cell is the one."""
        mean = np.r_[self.worse, np.zeros(cells - 1)]
        if not self.spread.hits:
            return mean + self.spread.sd * rng.normal(size=(n, cells))
        drawn, apart = rng.random((n, cells)), self.spread.sd**2
        lost = (apart + mean) / 2
        return np.where(drawn < lost, 1.0, np.where(drawn < apart, -1.0, 0.0))

    def needed(self, cells: int) -> int:
        """Images that the gate asks for where this was measured."""
        return int(to_decide(self.worse, self.spread, self.margin, level=ALPHA / cells, alpha=ALPHA))

    @property
    def right(self) -> tuple[str, ...]:
        """Verdicts of the cell that got worse."""
        return ("regression",) if self.worse > self.margin else ("pass", "improved")


def ends(n: int, cells: int, change: Change, checks: int) -> tuple[Counter[str], Counter[str]]:
    """How checks end, and what becomes of their first cell."""
    rng = np.random.default_rng((SEED, n, cells))
    whole, first = Counter[str](), Counter[str]()
    for _ in range(checks):
        drawn = change.draw(rng, n, cells).T
        verdicts = judged([found(w, change.margin, hits=change.spread.hits) for w in drawn], ALPHA, 0.0)
        whole[_worst(verdicts)] += 1
        first[verdicts[0].verdict] += 1
    return whole, first


def powers(checks: int) -> Iterator[list[str]]:
    """One cell of a check got worse by two margins; its differences spread by so many margins; per cent."""
    for spread in (2.0, 5.0):
        for cells in CELLS:
            whole, first = ends(200, cells, Change(2.0, Spread(spread)), checks)
            yield [f"{spread:g}", str(cells), *(f"{100 * red['regression'] / checks:.1f}" for red in (first, whole))]


def unchanged(checks: int) -> Iterator[list[str]]:
    """How checks of an unchanged model end, by the spread of differences in margins; per cent."""
    for spread in (1.0, 2.0, 3.0, 5.0):
        for cells in CELLS:
            whole, first = ends(200, cells, Change(0.0, Spread(spread)), checks)
            passed = 100 * (first["pass"] + first["improved"]) / checks
            shares = (f"{100 * whole[name] / checks:.1f}" for name in ("pass", "undecided", "regression"))
            yield [f"{spread:g}", str(cells), *shares, f"{passed:.1f}"]


def of_hits(lost: float, won: float) -> Change:
    """Of such shares of the images, at the margin of 0.05."""
    return Change(lost - won, Spread(float(np.sqrt(lost + won)), hits=True), 0.05)


CHANGES = {
    **{
        f"by {worse:g}, spread {spread:g}": Change(worse, Spread(spread))
        for spread in (0.5, 1.0, 2.0, 5.0)
        for worse in (-1.0, 0.0, 0.5, 1.5, 2.0, 3.0)
    },
    **{
        f"hits, {100 * lost:g} % lost, {100 * won:g} % won": of_hits(lost, won)
        for lost, won in ((0.0, 0.02), (0.02, 0.02), (0.1, 0.1), (0.04, 0.02), (0.08, 0.0), (0.12, 0.02), (0.2, 0.1))
    },
}


def enough(checks: int) -> Iterator[list[str]]:
    """Whether so many images as the gate asks for decide a cell of 1 or 30 that changed like this; per cent."""
    for name, change in CHANGES.items():
        for cells in (1, 30):
            n = change.needed(cells)
            _, first = ends(n, cells, change, checks)
            shares = [sum(first[verdict] for verdict in change.right), checks - first["undecided"]]
            yield [name, str(cells), str(n), *(f"{100 * share / checks:.1f}" for share in shares)]


def titled(title: str, rows: Iterator[list[str]], headers: Sequence[str]) -> str:
    """A table with its heading."""
    return f"**{title}**\n\n{tabulate(rows, headers, tablefmt='github', disable_numparse=True)}"


def tables(checks: int) -> Iterator[tuple[str, Callable[[], str]]]:
    """Each part by its name, not yet computed."""
    heads = ["", "margin", *(f"n {n}, K {count}" for n in IMAGES for count in CELLS)]
    for title, kinds in {"unchanged": UNCHANGED, "changed shape, same mean": LOPSIDED}.items():
        yield "alarms", partial(titled, f"Red checks, per cent: {title}", by_kind(kinds, checks), heads)
    columns = ["", *heads[2:]]
    title = "Red checks, per cent: metrics of a whole set, unchanged, margin 0"
    yield "sets", partial(titled, title, by_set_kind(max(checks // FEWER, 1)), columns)
    heads = ["spread", "cells", "that cell red", "check red"]
    yield "power", partial(titled, "One cell worse by two margins, n = 200", powers(checks), heads)
    heads = ["spread", "cells", "check passes", "undecided", "red", "cell passes"]
    yield "unchanged", partial(titled, "Unchanged model, n = 200", unchanged(checks), heads)
    heads = ["worse by", "cells", "needed", "decided rightly", "decided"]
    yield "needed", partial(titled, "At the number of images asked for", enough(checks), heads)


def lines(size: Size) -> Iterator[Line]:
    """What `make bench` shows: a check of 200 images x 5 explainers x 6 metrics, from a bare start of Python."""
    note = "200 images x 5 explainers x 6 metrics against a reference file; no ratio"
    with tempfile.TemporaryDirectory() as folder:
        run, reference = Path(folder) / "run", Path(folder) / "reference.json"
        write(Shape(200, explainers=5, metrics=6, curves=4), run)
        kilobytes = load_results(run).save_reference(reference).stat().st_size / 1e3
        command = [sys.executable, "-m", "xai_bench.cli", "check", str(run), str(reference)]
        wall = [seconds(partial(subprocess.run, command, check=True, capture_output=True)) for _ in range(size.rounds)]
    yield Line("check, seconds of the whole process", tuple(wall), note)
    yield Line("check, kB of the reference file", (kilobytes,), note)


PARTS = ("alarms", "sets", "power", "unchanged", "needed")


@click.command()
@click.option("--part", "parts", multiple=True, type=click.Choice(PARTS), help="Only this part; repeatable.")
@click.option("--checks", type=click.IntRange(1), default=CHECKS, show_default=True)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Also write the tables to this file.")
def main(*, parts: tuple[str, ...], checks: int, out: Path | None) -> None:
    """All tables; about half an hour on one core."""
    made: list[str] = []
    for name, make in tables(checks):
        if name in (parts or PARTS):
            made.append(make())
            print(made[-1], end="\n\n", flush=True)
            if out:
                out.write_text("\n\n".join(made) + "\n")


if __name__ == "__main__":
    sys.exit(main())
