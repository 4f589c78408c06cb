"""A check as Markdown: GitHub's job summary, or a comment on a pull request."""

from collections.abc import Iterator, Sequence

from xai_bench.gate.check import FAILED, Check
from xai_bench.gate.exports import words
from xai_bench.gate.verdicts import Verdict
from xai_bench.grammar import counted
from xai_bench.markdown import escaped

LIMIT = 1_000_000  # bytes; GitHub drops a step's whole summary above 1,048,576
LONG = 300  # letters of one name or reason
NOTES = 30
HEADS = {
    "regression": "❌ Explanations got worse",
    "undecided": "❔ Cannot tell whether explanations got worse",
    "pass": "✅ Explanations did not get worse",
}
EMPTY = "❔ Nothing was decided"


def markdown(check: Check, limit: int = LIMIT) -> str:
    """Verdict, everything that is no plain pass, the passes folded away, notes, what to do; within `limit` bytes."""
    ordered = words.worst_first(check)
    loud = [cell for cell in ordered if cell.verdict not in words.QUIET]
    quiet = [cell for cell in ordered if cell.verdict in words.QUIET]
    above = [f"## {_head(check)}", _words(check.sentence, 2000), _words(words.lead(check), 2000)]
    below = [*_listed("Also different", check.notes), *_listed("What to do", words.advice(check), mine=True)]
    room = limit - _size("\n\n".join([*above, *below])) - 1000  # for heads of tables and the words for what is cut
    shown, room = _table(check, loud, room)
    folded, _ = _table(check, quiet, room)
    fold = f"<details><summary>{_count(quiet)}</summary>\n\n{folded}\n\n</details>" if quiet else ""
    return "\n\n".join(filter(None, [*above, shown, fold, *below])) + "\n"


def _head(check: Check) -> str:
    decided = any(verdict in check.counts for verdict in ("pass", "improved"))
    return HEADS[check.verdict] if decided or check.verdict != "pass" else EMPTY


def _count(quiet: Sequence[Verdict]) -> str:
    passed = sum(cell.verdict == "pass" for cell in quiet)
    ignored = len(quiet) - passed
    told = [f"{counted(passed, 'cell')} passed" if passed else "", f"{ignored:,} ignored" if ignored else ""]
    return ", ".join(filter(None, told))


def _listed(heading: str, sentences: Sequence[str], *, mine: bool = False) -> Iterator[str]:
    """`mine`: written here, Markdown already."""
    if sentences:
        lines = [f"- {sentence if mine else _words(sentence, 1000)}" for sentence in sentences[:NOTES]]
        more = [f"- {len(sentences) - NOTES:,} more"] if len(sentences) > NOTES else []
        yield "\n".join([f"**{heading}**", "", *lines, *more])


def _table(check: Check, listed: Sequence[Verdict], room: int) -> tuple[str, int]:
    """As many rows as there is room for, and the room that is left."""
    apart = words.differing(check.verdicts)
    level = f"worse by [{words.level(check)} each side]"
    heads = ["verdict", *apart, "metric", "explainer", "before", "now", level, "margin", "n", "why"]
    sides = [":--"] * (len(apart) + 3) + ["--:"] * 5 + [":--"]
    rows: list[str] = []
    for cell in listed:
        row = _row(_cells(cell, apart))
        if (room := room - _size(row) - 1) < 0:
            break
        rows.append(row)
    lines = [_row(heads), _row(sides), *rows] if rows else []
    cut = len(listed) - len(rows)
    more = f"{counted(cut, 'more row')} left out: too long for a summary; the JUnit file and `--json` hold all."
    return "\n".join(lines) + (f"\n\n{more}" if cut else ""), max(room, 0)


def _cells(cell: Verdict, apart: Sequence[str]) -> Iterator[str]:
    yield f"**{cell.verdict}**" if cell.verdict in FAILED else cell.verdict
    yield from (_words(getattr(cell, name)) for name in apart)
    yield from map(_words, (words.metric(cell), words.explainer(cell)))
    yield from (words.score(cell, value) for value in (cell.before, cell.now))
    yield from (escaped(words.worse(cell)), words.margin(cell), f"{cell.n:,}", _words(words.why(cell)))


def _row(texts: Sequence[str] | Iterator[str]) -> str:
    return f"| {' | '.join(texts)} |"


def _words(text: str, most: int = LONG) -> str:
    """Names and reasons come from others: nothing in them is markup."""
    return escaped(words.clipped(text, most))


def _size(text: str) -> int:
    return len(text.encode())
