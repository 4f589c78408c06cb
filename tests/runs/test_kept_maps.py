"""Maps that are kept make a metric added later cost only itself."""

import pandas as pd
import pytest
from small_suite import METRICS, evaluate

WANTED = {"explainers": ["gradcam", "random"], "gallery": 1}


def test_a_later_metric_explains_nothing_again_and_has_the_same_scores(tmp_path, monkeypatch):
    at_once = evaluate(metrics=METRICS[:2], **WANTED)
    evaluate(tmp_path / "run", metrics=METRICS[:1], **WANTED)
    monkeypatch.setattr("xai_bench.runs.work.explain", lambda *_: pytest.fail("explained again"))
    later = evaluate(tmp_path / "run", metrics=METRICS[:2], **WANTED)

    pd.testing.assert_frame_equal(later.scores, at_once.scores)
    assert len(list((tmp_path / "run/maps").iterdir())) == 4  # made once for each model and batch


def test_only_what_is_not_kept_is_made_again(tmp_path, monkeypatch):
    evaluate(tmp_path / "run", metrics=METRICS[:1], **WANTED)
    next((tmp_path / "run/maps").iterdir()).unlink()
    made = []
    explain = __import__("xai_bench.runs.work", fromlist=["explain"]).explain
    monkeypatch.setattr("xai_bench.runs.work.explain", lambda *given: made.append(given[0]) or explain(*given))
    evaluate(tmp_path / "run", metrics=METRICS[:2], **WANTED)

    assert len(made) == 2


def test_a_run_that_keeps_no_maps_says_how_many_are_made_again(tmp_path, capsys):
    wanted = WANTED | {"maps": False, "progress": None}
    evaluate(tmp_path / "run", metrics=METRICS[:1], **wanted)
    first = capsys.readouterr().err
    evaluate(tmp_path / "run", metrics=METRICS[:2], **wanted)

    assert "made again" not in first
    assert "24 maps are made again, since the run keeps none of them\n" in capsys.readouterr().err
    assert not list(tmp_path.glob("run/maps/*"))
