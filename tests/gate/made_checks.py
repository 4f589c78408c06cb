"""Checks that never were, of every verdict and with any name."""

import math

from xai_bench.gate import Check, Margins, Verdict

HOSTILE = "::error::a|b`c`<script>alert(1)</script>\x1b[31m\x00\n::error::x\u202e]]>&\"'*_#1\ud800é↓"
NUMBERS = {"before": 0.31, "now": 0.351, "worse": 0.041, "low": 0.03, "high": 0.052, "p": 1e-6, "p_holm": 3e-5}
PASSED = {"before": 0.31, "now": 0.311, "worse": 0.001, "low": -0.002, "high": 0.004, "p": 0.3, "p_holm": 1.0}
UNDECIDED = {"before": 0.31, "now": 0.32, "worse": 0.01, "low": -0.02, "high": 0.04, "p": 0.3, "p_holm": 1.0}


def cell(verdict="pass", *, metric="deletion", explainer="gradcam", model="m", data="photos", **facts):
    """One cell; the numbers are those of its verdict unless given."""
    numbers = {"regression": NUMBERS, "undecided": UNDECIDED | {"needed": 1134.0}, "pass": PASSED, "improved": PASSED}
    counted = {"n": 200} if verdict in numbers else {}
    known = {"better": "lower", "margin": math.nan if verdict == "new" else 0.02}
    return Verdict(data, model, explainer, metric, verdict, **(known | counted | numbers.get(verdict, {}) | facts))


def check(*cells, notes=(), run="runs/now", reference="faithfulness.reference.json", margins=None):
    return Check(run, reference, tuple(cells), tuple(notes), margins or Margins(margins={"deletion": 0.02}))


def of_every_verdict():
    """One cell of each, worst first, and two passes."""
    return check(
        cell("regression"),
        cell("regression", explainer="ig", lost=10, n=190, note="10 of 200 images lost their score"),
        cell("vanished", metric="top1", explainer="none", better="higher"),
        cell("undecided", explainer="saliency"),
        cell("undecided", explainer="rise", needed=math.inf),
        cell("improved", metric="insertion", better="higher", worse=-0.03, low=-0.04, high=-0.02),
        cell("pass", metric="insertion", explainer="ig", better="higher"),
        cell("pass", metric="insertion", explainer="saliency", better="higher"),
        cell("unscored", metric="class_entropy", explainer="none", better="unstated", note="it states no direction"),
        cell("ignored", explainer="random"),
        cell("new", explainer="lime"),
        notes=("now was scored with seed 1, then with 0.",),
    )
