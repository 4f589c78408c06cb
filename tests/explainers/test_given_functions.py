"""Functions and modules of the user's: what is wrong with one is told in a sentence, wherever it stands."""

import sys

import pytest
import torch
from torch import nn

import xai_bench as xb
from xai_bench.errors import InvalidValueError, UnknownNameError
from xai_bench.oracles import Linear, as_model

MODEL, IMAGES = as_model(Linear(torch.zeros(3, 4, 4))), torch.rand(1, 3, 4, 4)
MODULES = {
    "raising": "raise ValueError('not today')",
    "lacking": "import sys\nsys.no_such_thing",
    "leaving": "import sys\nsys.exit(0)",
    "unwritten": "def f(:",
    "whole": "def two(model, images):\n    return images[:, 0]\n",
}


@pytest.fixture(autouse=True)
def modules(tmp_path, monkeypatch):
    for name, code in MODULES.items():
        (tmp_path / f"given_{name}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in MODULES:
        sys.modules.pop(f"given_{name}", None)


@pytest.mark.parametrize(
    ("path", "error", "sentence"),
    [
        (
            "given_raising:f",
            InvalidValueError,
            "cannot import 'given_raising' of 'given_raising:f': ValueError: not today",
        ),
        ("given_lacking:f", InvalidValueError, "AttributeError: module 'sys' has no attribute 'no_such_thing'"),
        ("given_leaving:f", InvalidValueError, "cannot import 'given_leaving' of 'given_leaving:f': SystemExit: 0"),
        ("given_unwritten:f", InvalidValueError, "SyntaxError: invalid syntax (given_unwritten.py, line 1)"),
        ("given_absent:f", UnknownNameError, "cannot import 'given_absent' of 'given_absent:f'"),
        ("given_whole:to", UnknownNameError, "unknown name in given_whole 'to'; did you mean 'two'?"),
        (":x", InvalidValueError, "an import path is package.module:name, got ':x'"),
        ("../pz:x", InvalidValueError, "an import path is package.module:name, got '../pz:x'"),
        ("given_whole:", InvalidValueError, "an import path is package.module:name, got 'given_whole:'"),
        ("given_whole", InvalidValueError, "an import path is package.module:name, got 'given_whole'"),
        ("given_whole:two", InvalidValueError, "an explainer takes (model, images, targets), which 'two' does not"),
    ],
)
def test_what_cannot_be_used_is_told_at_the_top_and_inside_a_wrapper(path, error, sentence):
    for asked in (f"python:{path}", {"name": "absolute", "explainer": f"python:{path}"}):
        with pytest.raises(error) as refusal:
            xb.explain(asked, MODEL, IMAGES)
        assert sentence in str(refusal.value)


def test_a_module_is_judged_by_its_forward():
    with pytest.raises(
        InvalidValueError, match=r"an explainer takes \(model, images, targets\), which 'ReLU' does not"
    ):
        xb.explain(nn.ReLU(), MODEL, IMAGES)


class Red(nn.Module):
    def forward(self, model, images, targets):
        return images[:, 0]


def test_a_module_that_takes_what_an_explainer_takes_is_one():
    assert xb.explain(Red(), MODEL, IMAGES).equal(IMAGES[:, 0])
