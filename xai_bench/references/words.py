"""What changed in a reference, in words: for a terminal, and as Markdown for a pull request."""

import math
from collections.abc import Sequence

from tabulate import tabulate

from xai_bench.grammar import ARROWS, counted, shown
from xai_bench.markdown import escaped
from xai_bench.references.changes import Change, Changes

SAID = {"gone": "gone", "other": "not comparable", "changed": "changed", "new": "new", "same": "the same"}
LINES, ROWS = 40, 200  # of a table in a terminal, and in Markdown: a comment on GitHub holds 65,536 characters
READING = (
    "Means over the images that have a score. Change: the mean over the images that both have, in the metric's own "
    "unit. Whether it is more than chance is for xai-bench check to say."
)


def sentence(changes: Changes, name: str) -> str:
    """`reference.json, 30 cells: 1 gone, 2 changed (1 worse, 1 better), 1 new, 26 the same.`."""
    counts = changes.counts
    said = [f"{count:,} {SAID[kind]}{_signs(changes, kind)}" for kind, count in counts.items()]
    return f"{shown(name)}, {counted(len(changes.cells), 'cell')}: {', '.join(said)}."


def text(changes: Changes, name: str) -> str:
    """For a terminal."""
    cells = _told(changes)
    table = tabulate(*_filled(_rows(changes, cells[:LINES]), _heads(changes)), tablefmt="simple", disable_numparse=True)
    more = f"{counted(len(cells) - LINES, 'more cell')}; --markdown FILE lists {ROWS}." if len(cells) > LINES else ""
    return "\n\n".join(
        filter(None, [sentence(changes, name), table if cells else "", more, "\n".join(map(shown, changes.notes))])
    )


def markdown(changes: Changes, name: str) -> str:
    """For the description of a pull request."""
    cells = _told(changes)
    rows = [[escaped(value) for value in row] for row in _rows(changes, cells[:ROWS])]
    table = tabulate(*_filled(rows, _heads(changes)), tablefmt="pipe", disable_numparse=True)
    more = f"{counted(len(cells) - ROWS, 'more cell')} are left out." if len(cells) > ROWS else ""
    notes = "\n".join(f"- {escaped(shown(note))}" for note in changes.notes)
    head = f"### {escaped(sentence(changes, name))}"
    return "\n\n".join(filter(None, [head, table if cells else "", more, notes, READING if cells else ""])) + "\n"


def _told(changes: Changes) -> tuple[Change, ...]:
    return tuple(cell for cell in changes.cells if cell.kind != "same")


def _signs(changes: Changes, kind: str) -> str:
    if kind != "changed":
        return ""
    worse = [cell.worse for cell in changes.cells if cell.kind == kind]
    parts = [(sum(one > 0 for one in worse), "worse"), (sum(one < 0 for one in worse), "better")]
    said = ", ".join(f"{count:,} {word}" for count, word in parts if count)
    return f" ({said})" if said else ""


def _several(changes: Changes) -> list[str]:
    """Names that are not the same in all cells, which alone need a column."""
    return [name for name in ("data", "model") if len({getattr(cell, name) for cell in changes.cells}) > 1]


def _heads(changes: Changes) -> list[str]:
    return ["", *_several(changes), "explainer", "metric", "before", "now", "change", "images", "undefined"]


def _rows(changes: Changes, cells: Sequence[Change]) -> list[list[str]]:
    return [
        [
            SAID[cell.kind],
            *(shown(getattr(cell, name)) for name in _several(changes)),
            "" if cell.explainer == "none" else shown(cell.explainer),
            shown(f"{cell.metric} {ARROWS.get(cell.better, '')}"),
            _number(cell.before),
            _number(cell.now),
            _change(cell),
            _counts(cell, cell.n_before, cell.n),
            _counts(cell, cell.undefined_before, cell.undefined),
        ]
        for cell in cells
    ]


def _filled(rows: list[list[str]], heads: list[str]) -> tuple[list[list[str]], list[str]]:
    """Without the columns in which nothing stands."""
    kept = [place for place in range(len(heads)) if any(row[place] for row in rows)]
    return [[row[place] for place in kept] for row in rows], [heads[place] for place in kept]


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.4g}"


def _change(cell: Change) -> str:
    """`0.012 worse`; `+0.3` where nothing says what is better."""
    if math.isnan(cell.worse):
        both = cell.kind == "changed" and not math.isnan(cell.now - cell.before)
        return f"{cell.now - cell.before:+.2g}" if both and cell.better == "unstated" else ""
    return f"{abs(cell.worse):.2g} {'worse' if cell.worse > 0 else 'better'}" if cell.worse else "0"


def _counts(cell: Change, before: int, now: int) -> str:
    """`200`, or `200 to 190` where that changed."""
    if cell.kind in ("gone", "new"):
        return f"{before if cell.kind == 'gone' else now:,}"
    return f"{now:,}" if before == now else f"{before:,} to {now:,}"
