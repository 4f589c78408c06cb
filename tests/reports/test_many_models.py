"""Runs of thousands of models: the same numbers as alone, and a page that a browser can hold."""

import dataclasses
import re

import pandas as pd
import pytest
from synthetic_run import make_run

from xai_bench import reports
from xai_bench.readings import anchored, readings
from xai_bench.reports import figures
from xai_bench.reports import page as pages
from xai_bench.reports.tables import sheet as sheets
from xai_bench.reports.tables.sheet import Cell, Column, Grid, Row, Sheet, shortened
from xai_bench.stats import curve_bands

MODELS = tuple(f"model{number}" for number in range(20))


@pytest.fixture(scope="module")
def many():
    return make_run(4, models=MODELS, datas=("d/test",), panels=0)


@pytest.mark.parametrize("statistic", [readings, anchored, curve_bands])
def test_a_model_has_the_same_numbers_among_many_as_alone(many, statistic):
    together = statistic(many)
    for model in MODELS[:2]:
        parts = {name: getattr(many, name)[getattr(many, name)["model"] == model] for name in ("scores", "curves")}
        alone = statistic(dataclasses.replace(many, **parts))
        among = together[together["model"] == model].reset_index(drop=True)

        pd.testing.assert_frame_equal(among, alone, rtol=1e-12)


def table(*sizes):
    grids = (Grid("", (Column("x"),), tuple(Row((Cell(f"{n}"),)) for n in range(size)), 1) for size in sizes)
    return Sheet("scores", "Scores", "Means.", tuple(grids), frame=pd.DataFrame({"x": range(sum(sizes))}))


@pytest.mark.parametrize(
    ("there", "kept"), [((3, 2), [3, 2]), ((3, 3), [3, 2]), ((9,), [5]), ((5, 1), [5]), ((1, 9, 9), [1, 4])]
)
def test_a_sheet_keeps_its_first_rows_and_says_where_the_others_are(monkeypatch, there, kept):
    monkeypatch.setattr(sheets, "MOST", 5)
    short = shortened(table(*there))
    said = f"Shown: the first 5 of {sum(there)} rows; all are in tables/scores.csv. " if sum(there) > 5 else ""

    assert [len(grid.rows) for grid in short.grids] == kept
    assert short.caption == f"{said}Means."
    assert len(short.frame) == sum(there)


def test_the_page_and_its_tables_hold_the_first_and_the_csv_and_the_sentences_all(many, monkeypatch, tmp_path):
    monkeypatch.setattr(sheets, "MOST", 7)
    monkeypatch.setattr(pages, "SENTENCES", 4)
    monkeypatch.setattr(figures, "FIGURES", ())
    page = reports.write(many, tmp_path / "out").read_text("utf-8")
    rows = len((tmp_path / "out/tables/differences.csv").read_text("utf-8").splitlines()) - 1
    spoken = len((tmp_path / "out/tables/findings.md").read_text("utf-8").splitlines())

    assert rows > 2_000
    assert re.search(rf"[\d,]+ of {rows:,} rows are shown; all are in tables/differences.csv.", page)
    for form in ("md", "tex", "html"):
        assert "Shown: the first 7 of 2," in (tmp_path / f"out/tables/differences.{form}").read_text("utf-8")
    assert f"In detail: {spoken} findings" in page
    assert "The first 4; all are in tables/findings.md." in page
