"""Each language writes what the sheet says, whatever the names."""

import dataclasses
import io
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from page_tags import Page
from synthetic_run import HOSTILE, make_run

from xai_bench.errors import RunError, UnknownNameError
from xai_bench.reports import tables
from xai_bench.reports.analysis import analyse
from xai_bench.reports.tables.latex import escaped
from xai_bench.reports.tables.paper import pages, width
from xai_bench.reports.tables.sheet import Cell, Column, Grid, Row, Sheet
from xai_bench.results import Results

FOREIGN = '[é 猫 " λ=½ đ ß \x00 🦊*'
pdflatex = pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")


def sheets_of(analysis):
    return [sheet for make in tables.SHEETS if (sheet := make(analysis)) is not None]


@pytest.fixture(scope="module")
def analysis():
    return analyse(make_run(12, datas=("planted/test",), panels=0))


@pytest.fixture(scope="module")
def hostile():
    run = make_run(8, models=(HOSTILE, FOREIGN), explainers=("ig", "gradcam", "random"), datas=("=SUM(A1)", "b\n|c"))
    return sheets_of(analyse(dataclasses.replace(run, info={HOSTILE: FOREIGN})))


SMALL = Sheet(
    "small",
    "Small",
    "Means.",
    (
        Grid(
            "on d",
            (Column("model"), Column("loss ↓", under="n = 3", notes=(1,)), Column("n", align="right")),
            (Row((Cell("x_1"), Cell("0.2", "[0.1, 0.3]", top=True, beats="bd", sort=0.2), Cell("3", sort=3.0))),),
            stub=1,
        ),
    ),
    ("loss v1: all",),
    pd.DataFrame({"loss": [0.2]}),
)


def test_one_sheet_in_every_form():
    assert tables.csv(SMALL.frame) == "loss\n0.2\n"
    assert tables.markdown(SMALL) == (
        "## Small\n\n**on d**\n\n"
        "| model   | loss ↓ \\[1\\] n = 3                |   n |\n"
        "|:--------|:----------------------------------|----:|\n"
        "| x\\_1    | **0.2**<sup>bd</sup> \\[0.1, 0.3\\] |   3 |\n\n"
        "Means.\n\n1. loss v1: all\n"
    )
    assert tables.text(SMALL) == (
        "on d\nmodel    loss ↓ [1]            n\n         n = 3\n"
        "-------  ------------------  ---\nx_1      *0.2^bd [0.1, 0.3]    3\n\n"
        "Means. * stands for bold, ^ for a superscript.\n\n[1] loss v1: all"
    )
    assert r"x\_1 & \textbf{0.2}\textsuperscript{bd} {\scriptsize {[}0.1, 0.3]} & 3 \\" in tables.latex(SMALL)
    assert '<strong>0.2</strong><sup title="significantly better than rows bd">bd</sup>' in tables.html(SMALL)


def test_csv_keeps_every_digit(analysis):
    for sheet in sheets_of(analysis):
        back = pd.read_csv(io.StringIO(tables.csv(sheet.frame)), keep_default_na=False, na_values=["nan"])
        for name in sheet.frame.select_dtypes(float):
            np.testing.assert_array_equal(back[name], sheet.frame[name])


def test_the_matrix_as_csv_holds_the_means_of_the_summary(analysis):
    frame = tables.SHEETS[1](analysis).frame.set_index(["model", "explainer"])
    cell = analysis.summary.set_index(["model", "explainer", "metric"]).loc[("ersm", "gradcam", "deletion")]

    for name in ("mean", "low", "high", "n", "undefined"):
        assert frame.loc[("ersm", "gradcam"), f"deletion {name}"] == cell[name]
    assert np.isnan(frame.loc[("ersm", "gradcam"), "top1 mean"])


def test_csv_disarms_formulas_but_not_negative_numbers():
    lines = tables.csv(pd.DataFrame({"=n": ["=1+1", "@x", "-y", "fine"], "value": [-0.5, 1.0, 2.0, float("nan")]}))

    assert lines == "'=n,value\n'=1+1,-0.5\n'@x,1.0\n'-y,2.0\nfine,nan\n"


def test_every_form_says_direction_n_controls_and_undefined(analysis):
    for form in ("text", "markdown", "html", "latex"):
        words = re.sub(r"<[^>]*>|[\\$]", "", tables.table(analysis, "scores", form)).replace("downarrow", "↓")
        for part in ("deletion ↓", "n = 12", "random (control)", "centre (control)", "energy (intrinsic)"):
            assert part in words
        assert "1u" in words if form == "latex" else "1 undefined" in words


def test_markdown_rows_survive_pipes_tags_and_line_breaks(hostile):
    for sheet in hostile:
        words = tables.markdown(sheet)
        rows = [line for line in words.splitlines() if line.startswith("|")]
        widths = {line.replace("\\|", "").count("|") for line in rows}
        assert "<script>" not in words
        assert widths <= {len(grid.columns) + 1 for grid in sheet.grids}
        assert len(rows) == sum(len(grid.rows) + 2 for grid in sheet.grids)


