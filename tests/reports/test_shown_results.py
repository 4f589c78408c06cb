"""A run as a notebook shows it."""

from synthetic_run import HOSTILE, make_run

from xai_bench.reports import notebook
from xai_bench.results import Results


def test_a_run_with_hostile_names_is_escaped_and_a_large_one_shows_only_what_it_is(monkeypatch):
    run = make_run(12, models=(HOSTILE,), panels=0)
    page = Results(run)._repr_html_()
    monkeypatch.setattr(notebook, "LIGHT", len(run.scores) - 1)
    light = Results(run)._repr_html_()

    assert "<script>" not in page + light
    assert "&lt;script&gt;" in page
    assert "<table>" in page
    assert "<table>" not in light
    assert f"Results({len(run.scores)} rows" in light


def test_none_is_not_counted_among_the_explainers():
    run = make_run(2, models=("plain",), explainers=("ig", "random"))

    assert "1 model, 2 explainers, 5 metrics" in repr(Results(run))
