import dataclasses

import numpy as np
import pandas as pd
from synthetic_run import CARDS, KINDS, make_run, score_row

from xai_bench import reports
from xai_bench.reports.analysis import analyse
from xai_bench.reports.words import Finding, findings
from xai_bench.runs.run import CURVE_COLUMNS, SCORE_COLUMNS, Run


def said(*cells):
    """Findings about cells of (model, explainer, metric, scores)."""
    rows = [
        score_row("planted", model, explainer, metric, f"{i}", float(score), "no region" if np.isnan(score) else "")
        for model, explainer, metric, scores in cells
        for i, score in enumerate(scores)
    ]
    kinds = {name: {"kind": kind} for name, kind in KINDS.items()}
    curves = pd.DataFrame([], columns=list(CURVE_COLUMNS))
    return findings(analyse(Run(pd.DataFrame(rows, columns=list(SCORE_COLUMNS)), curves, CARDS, kinds)))


def hits(share, n=200):
    return (np.arange(n) < share * n).astype(float)


def test_the_more_accurate_model_is_named_with_its_lead():
    (finding,) = said(("plain", "none", "top1", hits(0.9)), ("ersm", "none", "top1", hits(0.975)))

    assert finding.verdict == "better"
    assert finding.text.startswith("On planted, ersm is more accurate than plain: +0.075 [0.0")
    assert finding.text.endswith("n = 200.")


def test_a_lead_that_chance_explains_is_not_a_finding():
    (finding,) = said(("plain", "none", "top1", hits(0.9)), ("ersm", "none", "top1", hits(0.91)))

    assert finding.verdict == "undecided"
    assert "cannot tell whether ersm is more accurate than plain" in finding.text


def test_the_best_explainer_is_set_against_every_control():
    (finding,) = said(
        ("m", "gradcam", "pointing_game", hits(0.52)),
        ("m", "random", "pointing_game", hits(0.05)),
        ("m", "centre", "pointing_game", hits(0.11)),
    )

    assert "gradcam of m points at the object more often than random (0.520 against 0.050" in finding.text
    assert "and centre (0.520 against 0.110" in finding.text


def test_a_control_that_wins_is_said_to_win():
    noise = np.random.default_rng(0).normal(0, 0.05, 60)
    (finding,) = said(("m", "ig", "deletion", 0.5 + noise), ("m", "centre", "deletion", 0.3 - noise))

    assert finding.verdict == "worse"
    assert "ig of m is worse in deletion ↓ than the control centre" in finding.text


def test_lower_deletion_is_better():
    noise = np.random.default_rng(0).normal(0, 0.05, 60)
    (finding,) = said(("m", "ig", "deletion", 0.3 + noise), ("m", "centre", "deletion", 0.5 - noise))

    assert finding.verdict == "better"


def test_rivals_that_cannot_be_told_apart_are_named():
    noise = np.random.default_rng(0).normal(0, 0.05, (3, 60))
    (finding,) = said(
        ("m", "ig", "insertion", 0.6 + noise[0]),
        ("m", "saliency", "insertion", 0.6 + noise[1]),
        ("m", "random", "insertion", 0.2 + noise[2]),
    )

    assert "it cannot be told from" in finding.text


def test_a_missing_control_is_said():
    (finding,) = said(("m", "ig", "deletion", [0.1, 0.2, 0.3]))

    assert finding.text.endswith("no control was scored beside it.")


def test_undefined_scores_are_counted_once_per_reason():
    found = said(("m", "ig", "pointing_game", [1, np.nan]), ("m", "random", "pointing_game", [0, np.nan]))

    assert sum(f.verdict == "undefined" for f in found) == 1
    assert "pointing_game is undefined for 1 of 2: one image; no region (1); ig of m, random of m." in found[-1].text


def test_accuracy_comes_first_and_the_undefined_last():
    found = findings(analyse(make_run(40, datas=("planted/test",))))

    assert "accurate" in found[0].text
    assert "points at the object" in found[1].text
    assert found[-1].verdict == "undefined"


def test_a_metric_without_direction_makes_no_finding():
    run = make_run(30, datas=("planted/test",))
    cards = {name: card | {"better": "unstated"} for name, card in run.cards.items()}

    assert {f.verdict for f in findings(analyse(dataclasses.replace(run, cards=cards)))} == {"undefined"}


def test_notes_of_the_suite_are_told_to_the_reader(tmp_path):
    run = make_run()
    noted = dataclasses.replace(run, info={**run.info, "notes": ["weights are not <published>"]})
    page = reports.write(noted, tmp_path / "report").read_text(encoding="utf-8")

    assert Finding("note", "weights are not <published>") in findings(analyse(noted))
    assert page.index("weights are not &lt;published&gt;") < page.index("In detail")


def test_the_models_own_mask_is_held_against_the_controls_even_where_it_is_not_the_best():
    texts = [finding.text for finding in findings(analyse(make_run()))]

    assert any("energy of ersm" in text and "centre" in text for text in texts)
