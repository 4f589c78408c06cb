"""The study of protocols, end to end on a model with random weights."""

import re

import pandas as pd
import pytest

from xai_bench.agreement import OPEN, REVERSED, SURVIVES, UNOPPOSED
from xai_bench.metrics import METRICS
from xai_bench.runs.means import Means
from xai_bench.runs.suite import Suite
from xai_bench.studies.protocols import CHOICES, protocols, run_protocols

MODEL = {"name": "timm:test_resnet", "pretrained": False, "num_classes": 4, "input_size": 32}


@pytest.fixture(scope="module")
def studied(tmp_path_factory):
    suite = Suite(
        models=(MODEL,),
        data=({"name": "planted", "split": "test", "n": 3, "size": 32},),
        metrics=("top1",),
        explainers=("gradcam", {"name": "ig", "steps": 4}, "random"),
        gallery=0,
    )
    out = tmp_path_factory.mktemp("study")
    results, page = run_protocols(suite, out, Means(progress=False))
    return results, page, suite, out


def test_every_protocol_of_the_catalogue_is_in_it(studied):
    metrics = set(studied[0].scores["metric"])

    assert set(protocols()) <= metrics
    assert {"deletion@rise", "insertion@rise", "deletion@torchcam", "pixel_flipping@quantus", "road@gradcam"} <= metrics
    assert "top1" not in metrics


def test_each_choice_differs_from_the_other_side_in_its_words_alone():
    for question, one, other in CHOICES:
        first, second = (METRICS.build({"name": "deletion", "removal": "fill"} | side) for side in (one, other))

        assert first != second, question
        assert first.spec() != second.spec()


def test_the_tables_hold_every_protocol_and_every_choice(studied):
    folder = studied[1].parent
    taus = pd.read_csv(folder / "tables/taus.csv")
    factors = pd.read_csv(folder / "tables/factors.csv")
    verdicts = pd.read_csv(folder / "tables/conclusions.csv")["verdict"]

    assert len(factors) == len(CHOICES) + 1  # and signed or absolute
    assert set(taus["protocol"].str.strip("'")) == set(protocols())
    assert set(verdicts) <= {SURVIVES, UNOPPOSED, REVERSED, OPEN}
    assert len(verdicts) == 6  # pairs of gradcam, ig, random, ig_absolute


def test_the_page_and_the_text_say_what_was_found(studied):
    page, text = studied[1].read_text(), (studied[1].parent / "study.md").read_text()

    assert re.search(r"Kendall(&#39;|')s tau between protocols runs from", page)
    assert "softmax or logit" in page
    assert "pairs of explainers" in text
    assert "http://" not in re.sub(r"http://www.w3.org\S+", "", page)
    assert "https://" not in page
    assert all((studied[1].parent / f"figures/taus.{form}").is_file() for form in ("pdf", "svg", "png"))


def test_a_second_start_computes_nothing(studied):
    _, _, suite, out = studied
    before = sorted(path.name for path in (out / "scores").iterdir())
    run_protocols(suite, out, Means(progress=False))

    assert sorted(path.name for path in (out / "scores").iterdir()) == before