def test_html_is_well_formed_escaped_and_sortable(hostile):
    for sheet in hostile:
        tags = Page(tables.html(sheet))
        rows = sum(len(grid.rows) + 1 for grid in sheet.grids)
        assert tags.open == []
        assert "script" not in {tag for tag, _ in tags.found}
        assert [attrs["class"] for tag, attrs in tags.found if tag == "table"] == ["sortable"] * len(sheet.grids)
        assert sum(tag == "tr" for tag, _ in tags.found) == rows
        assert all("data-sort" in attrs for tag, attrs in tags.found if tag == "td")
        assert all(attrs["scope"] in ("row", "col") for tag, attrs in tags.found if tag == "th")


def test_footnotes_of_html_lead_to_notes_of_the_same_table(analysis):
    for sheet in sheets_of(analysis):
        words = tables.html(sheet)
        assert set(re.findall(r'href="#([\w-]+)"', words)) <= set(re.findall(r'id="([\w-]+)"', words))
    assert 'href="#scores-note-1"' in tables.html(tables.SHEETS[1](analysis))


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("a_b&c%d$e#f", r"a\_b\&c\%d\$e\#f"),
        ("{x}~^\\", r"\{x\}\textasciitilde{}\textasciicircum{}\textbackslash{}"),
        ("<->", r"\textless{}-\textgreater{}"),
        ("deletion ↓", r"deletion $\downarrow$"),
        ("[x] *", "{[}x] *"),
        ("-0.12 [-0.2, 0.1] a-1", r"$-$0.12 [$-$0.2, 0.1] a-1"),
        ('say "é"', r"say {\char34}\'{e}{\char34}"),
        ("猫 🦊 đ", "U+732B U+1F98A U+0111"),
        ("λ = ½, Åß", r"$\lambda$ = U+00BD, \r{A}\ss{}"),
        ("a\nb\x00", "a bU+0000"),
        ("1,000 images", "1,000 images"),
        ("accuracy(removal=layer_masking)", r"accuracy\allowbreak{}(removal=\allowbreak{}layer\_\allowbreak{}masking)"),
        ("x" * 30, "x" * 24 + r"\allowbreak{}" + "x" * 6),
    ],
)
def test_latex_escapes(name, written):
    assert escaped(name) == written


def test_latex_has_a_heading_for_each_model_and_none_in_the_rows(analysis):
    words = tables.table(analysis, "scores", "latex")

    assert all(rule in words for rule in (r"\toprule", r"\midrule", r"\bottomrule", r"\textbf{", r"$\uparrow$"))
    assert words.count(r"{\emph{ersm}} \\") == 1
    assert not re.search(r"& ersm &.*random", words)


