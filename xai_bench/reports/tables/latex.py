r"""Tables as LaTeX: floats that need nothing but booktabs, in a file that compiles alone and by \input alike."""

import re
import unicodedata
from collections.abc import Iterator, Sequence

from xai_bench.reports.tables.sheet import Cell, Column, Grid, Part, Row, Sheet, parts

FLUSH = 10  # floats without a word between them before LaTeX's memory for floats is emptied
# \documentclass means "twice" once a document has begun: then the lines that make one are skipped
HEAD = r"""% Compiles alone. In a paper: \usepackage{booktabs}, then \input this file.
\expandafter\ifx\csname @twoclasseserror\endcsname\documentclass\else
\documentclass{article}\usepackage[margin=15mm]{geometry}\usepackage{booktabs}
\begin{document}\def\alone{\end{document}}
\fi"""
LAST = r"\ifdefined\alone\clearpage\fi"  # alone, notes follow the floats; in a paper LaTeX knows better
FOOT = r"\ifdefined\alone\expandafter\alone\fi"
UNDER = r"A subscript counts undefined images (u), or all images where they are not as many as stated above (n)."


def latex(sheet: Sheet) -> str:
    """A float of a paper's page width for every part of the sheet, then the notes."""
    drawn = [(grid, part) for grid in sheet.grids for part in parts(grid)]
    floats = [_float(sheet, grid, part, number) for number, (grid, part) in enumerate(drawn, 1)]
    flushed = [f"{made}\n\\clearpage" if number % FLUSH == 0 else made for number, made in enumerate(floats, 1)]
    return "\n".join([HEAD, *flushed, LAST, *_notes(sheet), FOOT]) + "\n"


def escaped(value: str) -> str:
    """One line of LaTeX: signs escaped, minus signs as such, and a break allowed inside long specs.

    Latin letters keep their accents; of other scripts Greek is known, the rest stands as `U+732B`, because pdfLaTeX
    stops at what its fonts lack.
    """
    signs = _SIGN.sub(lambda found: _SIGNS.get(found[0], "$-$"), " ".join(value.split()))
    return _FOREIGN.sub(lambda found: _foreign(found[0]), signs)


def _float(sheet: Sheet, grid: Grid, part: Part, number: int) -> str:
    """One table*: rules between groups, or headings over them."""
    columns = [column for column in part.columns if not column.spans]
    heads = [" & ".join(_head(column) for column in columns) + r" \\"]
    if any(column.under for column in columns):
        heads.append(" & ".join(f"${column.under}$" if column.under else "" for column in columns) + r" \\")
    return "\n".join(
        [
            r"\begin{table*}[!htbp]\centering\footnotesize\setlength{\tabcolsep}{4pt}",
            _caption(sheet, grid, number),
            rf"\label{{tab:{sheet.name}-{number}}}",
            rf"\begin{{tabular}}{{@{{}}{_aligned(columns)}@{{}}}}",
            r"\toprule",
            *heads,
            r"\midrule",
            *_body(part, len(columns)),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table*}",
        ]
    )


def _caption(sheet: Sheet, grid: Grid, number: int) -> str:
    """Title and legend above the first part; the others refer to it."""
    title = escaped(f"{sheet.heading}: {grid.title}" if grid.title else sheet.heading)
    subscripts = any(cell.aside for grid in sheet.grids for row in grid.rows for cell in row.cells)
    legend = f"{escaped(sheet.caption)} {UNDER}" if subscripts else escaped(sheet.caption)
    words = legend if number == 1 else "Marks as in the first table of this kind."
    return rf"\caption[{{{title}}}]{{{title}. {words}}}\smallskip"


def _body(part: Part, width: int) -> Iterator[str]:
    """Rows, each group under its heading; without headings a rule stands between groups."""
    spans = [place for place, column in enumerate(part.columns) if column.spans]
    before: Row | None = None
    for row in part.rows:
        title = ", ".join(row.cells[place].text for place in spans if row.cells[place].text)
        if before is None or row.group != before.group:
            yield from [r"\addlinespace"] * (before is not None)
            yield from [rf"\multicolumn{{{width}}}{{@{{}}l}}{{\emph{{{escaped(title)}}}}} \\"] * bool(title)
        yield " & ".join(_cell(cell) for place, cell in enumerate(row.cells) if place not in spans) + r" \\"
        before = row


