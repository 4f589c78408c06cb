r"""Tables as LaTeX: floats that need booktabs (and graphicx to scale), in a file that compiles alone and by \input."""

import re
import textwrap
import unicodedata
from collections.abc import Iterator, Sequence

from xai_bench.reports.tables.paper import WIDTH, Page, pages, width
from xai_bench.reports.tables.sheet import Cell, Column, Row, Sheet, cited

FLUSH = 10  # floats without a word between them before LaTeX's memory for floats is emptied
# \documentclass means "twice" once a document has begun: then the lines that make one are skipped
HEAD = r"""% Compiles alone. In a paper: \usepackage{booktabs,graphicx}, then \input this file.
\expandafter\ifx\csname @twoclasseserror\endcsname\documentclass\else
\documentclass{article}\usepackage[margin=15mm]{geometry}\usepackage{booktabs,graphicx}
\begin{document}\def\alone{\end{document}}
\fi
\providecommand{\resizebox}[3]{#3}"""
FIT = r"\ifdim\wd0>\linewidth\resizebox{\linewidth}{!}{\usebox0}\else\usebox0\fi"
LAST = r"\ifdefined\alone\clearpage\fi"  # alone, notes follow the floats; in a paper LaTeX knows better
FOOT = r"\ifdefined\alone\expandafter\alone\fi"
UNDER = "A subscript counts undefined images (1u), or all images where they are not as many as stated above (n=9)."
CONTINUED = "Marks as in the first table of this kind."
RAGGED = r"\rightskip0pt plus1fil\relax "
LETTER = 4.8  # points of a wide letter of 8 points
LONG = 24  # letters of a word that may have to break
BREAK = "\N{ZERO WIDTH SPACE}"


def latex(sheet: Sheet) -> str:
    """A float of a paper's page width for every page of the sheet, then the notes."""
    drawn: list[str] = []
    for grid in sheet.grids:
        for page in pages(grid, len(_words(sheet)) if not drawn else len(CONTINUED)):
            drawn.append(_float(sheet, page, len(drawn) + 1))
    flushed = [f"{made}\n\\clearpage" if number % FLUSH == 0 else made for number, made in enumerate(drawn, 1)]
    return "\n".join([HEAD, *flushed, LAST, *_notes(sheet), FOOT]) + "\n"


def escaped(value: str, most: int = LONG) -> str:
    """One line of LaTeX: signs escaped, minus signs as such, and breaks allowed in words of more than `most` letters.

    Latin letters keep their accents; of other scripts Greek is known, the rest stands as `U+732B`, because pdfLaTeX
    stops at what its fonts lack.
    """
    words = " ".join(_breakable(word, most) for word in value.split())
    signs = _SIGN.sub(lambda found: _SIGNS.get(found[0], "$-$"), words)
    return _FOREIGN.sub(lambda found: _foreign(found[0]), signs)


def _breakable(word: str, most: int) -> str:
    """A long word with places where it may break: after its signs, and where there are none, anywhere."""
    if len(word) <= most:
        return word
    return BREAK.join(piece for part in _JOINT.split(word) for piece in textwrap.wrap(part, most))


def _float(sheet: Sheet, page: Page, number: int) -> str:
    """One table*: rules between groups, or headings over them; scaled down where the paper's page is narrower."""
    columns = [column for column in page.columns if not column.spans]
    heads = [" & ".join(map(_head, columns)) + r" \\"]
    if any(column.under for column in columns):
        heads.append(" & ".join(f"${column.under}$" if column.under else "" for column in columns) + r" \\")
    return "\n".join(
        [
            r"\begin{table*}[!htbp]\centering\footnotesize\setlength{\tabcolsep}{3pt}",
            _caption(sheet, page, number),
            rf"\label{{tab:{sheet.name}-{number}}}",
            rf"\sbox0{{\begin{{tabular}}{{@{{}}{_aligned(columns, page.widths)}@{{}}}}",
            r"\toprule",
            *heads,
            r"\midrule",
            *_body(page, len(columns)),
            r"\bottomrule",
            r"\end{tabular}}",
            FIT,
            *_remarks(page),
            r"\end{table*}",
        ]
    )


