"""The page of a study: every claim with its verdict, every table and figure, and nothing that reaches outside."""

import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from xai_bench.claims import Claim
from xai_bench.reports.study_page import Picture, Section, Study, Table, write_study


def curve() -> Figure:
    figure = Figure(figsize=(2, 2))
    figure.subplots().plot([0, 1], [1, 0])
    return figure


def claim(says: str, values: np.ndarray, **more: object) -> Claim:
    return Claim(says, "arXiv 0000.0, abstract", "difference in points", values, **more)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"order": ["energy", "<b>$magnitude_"], "AUC": [61.23456, np.nan], "n": [3, 4]})
    study = Study(
        title="Does the <mask> matter?",
        lead="Three trainings.",
        claims=(
            claim("energy beats magnitude", random.normal(1, 0.1, (3, 50)), note="at the published weights"),
            claim("energy beats random", random.normal(-1, 0.1, (3, 50))),
            claim("accuracy is kept", random.normal(0, 1, (3, 50)), above=0.0, where="on <test>", note="allows 0"),
            claim("accuracy is kept", random.normal(1, 0.1, (3, 50)), where="on shifted", note="allows 0"),
        ),
        findings=("The keep map is flat.",),
        notes=("One data set.",),
        sections=(
            Section("Token deletion", "In feature space.", [Table("auc", "Area in points.", frame)],
                    [Picture("curves", "Accuracy against tokens deleted.", curve(), alt="two lines fall")]),
            Section("Nothing else"),
        ),
        definitions={"energy": "unary plus pairwise"},
        provenance={"torch": "2.15"},
    )  # fmt: skip
    return write_study(study, tmp_path_factory.mktemp("page"))


def test_every_claim_stands_with_its_verdict(written):
    table = pd.read_csv(written.parent / "tables/claims.csv")
    page = written.read_text()

    assert table["verdict"].tolist() == ["held", "refuted", "open", "held"]
    assert table["where"].fillna("").tolist() == ["", "", "on <test>", "on shifted"]
    assert "2 held, 1 refuted, 1 open." in page
    assert page.count("accuracy is kept") == 1
    assert "1 held, 1 open" in page
    assert "on &lt;test&gt;" in page
    assert page.count("allows 0") == 1
    assert table["mean"][0] == pytest.approx(1, abs=0.1)
    assert [word in page for word in ('class="better"><b>held', 'class="worse"><b>refuted')] == [True, True]
    assert "at the published weights" in page


def test_the_page_holds_tables_and_figures_and_escapes_names(written):
    page = written.read_text()

    assert "Does the &lt;mask&gt; matter?" in page
    assert "&lt;b&gt;$magnitude_" in page
    assert "61.2" in page
    assert "<td>nan" not in page
    assert 'alt="two lines fall"' in page
    assert "http" not in re.sub(r"http://www.w3.org\S+|http-equiv", "", page)


def test_the_files_hold_full_precision(written):
    assert pd.read_csv(written.parent / "tables/auc.csv")["AUC"][0] == 61.23456
    assert all((written.parent / f"figures/curves.{form}").stat().st_size for form in ("pdf", "svg", "png"))


def test_the_text_is_the_page_without_pictures(written):
    text = (written.parent / "study.md").read_text()

    for part in ("| held", "| refuted", "| open", "trainings +", "50 images each", "figures/curves.svg"):
        assert part in text
    assert "The keep map is flat." in text


def test_what_is_undefined_is_called_so(tmp_path):
    lost = np.array([[0.5, 0.6], [np.nan, np.nan]])
    claims = (claim("one training", lost), claim("none", np.full((2, 2), np.nan)))
    page = write_study(Study("Title", "Lead.", [Section("One")], claims), tmp_path).read_text()

    assert "trainings +0.550, undefined" in page
    assert "undefined in every image" in page
    assert "nan" not in page.split("<main>")[1].replace("provenance", "")


def test_a_study_without_claims_has_no_claims(tmp_path):
    page = write_study(Study("Title", "Lead.", [Section("One")]), tmp_path)

    assert "Claims" not in page.read_text() + (tmp_path / "study.md").read_text()
    assert not (tmp_path / "tables").exists()
