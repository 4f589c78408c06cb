"""Scores over time as a text, tables, figures and one page."""

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from xai_bench.digits import ranged
from xai_bench.grammar import ARROWS, counted, series, shown
from xai_bench.markdown import escaped
from xai_bench.references.history import DAY, History, short_commit
from xai_bench.reports import timeline
from xai_bench.reports.analysis import unique
from xai_bench.reports.folder import put
from xai_bench.reports.study_page import Picture, Section, Study, Table, write_study
from xai_bench.reports.style import short
from xai_bench.reports.tables import csv, listed, markdown, shortened
from xai_bench.reports.tables import text as text_of
from xai_bench.reports.tables.plain import plain
from xai_bench.reports.tables.sheet import Cell, Column, Grid, Row, Sheet

LAST, RECENT = 20, 50  # references in a terminal, and in the tables of the page; files hold all
SPOKEN = 12  # findings on the page
CAPTION = (
    "Mean over images [95 % interval] of each reference, the oldest first. Arrows point to better. What is new: why "
    "scores cannot be compared with the earlier ones (after 'break'), or what else may explain a change. Whether a "
    "change is more than chance is for xai-bench check to say: it pairs images, which is sharper than intervals "
    "side by side."
)
CHANGES = (
    "A + after a commit: made of that commit and changes that nobody had committed yet; the history of the file in git "
    "(--git FILE) names the commit that has them."
)
HEAD = ("reference", "commit")
FIGURE = (
    "Mean over images with its 95 % interval, a point per reference, the oldest on the left. A vertical line stands "
    "where scores cannot be compared with the earlier ones; a gap where a reference has no such score."
)


def text(history: History) -> str:
    """For a terminal: the last references, a table per data set and metric, and what moved most."""
    first = max(0, len(history.references) - LAST)
    parts = [lead(history), *(text_of(sheet) for sheet in _sheets(history, first))]
    parts += [f"Earlier references that are not shown: {first}; --out and --json hold all."] if first else []
    return "\n\n".join(filter(None, [*parts, "\n".join(sentences(history))]))


def records(history: History) -> dict[str, Any]:
    """For machines: references, rows and notes; nan is null."""
    rows = history.table.astype(object).where(history.table.notna(), None).to_dict("records")
    places = history.references.to_dict("records")
    return {"references": places, "notes": list(history.notes), "sentences": list(sentences(history)), "scores": rows}


def lead(history: History) -> str:
    """`12 references from 2026-01-05 to 2026-03-01: 3 metrics, 2 models, 5 explainers.`."""
    dates = [date[:DAY] for date in history.dates.values() if date]
    days = dates[:1] if dates[:1] == dates[-1:] else [dates[0], dates[-1]]
    when = f" {'from' if len(days) > 1 else 'of'} {' to '.join(days)}" if days else ""
    named = history.table.assign(explainer=history.table["explainer"].replace("none", None))
    counts = [counted(int(named[name].nunique()), name) for name in ("metric", "model", "explainer")]
    breaks = history.table.loc[history.table["broken"] != "", "number"].nunique()
    broken = f"; {counted(breaks, 'break')}" if breaks else ""
    return shown(f"{counted(len(history.references), 'reference')}{when}: {series(counts)}{broken}.")


def sentences(history: History) -> tuple[str, ...]:
    """For each data set and metric, the cell whose mean moved most since its last break; what came back is said too."""
    groups = history.table.groupby(["data", "metric"], sort=False)
    said = (_moved(history, part) for _, part in groups)
    return tuple(shown(sentence) for sentence in said if sentence)


def write(history: History, out: Path) -> Path:
    """Tables (csv, md), a figure per metric (pdf, svg, png) and one page under `out`; gives the page."""
    earlier = [path.relative_to(out).as_posix() for path in (out / "figures").glob("history-*") if path.is_file()]
    put(out, _files(history), earlier)
    return out / "index.html"


def _files(history: History) -> Iterator[tuple[str, bytes]]:
    """(path, content), the page last."""
    yield "tables/history.csv", csv(history.table).encode()
    yield "tables/history.md", _markdown(history).encode()
    with tempfile.TemporaryDirectory() as folder:
        page = write_study(_study(history), Path(folder))
        pictures = sorted((page.parent / "figures").glob("*"))
        yield from ((f"figures/{path.name}", path.read_bytes()) for path in pictures)
        yield page.name, page.read_bytes()


def _markdown(history: History) -> str:
    sheets = (replace(sheet, grids=(replace(sheet.grids[0], title=""),)) for sheet in _sheets(history))
    grids = "\n".join(markdown(shortened(sheet)) for sheet in sheets)  # the heading is the title
    return "\n".join(filter(None, [f"{escaped(lead(history))}\n", listed(sentences(history)), grids]))