def _aligned(columns: Sequence[Column]) -> str:
    """One letter per column; prose is as wide as its company allows."""
    wide = 0.6 if len(columns) < 4 else 0.25 if len(columns) < 8 else 0.14
    prose = rf"p{{{wide}\linewidth}}"
    return "".join({"left": "l", "right": "r", "prose": prose}[column.align] for column in columns)


def _head(column: Column) -> str:
    marks = "".join(f"[{number}]" for number in column.notes)
    return f"{escaped(column.head)} {escaped(marks)}".strip()


def _cell(cell: Cell) -> str:
    point = rf"\textbf{{{escaped(cell.text)}}}" if cell.top else escaped(cell.text)
    beats = rf"\textsuperscript{{{escaped(cell.beats)}}}" if cell.beats else ""
    aside = escaped(", ".join(cell.aside).replace(" undefined", "u").replace("n = ", "n="))
    below = rf"\textsubscript{{{aside}}}" if aside else ""
    bounds = rf" {{\scriptsize {escaped(cell.bounds)}}}" if cell.bounds else ""
    return f"{point}{beats}{below}{bounds}"


def _notes(sheet: Sheet) -> list[str]:
    if not sheet.notes:
        return []
    lines = [f"\\par [{number}]~{escaped(note)}" for number, note in enumerate(sheet.notes, 1)]
    return [r"{\footnotesize\raggedright", *lines, r"\par}"]


def _foreign(sign: str) -> str:
    """A sign outside ASCII: an accented Latin letter, a known symbol, or its code."""
    if sign in _SYMBOLS:
        return _SYMBOLS[sign]
    letter, accents = (parts := unicodedata.normalize("NFD", sign))[:1], parts[1:]
    if letter.isascii() and letter.isalpha() and accents in _ACCENTS:
        return f"{_ACCENTS[accents]}{{{letter}}}"
    return f"U+{ord(sign):04X}"


_SIGNS = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    '"': r"{\char34}",  # babel makes it a command in some languages
    ",": r",\allowbreak{}",
    ";": r";\allowbreak{}",
    "--": "-{}-",
    "[": "{[}",  # at the start of a row it would be an argument of the row break before it
    "*": "{*}",
} | {sign: f"\\{sign}" for sign in "_&%$#"}
_SIGN = re.compile(r'^[\[*]|(?<![\w-])-(?=\d)|--|[,;](?! )|[\\{}~^<>|`"_&%$#]')
_FOREIGN = re.compile(r"[^\x20-\x7e]")
# combining grave, acute, circumflex, tilde, diaeresis, macron, breve, dot, ring, double acute, caron, cedilla
_ACCENTS = dict(
    zip(
        "\u0300\u0301\u0302\u0303\u0308\u0304\u0306\u0307\u030a\u030b\u030c\u0327",
        (r"\`", r"\'", r"\^", r"\~", r"\"", r"\=", r"\u", r"\.", r"\r", r"\H", r"\v", r"\c"),
        strict=True,
    )
)
_GREEK = (
    *("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu"),
    *("xi", None, "pi", "rho", "varsigma", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega"),
)
_ALPHA = ord("\N{GREEK SMALL LETTER ALPHA}")
_SYMBOLS = {chr(_ALPHA + place): rf"$\{name}$" for place, name in enumerate(_GREEK) if name} | {
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "\N{MINUS SIGN}": "$-$",
    "\N{EN DASH}": "--",
    "—": "---",
    "…": r"\ldots{}",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
    "±": r"$\pm$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "ß": r"\ss{}",
    "æ": r"\ae{}",
    "ø": r"\o{}",
    "œ": r"\oe{}",
    "ł": r"\l{}",
    "\N{LEFT SINGLE QUOTATION MARK}": "`",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    "“": "``",
    "”": "''",
}