def _caption(sheet: Sheet, page: Page, number: int) -> str:
    """Title and legend above the first page; the others refer to it."""
    title = escaped(f"{sheet.heading}: {page.title}" if page.title else sheet.heading)
    words = escaped(_words(sheet) if number == 1 else CONTINUED)
    return rf"\caption[{{{title}}}]{{{title}. {words}}}\smallskip"


def _words(sheet: Sheet) -> str:
    """The legend, and what a subscript is where there are any."""
    subscripts = any(cell.aside for grid in sheet.grids for row in grid.rows for cell in row.cells)
    return f"{sheet.caption} {UNDER}" if subscripts else sheet.caption


def _remarks(page: Page) -> list[str]:
    if not page.remarks:
        return []
    said = " ".join(f"({number})~{escaped(remark)};" for number, remark in enumerate(page.remarks, 1))
    return [rf"\par\smallskip{{\scriptsize\raggedright {said[:-1]}\par}}"]


def _body(page: Page, count: int) -> Iterator[str]:
    """Rows, each group under its heading; without headings a rule stands between groups."""
    spans = [place for place, column in enumerate(page.columns) if column.spans]
    before: Row | None = None
    for row in page.rows:
        title = ", ".join(row.cells[place].text for place in spans if row.cells[place].text)
        if before is None or row.group != before.group:
            yield from [r"\addlinespace"] * (before is not None)
            yield from [_heading(page, title, count)] * bool(title)
        cells = [cell for place, cell in enumerate(row.cells) if place not in spans]
        yield " & ".join(_cell(cell, points) for cell, points in zip(cells, page.widths, strict=True)) + r" \\"
        before = row


def _heading(page: Page, title: str, count: int) -> str:
    """Across all columns, in lines where it is wider than they are: as wide as the page then."""
    side = f"p{{{WIDTH:.0f}pt}}@{{}}" if width(title) > page.wide else "l"
    return rf"\multicolumn{{{count}}}{{@{{}}{side}}}{{\emph{{{escaped(title)}}}}} \\"


def _aligned(columns: Sequence[Column], widths: Sequence[float]) -> str:
    """One letter per column; names and prose that do not fit break into lines."""
    plain = {"left": "l", "right": "r", "prose": "l"}
    pairs = zip(columns, widths, strict=True)
    return "".join(f"p{{{points:.0f}pt}}" if points else plain[column.align] for column, points in pairs)


def _head(column: Column) -> str:
    marks = "".join(f"[{number}]" for number in column.notes)
    return f"{escaped(column.head)} {escaped(marks)}".strip()


def _cell(cell: Cell, points: float) -> str:
    words = escaped(cell.text, int(points / LETTER) or LONG)
    point = rf"\textbf{{{words}}}" if cell.top else words
    beats = rf"\textsuperscript{{{escaped(cell.beats)}}}" if cell.beats else ""
    aside = escaped(", ".join(cell.aside).replace(" undefined", "u").replace("n = ", "n="))
    below = rf"\textsubscript{{({aside})}}" if aside else ""
    bounds = rf" {{\scriptsize {escaped(cell.bounds)}}}" if cell.bounds else ""
    return f"{RAGGED * bool(points)}{point}{beats}{below}{bounds}"


def _notes(sheet: Sheet) -> list[str]:
    """Under their numbers, where a column refers to them."""
    if not sheet.notes:
        return []
    numbered = cited(sheet)
    lines = [
        rf"\par {f'[{number}]~' if number in numbered else ''}{escaped(note)}"
        for number, note in enumerate(sheet.notes, 1)
    ]
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
    BREAK: r"\allowbreak{}",
    "--": "-{}-",
    "[": "{[}",  # at the start of a row it would be an argument of the row break before it
    "*": "{*}",
} | {sign: f"\\{sign}" for sign in "_&%$#"}
_SIGN = re.compile(r'^[\[*]|(?<![\w-])-(?=\d)|--|[\u200b\\{}~^<>|`"_&%$#]')
_JOINT = re.compile(r"(?<=[,;_/=.])|(?=\()")
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