def compiles(folder, source):
    """What keeps LaTeX from it."""
    (folder / "main.tex").write_text(source, "utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "main.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    return "" if done.returncode == 0 else done.stdout.decode("utf-8", "replace")[-1500:]


def spills(folder, source):
    """Text beyond the margin, floats beyond the foot of the page."""
    assert compiles(folder, source) == ""
    return re.findall("Overfull.*|.*Float too large.*", (folder / "main.log").read_text("latin-1"))


@pdflatex
def test_every_sheet_compiles_in_a_paper_whatever_the_names(hostile, tmp_path):
    for sheet in hostile:
        (tmp_path / f"{sheet.name}.tex").write_text(tables.latex(sheet), "utf-8")
    inputs = "".join(rf"\input{{{sheet.name}}}" for sheet in hostile)
    paper = rf"\documentclass[twocolumn]{{article}}\usepackage{{booktabs}}\begin{{document}}\listoftables {inputs}"

    assert len(hostile) >= 6
    assert compiles(tmp_path, rf"{paper}\end{{document}}") == ""
    assert compiles(tmp_path, rf"{paper}\end{{document}}") == ""  # the list of tables is read back


SPEC = "(removal=layer_masking,unit=patch(side=8))"


@pytest.fixture(scope="module")
def wide():
    """Metrics with long parameters, one of them twice; thirty explainers, so that not all are compared."""
    names = ("gradcam", "random")
    analysis = analyse(make_run(6, models=("plain",), explainers=names, datas=("d",), panels=0))
    renamed = {"deletion": f"deletion{SPEC}", "insertion": f"pointing_game{SPEC}"}
    alike = analysis.run.scores[analysis.run.scores["explainer"] == "gradcam"]
    scores = pd.concat([analysis.run.scores, *(alike.assign(explainer=f"explainer_number_{i}") for i in range(28))])
    scores = scores.assign(metric=scores["metric"].replace(renamed))
    curves = analysis.run.curves.assign(metric=analysis.run.curves["metric"].replace(renamed))
    cards = {renamed.get(name, name): card for name, card in analysis.run.cards.items()}
    return analyse(dataclasses.replace(analysis.run, scores=scores, curves=curves, cards=cards))


def test_a_metric_is_named_without_its_parameters_while_no_other_has_that_name(wide):
    assert wide.arrow(f"deletion{SPEC}") == "deletion ↓"
    assert wide.arrow(f"pointing_game{SPEC}") == f"pointing_game{SPEC} ↑"
    assert f"deletion{SPEC} v1" in tables.table(wide, "scores", "text")


@pdflatex
@pytest.mark.parametrize("paper", ["", "[twocolumn]"], ids=["one column", "two columns"])
def test_long_and_wide_tables_stay_on_the_page(wide, tmp_path, paper):
    sheets = sheets_of(wide)
    for sheet in sheets:
        (tmp_path / f"{sheet.name}.tex").write_text(tables.latex(sheet), "utf-8")
    inputs = "".join(rf"\input{{{sheet.name}}}" for sheet in sheets)
    source = (
        rf"\documentclass{paper}{{article}}\usepackage{{booktabs,graphicx}}\begin{{document}}{inputs}\end{{document}}"
    )

    assert spills(tmp_path, source) == []
    assert spills(tmp_path, tables.latex(sheets[2])) == []


def paged(groups, metrics=1, caption=0):
    columns = (Column("model", spans=True), Column("explainer"), *(Column(f"m{i}") for i in range(metrics)))
    rows = [
        Row((Cell(name), Cell("x"), *[Cell("0.5", "[0.4, 0.6]")] * metrics), name)
        for name, size in groups
        for _ in range(size)
    ]
    return list(pages(Grid("", columns, tuple(rows), stub=2, matrix=True), caption))


def test_groups_stay_whole_on_a_page_where_they_can_and_nothing_is_lost():
    assert [[row.group for row in page.rows] for page in paged([("a", 20), ("b", 20), ("c", 20)])] == [
        ["a"] * 20 + ["b"] * 20, ["c"] * 20
    ]  # fmt: skip
    assert [len(page.rows) for page in paged([("a", 120)])] == [49, 46, 25]
    assert [len(page.columns) for page in paged([("a", 2)], metrics=6)] == [6, 4]


def test_a_long_caption_leaves_less_of_its_page():
    assert len(paged([("a", 120)], caption=1000)[0].rows) < 35


def test_names_break_where_they_do_not_fit_and_remarks_go_below():
    columns = (*(Column(f"c{i}") for i in range(8)), Column("p"), Column("note", align="prose"))
    rows = [Row((*[Cell("a_name of forty letters, or a few more")] * 8, Cell("0.1", "[0, 1]"), Cell(note)))
            for note in ("why", "", "because", "why")]  # fmt: skip
    (page,) = pages(Grid("", columns, tuple(rows), stub=1), 0)

    assert page.widths[-2:] == (0.0, 0.0)
    assert sum(page.widths) < 500
    assert page.remarks == ("why", "because")
    assert [row.cells[-1].text for row in page.rows] == ["(1)", "", "(2)", "(1)"]


def test_estimated_widths_are_those_of_latex():
    assert width("0.412 energy (intrinsic)") == pytest.approx(86.0, rel=0.08)  # \settowidth in \footnotesize


def test_counts_below_a_number_stand_in_brackets():
    cell = Cell("0.465", aside=("1 undefined", "n = 9"))
    grid = Grid("", (Column("model"), Column("loss")), (Row((Cell("x"), cell)),), stub=1)

    assert r"0.465\textsubscript{(1u, n=9)}" in tables.latex(dataclasses.replace(SMALL, grids=(grid,)))


def test_notes_that_no_column_refers_to_have_no_number():
    sheet = dataclasses.replace(SMALL, notes=("loss v1: all", "ig(steps=8)"))

    assert tables.text(sheet).endswith("[1] loss v1: all\nig(steps=8)")
    assert "\\par [1]~loss v1: all\n\\par ig(steps=8)" in tables.latex(sheet)


@pdflatex
def test_a_sheet_compiles_alone_and_so_does_one_of_a_thousand_rows(tmp_path):
    grid = dataclasses.replace(SMALL.grids[0], rows=SMALL.grids[0].rows * 1000)

    assert compiles(tmp_path, tables.latex(dataclasses.replace(SMALL, grids=(grid,)))) == ""


def test_a_table_by_name_and_form(analysis):
    results = Results(analysis.run)

    assert results.table("leaderboard", "latex") == tables.latex(tables.SHEETS[0](analysis))
    assert results.table("leaderboard", "tex") == results.table("leaderboard", "latex")
    assert results.table("leaderboard", "md") == results.table("leaderboard", "markdown")
    assert results.table() == tables.text(tables.SHEETS[1](analysis))


def test_unknown_tables_and_forms_are_refused_by_name(analysis):
    with pytest.raises(UnknownNameError, match="unknown table 'leaderbord'; did you mean 'leaderboard'"):
        Results(analysis.run).table("leaderbord")
    with pytest.raises(UnknownNameError, match="unknown form of a table 'latx'; did you mean 'latex'"):
        Results(analysis.run).table("scores", "latx")


def test_a_table_that_the_run_has_nothing_for_is_one_sentence():
    run = make_run(3, models=("plain",), explainers=("random",), datas=("d",))

    with pytest.raises(RunError, match="the run has nothing for the table 'undefined': every score in it is defined"):
        Results(run).table("undefined")
