"""A check for a terminal: which cells got worse, by how much, and what it means."""

from collections.abc import Sequence

from tabulate import tabulate

from xai_bench.gate.check import Check
from xai_bench.gate.exports import words
from xai_bench.gate.verdicts import Verdict
from xai_bench.grammar import shown

MOST = 200  # rows; a log is read by people
LONG = 80  # letters of a name


def text(check: Check, *, everything: bool = False) -> str:
    """The table, worst first, what else differs, and the sentence. Passes are counted; `everything` lists them too."""
    listed = [cell for cell in words.worst_first(check) if everything or cell.verdict not in words.QUIET]
    most = len(listed) if everything else MOST
    parts = [
        words.lead(check),
        _table(check, listed[:most]) if listed else "",
        f"{len(listed) - most:,} more rows are left out; --all lists them" if len(listed) > most else "",
        "\n".join(f"note: {shown(note)}" for note in check.notes),
        shown(check.sentence),
    ]
    return "\n\n".join(filter(None, parts))


def _table(check: Check, listed: Sequence[Verdict]) -> str:
    apart = words.differing(check.verdicts)
    heads = ["verdict", *apart, "metric", "explainer", "before", "now", f"worse by [{words.level(check)} each side]"]
    rows = [
        [
            *(cell.verdict, *(words.clipped(getattr(cell, name), LONG) for name in apart)),
            *(
                words.clipped(words.metric(cell), LONG),
                words.clipped(words.explainer(cell), LONG),
                words.score(cell, cell.before),
                words.score(cell, cell.now),
            ),
            *(words.worse(cell), words.margin(cell), f"{cell.n:,}", words.why(cell)),
        ]
        for cell in listed
    ]
    sides = ["left"] * (len(heads) - 3) + ["right"] * 5 + ["left"]
    return tabulate(rows, [*heads, "margin", "n", "why"], tablefmt="simple", disable_numparse=True, colalign=sides)
