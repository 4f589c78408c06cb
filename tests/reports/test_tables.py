import io
import shutil
import subprocess

import pandas as pd
import pytest
from synthetic_run import HOSTILE, SPEC, make_run

from xai_bench.reports import tables
from xai_bench.reports.analysis import analyse
from xai_bench.reports.digits import decimals, ranged


@pytest.fixture(scope="module")
def analysis():
    return analyse(make_run(12, datas=("planted/test",)))


@pytest.fixture(scope="module")
def hostile():
    return analyse(make_run(4, models=(HOSTILE, "[ersm*"), datas=("=SUM(A1)",)))


@pytest.mark.parametrize(
    ("low", "high", "digits"),
    [(0.38, 0.45, 3), (0.3, 0.9, 2), (10.0, 50.0, 0), (0.0, 0.0, 3), (0.0, 1e-9, 6)],
)
def test_two_significant_digits_of_the_half_width_are_kept(low, high, digits):
    assert decimals(low, high) == digits


def test_a_number_is_printed_with_its_interval_and_sign():
    assert ranged(0.0131, 0.0042, 0.0223, signed=True) == "+0.0131 [0.0042, 0.0223]"
    assert ranged(0.5, float("nan"), float("nan")) == "0.500"
    assert ranged(3.14e-9, 2.5e-9, 4.1e-9) == "3.1e-09 [2.5e-09, 4.1e-09]"
    assert ranged(0.0, 0.0, 0.0) == "0.000 [0.000, 0.000]"


def test_csv_keeps_every_digit(analysis):
    back = pd.read_csv(io.StringIO(tables.csv(analysis.summary)), keep_default_na=False, na_values=["nan"])

    assert back["mean"].tolist() == analysis.summary["mean"].tolist()


def test_csv_disarms_formulas_but_not_negative_numbers():
    lines = tables.csv(pd.DataFrame({"name": ["=1+1", "@x", "-y", "fine"], "value": [-0.5, 1.0, 2.0, float("nan")]}))

    assert lines == "name,value\n'=1+1,-0.5\n'@x,1.0\n'-y,2.0\nfine,nan\n"


@pytest.mark.parametrize("render", [tables.text, tables.markdown])
def test_every_table_says_direction_n_controls_and_undefined(analysis, render):
    words = render(analysis).replace("\\", "")

    for part in ("deletion ↓", "insertion ↑", "n = 12", "random (control)", "centre (control)", "energy (intrinsic)"):
        assert part in words
    assert "undefined)" in words


def test_specs_are_footnotes(analysis):
    number = list(tables.notes(analysis)).index(f"deletion v1: {SPEC}") + 1

    assert f"deletion ↓ [{number}]" in tables.text(analysis)
    assert f"[{number}] deletion v1: {SPEC}" in tables.text(analysis)


def test_an_explainer_that_a_model_lacks_leaves_no_row(analysis):
    rows = [(line.model, line.explainer) for table in tables.tables(analysis) for line in table.lines]

    assert ("ersm", "energy (intrinsic)") in rows
    assert ("plain", "energy (intrinsic)") not in rows


def test_markdown_rows_survive_pipes_and_tags(hostile):
    words = tables.markdown(hostile)
    widths = {line.replace("\\|", "").count("|") for line in words.splitlines() if line.startswith("|")}

    assert "<script>" not in words
    assert widths == {4, 6}  # 3 columns and 5 columns


@pytest.mark.parametrize(
    ("name", "escaped"),
    [
        ("a_b&c%d$e#f", r"a\_b\&c\%d\$e\#f"),
        ("{x}~^\\", r"\{x\}\textasciitilde{}\textasciicircum{}\textbackslash{}"),
        ("<->", r"\textless{}-\textgreater{}"),
        ("deletion ↓", r"deletion $\downarrow$"),
        ("[x] *", "{[}x] *"),
        ("-0.12 [-0.2, 0.1] a-1", r"$-$0.12 [$-$0.2, 0.1] a-1"),
    ],
)
def test_latex_escapes(name, escaped):
    assert tables._tex(name) == escaped


def test_latex_uses_booktabs_and_bold(analysis):
    words = tables.latex(analysis)

    assert all(rule in words for rule in (r"\toprule", r"\midrule", r"\bottomrule", r"\textbf{", r"$\uparrow$"))


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles_whatever_the_names(hostile, tmp_path):
    head = r"\documentclass{article}\usepackage{booktabs}\begin{document}"
    (tmp_path / "t.tex").write_text(f"{head}\n{tables.latex(hostile)}\\end{{document}}", "utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]

    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == 0