def _study(history: History) -> Study:
    metrics = unique(history.table["metric"])
    names = file_names(metrics)
    first = max(0, len(history.references) - RECENT)
    said = sentences(history)
    more = [f"{len(said) - SPOKEN:,} more are left out."] if len(said) > SPOKEN else []
    return Study(
        title="Scores over time",
        lead=lead(history),
        notes=[*history.notes, _caption(history)],
        findings=[*said[:SPOKEN], *more],
        sections=[_section(history.only([metric]), names[metric], first) for metric in metrics],
    )


def _section(history: History, name: str, first: int) -> Section:
    metric = str(history.table["metric"].iloc[0])
    figure = timeline.figure(history)
    pictures = [Picture(name, FIGURE, figure, alt=f"{metric} over time")] if figure is not None else []
    left_out = f" The last {RECENT} of {len(history.references)}; tables/history.csv holds all." if first else ""
    tables = [
        Table(
            f"{name}-{number}",
            f"{sheet.heading}: mean over images [95 % interval].{left_out}",
            history.table,
            _shown(sheet),
            whole=HEAD,
        )
        for number, sheet in enumerate(_sheets(history, first), 1)
    ]
    return Section(arrowed(history.table), "", tables, pictures)


def _shown(sheet: Sheet) -> pd.DataFrame:
    """An interval stays on one line."""
    grid = sheet.grids[0]
    return pd.DataFrame(
        [[plain(_unbroken(cell)) for cell in row.cells] for row in grid.rows],
        columns=[column.head for column in grid.columns],
    )


def _unbroken(cell: Cell) -> Cell:
    return replace(cell, bounds=cell.bounds.replace(" ", "\N{NO-BREAK SPACE}"))


def _sheets(history: History, first: int = 0) -> Iterator[Sheet]:
    """A table per data set and metric, a row per reference from number `first` on, a column per model and explainer."""
    groups = list(history.table.groupby(["metric", "data"], sort=False))
    several = len(unique(history.table["data"])) > 1
    for number, ((_, data), part) in enumerate(groups, 1):
        heading = shown(f"{arrowed(part)} on {data}" if several else arrowed(part))
        caption = _caption(history) if number == len(groups) else ""
        yield Sheet("history", heading, caption, (_grid(history, part, heading, first),), frame=part)


def _caption(history: History) -> str:
    timed = any(len(date) > DAY for date in history.dates.values())
    changed = any(short_commit(commit).endswith("+") for commit in history.references["commit"])
    return " ".join([CAPTION, *["Times are UTC."] * timed, *[CHANGES] * changed])


def _grid(history: History, part: pd.DataFrame, title: str, first: int) -> Grid:
    lines = _lines(history, part)
    cells = {(row["number"], row["model"], row["explainer"]): row for row in _records(part)}
    columns = [*map(Column, HEAD), Column("what is new"), *(Column(shown(name)) for name in lines)]
    rows = []
    for place in _records(history.references)[first:]:
        these = [cells.get((place["number"], *key)) for key in lines.values()]
        date = history.dates[place["number"]]
        head = (date or str(place["file"]), short_commit(place["commit"]), _new(these))
        rows.append(Row((*map(Cell.name, map(shown, head)), *map(_cell, these))))
    kept = [place for place in range(len(columns)) if place > 2 or any(row.cells[place].text for row in rows)]
    narrow = tuple(Row(tuple(row.cells[place] for place in kept)) for row in rows)
    return Grid(title, tuple(columns[place] for place in kept), narrow, sum(place < 3 for place in kept), matrix=True)


