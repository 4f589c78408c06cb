"""Another function is another text, the same function the same text in every process."""

import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import torch

from xai_bench.behaviour import behaviour

SCALE = 1


def scaled(x):
    return [item * SCALE for item in x]


def helped(x):
    return scaled(x)


def power(x, k=1):
    return x**k


def closing(c):
    return lambda x: x + c


class Explainer:
    def __init__(self, sign):
        self.sign = sign

    def __call__(self, x):
        return self.sign * x


PAIRS = {
    "defaults": (power, lambda x, k=2: x**k),
    "partials": (partial(power, k=1), partial(power, k=-1)),
    "closures": (closing(1), closing(2)),
    "what an object holds": (Explainer(1), Explainer(-1)),
    "weights": (Explainer(torch.zeros(2)), Explainer(torch.ones(2))),
    "arrays": (Explainer(np.zeros(2)), Explainer(np.zeros(3))),
    "nested code": (lambda x: [i + 1 for i in x], lambda x: [i + 2 for i in x]),
    "sets": (lambda x: x in {"alpha", "beta"}, lambda x: x in {"alpha", "gamma"}),
    "tables": (Explainer({"a": 1}), Explainer({"a": 2})),
    "functions of C": (Explainer(torch.relu), Explainer(torch.tanh)),
    "numbers and their names": (Explainer(1), Explainer("1")),
}


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_what_may_do_something_else_has_another_text(pair):
    one, other = pair

    assert behaviour(one) == behaviour(one)
    assert behaviour(one) != behaviour(other)


@pytest.mark.parametrize("function", [scaled, helped])
def test_a_number_of_the_module_counts(function, monkeypatch):
    before = behaviour(function)
    monkeypatch.setattr(sys.modules[__name__], "SCALE", -1)

    assert behaviour(function) != before


def test_a_method_of_the_callers_class_counts(monkeypatch):
    before = behaviour(Explainer(1))
    monkeypatch.setattr(Explainer, "__call__", lambda self, x: -x)

    assert behaviour(Explainer(1)) != before


def test_an_object_that_holds_itself_ends():
    explainer = Explainer(1)
    explainer.me = explainer

    assert behaviour(explainer) == behaviour(explainer)


def test_the_text_is_the_same_in_every_process(tmp_path):
    (tmp_path / "mine.py").write_text(
        "def f(x):\n    return [i for i in x if i in {'alpha', 'beta', 'gamma'}] + [(lambda y: y)(x)]\n"
    )
    code = "from xai_bench.behaviour import behaviour; import mine; print(behaviour(mine.f))"
    texts = {
        subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2", "3")
    }

    assert len(texts) == 1
