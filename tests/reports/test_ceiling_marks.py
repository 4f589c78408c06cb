"""An explainer that is told where the object is wins everything, and takes nothing from those that are not told."""

import pytest
import synthetic_run

from xai_bench.reports.analysis import analyse
from xai_bench.reports.words import findings, summary


@pytest.fixture(scope="module")
def analysis():
    """Deletion, insertion and pointing game of region > gradcam > random, with every difference significant."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(synthetic_run.KINDS, "region", "ceiling")
        patch.setitem(synthetic_run.SKILL, "region", 1.5)
        names = ("gradcam", "random", "region")
        return analyse(synthetic_run.make_run(40, models=("plain",), explainers=names, datas=("d",), panels=0))


def test_the_tests_say_that_it_beats_them(analysis):
    rows = analysis.explainers[analysis.explainers["metric"] == "deletion"].set_index(["a", "b"])

    assert rows.loc[("gradcam", "region"), "better"] == "b"


def test_the_best_of_the_others_is_marked_as_if_it_were_not_there(analysis):
    marks = analysis.summary[analysis.summary["metric"] == "deletion"].set_index("explainer")["top"]

    assert marks.to_dict() == {"gradcam": True, "random": False, "region": False}


def test_the_sentences_speak_of_the_best_of_the_others(analysis):
    said = [finding.text for finding in findings(analysis) if finding.verdict != "undefined"]
    said += summary(analysis).certain

    assert any("gradcam of plain is better in deletion ↓ than random" in sentence for sentence in said)
    assert any("For plain, gradcam is best or level with the best in 3 of 3 rankings" in sentence for sentence in said)
    assert not any("region" in sentence for sentence in said)
