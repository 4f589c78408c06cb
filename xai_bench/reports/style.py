"""How figures look: sizes of a paper's columns, colours for every eye, and bytes that depend on the numbers alone.

The settings are `xai_bench.mplstyle`, beside this file; `plt.style.use("xai_bench.reports.xai_bench")` gives them to
figures of one's own.
"""

import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from matplotlib import style
from matplotlib.colors import LinearSegmentedColormap

Width = Literal["column", "page"]
COLUMN, PAGE = 3.25, 6.75  # inches
WIDTHS: dict[str, float] = {"column": COLUMN, "page": PAGE}
STYLE = Path(__file__).parent / "xai_bench.mplstyle"

# Okabe & Ito (2008), strongest contrasts first, as in the style file; black and grey are left to the controls.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES = ("-", "--", "-.", (0, (6, 1, 1, 1, 1, 1)))  # dots are the controls'
GREYS = ("#777777", "#AAAAAA", "#444444")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
BETTER, WORSE, CONTROL, RULE = "#0072B2", "#D55E00", "#777777", "#CCCCCC"

# Blue to white to orange in steps of equal difference (CIELAB), as light on either side: -1 to 1 without false edges,
# and told apart without red or green.
DIVERGING = LinearSegmentedColormap.from_list(
    "xai_bench_diverging",
    (
        *("#00569D", "#3568A8", "#587BB4", "#748EBF", "#8FA2CA", "#A9B6D5", "#C3CBE0", "#DDE1EB"),
        "#F6F6F6",
        *("#EFDDD6", "#E6C4B6", "#DBAC97", "#D09479", "#C37D5B", "#B5653F", "#A54E23", "#953601"),
    ),
)

Look = dict[str, Any]


def looks(names: Sequence[str], controls: frozenset[str]) -> dict[str, Look]:
    """A line's colour and dash per name, the same in every panel; controls are grey and dotted."""
    others = [name for name in names if name not in controls]
    drawn = {
        name: {"color": COLOURS[i % len(COLOURS)], "linestyle": DASHES[(i // len(COLOURS) + i) % len(DASHES)]}
        for i, name in enumerate(others)
    }
    grey = [name for name in names if name in controls]
    floor = {name: {"color": GREYS[i % len(GREYS)], "linestyle": (0, (1, 1 + i))} for i, name in enumerate(grey)}
    return drawn | floor


@contextmanager
def context() -> Iterator[None]:
    """Figures are made and saved inside of this; the reader's own settings come back after.

    A sign that the font lacks is drawn as a box without a word on each of them: svg has the sign, tables too.
    """
    with style.context(STYLE, after_reset=True), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from", UserWarning)
        yield


def short(name: str, most: int) -> str:
    """A name that fits: the middle goes, because the ends of two names differ more often."""
    if len(name) <= most:
        return name
    front = (most - 1) // 2
    return f"{name[:front]}…{name[len(name) - (most - 1 - front) :]}"


def stacked(name: str, most: int, lines: int = 3) -> str:
    """A name whole, in at most `lines` lines of `most` letters, broken after its signs; `short` where it is longer."""
    found = [""]
    for piece in re.findall(r".+?(?:[ _,;/=-]|(?=[(.])|$)", name):
        if found[-1] and len(found[-1]) + len(piece.rstrip()) > most:
            found.append("")
        found[-1] += piece
    stack = [line.rstrip() for line in found]
    if len(stack) > lines:
        stack = [*stack[: lines - 1], short("".join(found[lines - 1 :]), most)]
    return "\n".join(short(line, most) for line in stack)
