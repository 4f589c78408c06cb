"""How figures look: sizes of a paper's columns, colours for every eye, and bytes that depend on the numbers alone."""

from typing import Any

from matplotlib import style

COLUMN, PAGE = 3.25, 6.75  # inches

RC: dict[str, Any] = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "figure.titlesize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.2,
    "figure.facecolor": "white",
    "figure.dpi": 100,
    "text.hinting": "none",  # else a text's width depends on the resolution, and the layout is made at another one
    "savefig.dpi": 300,
    "text.parse_math": False,  # names are text, dollar signs too
    "svg.fonttype": "none",
    "svg.hashsalt": "xai_bench",
    "pdf.fonttype": 42,
}

# Okabe & Ito (2008), strongest contrasts first; black and grey are left to the controls.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES = ("-", "--", "-.", (0, (6, 1, 1, 1, 1, 1)))  # dots are the controls'
GREYS = ("#777777", "#AAAAAA", "#444444")

Look = dict[str, Any]


def looks(explainers: tuple[str, ...], controls: frozenset[str]) -> dict[str, Look]:
    """A line's colour and dash per explainer, the same in every panel; controls are grey and dotted."""
    others = [name for name in explainers if name not in controls]
    drawn = {
        name: {"color": COLOURS[i % len(COLOURS)], "linestyle": DASHES[(i // len(COLOURS) + i) % len(DASHES)]}
        for i, name in enumerate(others)
    }
    grey = [name for name in explainers if name in controls]
    floor = {name: {"color": GREYS[i % len(GREYS)], "linestyle": (0, (1, 1 + i))} for i, name in enumerate(grey)}
    return drawn | floor


def context() -> Any:
    """Figures are made and saved inside of this; the reader's own settings come back after."""
    return style.context(RC, after_reset=True)


def short(name: str, most: int) -> str:
    """A name that fits: the middle goes, because the ends of two names differ more often."""
    if len(name) <= most:
        return name
    front = (most - 1) // 2
    return f"{name[:front]}…{name[len(name) - (most - 1 - front) :]}"