def _records(frame: pd.DataFrame) -> list[Mapping[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _lines(history: History, part: pd.DataFrame) -> dict[str, tuple[str, str]]:
    """How each (model, explainer) of a table is called: what all of them share is not repeated."""
    latest = part.sort_values("number", ascending=False, kind="stable")  # their order in the last reference
    pairs = latest[["model", "explainer"]].drop_duplicates().itertuples(index=False, name=None)
    several = len(unique(history.table["model"])) > 1
    return {line_name(model, explainer, several=several): (model, explainer) for model, explainer in pairs}


def line_name(model: str, explainer: str, *, several: bool) -> str:
    """`gradcam`, `gradcam of ersm` where there are several models, `ersm` where the metric needs no map."""
    return model if explainer == "none" else f"{explainer} of {model}" if several else explainer


def _new(rows: Sequence[Mapping[str, Any] | None]) -> str:
    """What changed in any of the cells of a reference; long specs are cut."""
    there = [row for row in rows if row is not None]
    broken = [f"break: {short(text, 60)}" for text in dict.fromkeys(row["broken"] for row in there) if text]
    changed = [short(text, 60) for text in dict.fromkeys(row["changed"] for row in there) if text]
    return "; ".join([*broken, *changed])


def _cell(row: Mapping[str, Any] | None) -> Cell:
    if row is None:
        return Cell()
    aside = (f"{row['undefined']:.0f} undefined",) if row["undefined"] else ()
    if not row["n"] and row["mean"] != row["mean"]:
        return Cell("undefined")
    made = Cell.of(row["mean"], row["low"], row["high"])
    return Cell(made.text, made.bounds, aside=aside, sort=made.sort)


def arrowed(part: pd.DataFrame) -> str:
    """`deletion ↓`."""
    return f"{part['metric'].iloc[-1]} {ARROWS.get(str(part['better'].iloc[-1]), '')}".rstrip()


class _Move(NamedTuple):
    """A cell since its last break."""

    first: "pd.Series[Any]"
    last: "pd.Series[Any]"
    between: "pd.Series[Any]"  # the row whose mean lies farthest outside of those two
    difference: float  # of the means, last minus first
    excursion: float  # how far `between` lies outside; 0 where none does
    gaps: bool  # a reference after the first has no such score


def _moved(history: History, part: pd.DataFrame) -> str:
    """`deletion ↓: gradcam moved most, from 0.41 [...] on 2026-01-05 to 0.48 [...] on 2026-03-01, which is worse.`.

    What went farther in between than any cell moved in the end is said too, for the ends are silent about it.
    """
    cells = part.groupby(["model", "explainer"], sort=False)
    moves = [move for _, cell in cells if (move := _move(cell, len(history.references))) is not None]
    if not moves:
        return ""
    most = max(moves, key=lambda move: abs(move.difference))
    away = max(moves, key=lambda move: move.excursion)
    several = {name: len(unique(history.table[name])) > 1 for name in ("model", "data")}
    lead = f"{arrowed(part)} on {most.last['data']}:" if several["data"] else f"{arrowed(part)}:"
    who, wanderer = (
        line_name(str(move.last["model"]), str(move.last["explainer"]), several=several["model"])
        for move in (most, away)
    )
    of = f" of {len(moves)}" if len(moves) > 1 else ""
    if most.difference == away.excursion == 0:
        where = "wherever it is defined," if any(move.gaps for move in moves) else "in every reference"
        return f"{lead} the same {where} since {_at(history, most.first).removeprefix('on ')}."
    outside = f"{_said(away.between)} {_at(history, away.between)}"
    if most.difference == 0:
        return f"{lead} {wanderer} moved most{of} and is back at {_said(away.last)}, after {outside}."
    ends = " to ".join(f"{_said(row)} {_at(history, row)}" for row in (most.first, most.last))
    sign = {"higher": 1, "lower": -1}.get(str(most.last["better"]), 0) * (1 if most.difference > 0 else -1)
    verdict = {1: ", which is better", -1: ", which is worse"}.get(sign, "")
    aside = f"; {wanderer} was at {outside} in between" if away.excursion > abs(most.difference) else ""
    return f"{lead} {who} moved most{of}, from {ends}{verdict}{aside}."


def _move(cell: pd.DataFrame, references: int) -> _Move | None:
    """None where fewer than two references since the last break have a score."""
    breaks = cell.index[cell["broken"] != ""]
    since = cell.loc[breaks[-1] :] if len(breaks) else cell
    known = since[since["mean"].notna()].reset_index(drop=True)
    if len(known) < 2:
        return None
    mean = known["mean"].astype(float)
    ends = mean.iloc[[0, -1]]
    outside = np.maximum(mean - ends.max(), ends.min() - mean)
    place = int(outside.argmax())
    gaps = len(known) < references + 1 - int(since["number"].iloc[0])
    first, last, between = (known.iloc[number] for number in (0, -1, place))
    return _Move(first, last, between, float(mean.iloc[-1] - mean.iloc[0]), float(outside[place]), gaps)


def _said(row: "pd.Series[Any]") -> str:
    return ranged(row["mean"], row["low"], row["high"])


def _at(history: History, row: "pd.Series[Any]") -> str:
    """`on 2026-01-05 (1a2b3c4d5e)`."""
    date = history.dates[row["number"]]
    when = f"on {date}" if date else f"in {row['file']}"
    return f"{when} ({short_commit(str(row['commit']))})" if row["commit"] else when


def file_names(metrics: Sequence[str]) -> dict[str, str]:
    """Metric -> a name that every file system takes."""
    found: dict[str, str] = {}
    for metric in metrics:
        plain_name = f"history-{re.sub(r'[^A-Za-z0-9_@]+', '-', metric).strip('-')[:60]}".rstrip("-")
        taken = {name.lower() for name in found.values()}
        number = next(n for n in range(1, len(metrics) + 1) if _numbered(plain_name, n).lower() not in taken)
        found[metric] = _numbered(plain_name, number)
    return found


def _numbered(name: str, number: int) -> str:
    return name if number == 1 else f"{name}-{number}"
