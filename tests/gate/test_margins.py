"""Margins: where they come from, and what is refused."""

import numpy as np
import pytest
from scored_runs import cell, run

from xai_bench.errors import InvalidValueError, RunError, UnknownNameError
from xai_bench.gate import Margins

pytestmark = pytest.mark.usefixtures("unchecked")
RUN = run(
    cell([0.1, 0.2], metric="deletion"),
    cell([0, 1], metric="pointing_game(tolerance=0)"),
    cell([1.0, 3.0], metric="infidelity"),
    cell([10.0, 14.0], metric="infidelity", explainer="gradcam"),
)


class TestWhich:
    def test_two_per_cent_of_the_range(self):
        assert Margins().of("deletion", RUN) == 0.02

    def test_without_a_range_a_tenth_of_the_spread_within_cells(self):
        assert Margins().of("infidelity", RUN) == pytest.approx(0.1 * np.sqrt((2 * 1 + 2 * 4) / 2))

    def test_by_label_before_name_before_any(self):
        label = "pointing_game(tolerance=0)"
        assert Margins(margins={"*": 0.3, "pointing_game": 0.2, label: 0.1}).of(label, RUN) == 0.1
        assert Margins(margins={"*": 0.3, "pointing_game": 0.2}).of(label, RUN) == 0.2
        assert Margins(margins={"*": 0.3, "pointing_game": 0.2}).of("deletion", RUN) == 0.3

    def test_an_expression_counts_more_than_the_file_and_leaves_the_rest(self):
        found = Margins(margins={"deletion": 0.1, "infidelity": 2.0}).with_expressions(["deletion: drop > 0.05"])

        assert (found.of("deletion", RUN), found.of("infidelity", RUN)) == (0.05, 2)

    @pytest.mark.parametrize("text", ["*:undefined>0.1", " *: undefined > 0.1 "])
    def test_undefined_images_by_expression(self, text):
        assert Margins().with_expressions([text]).undefined == 0.1

    def test_a_label_with_a_colon(self):
        assert Margins().with_expressions(["a: b: drop > 1e-3"]).margins == {"a: b": 0.001}


def test_a_file(tmp_path):
    path = tmp_path / "margins.toml"
    path.write_text('alpha = 0.01\nundefined = 0.02\nignore = ["random"]\n[margins]\n"insertion@rise" = 0.05\n')

    assert Margins.read(path) == Margins(0.01, 0.02, {"insertion@rise": 0.05}, ("random",))


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"margins": {"deletion": -0.02}}, "must be a finite number from 0, the worsening that is allowed"),
        ({"margins": {"deletion": float("nan")}}, "must be a finite number from 0"),
        ({"margins": {"deletion": 10**400}}, "must be a finite number from 0"),
        ({"margins": {"deletion": "5 %"}}, "in the metric's own unit, such as 0.02, got '5 %'"),
        ({"margins": {"deletion": True}}, "must be a number"),
        ({"margins": [0.1]}, "a table of metrics and numbers"),
        ({"alpha": 5.0}, "alpha of margins must be above 0"),
        ({"alpha": 0.0}, "alpha of margins"),
        ({"undefined": 5.0}, "a share of images, from 0 to 1, got 5"),
        ({"ignore": "random"}, "a list of names"),
    ],
)
def test_values_that_cannot_be_are_refused(table, said):
    with pytest.raises(InvalidValueError, match=said):
        Margins.given(table)


def test_an_unknown_key_is_refused_with_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'margins'"):
        Margins.given({"margin": {}})


@pytest.mark.parametrize(
    ("margins", "error", "said"),
    [
        (
            Margins(margins={"deltion": 0.1}),
            UnknownNameError,
            "unknown metric of margins 'deltion'; did you mean",
        ),
        (Margins(ignore=("randm",)), UnknownNameError, "unknown name to ignore 'randm'"),
        (Margins(margins={"deletion": 2.0}), InvalidValueError, "not below the range of its scores, 1: .* are 0.02"),
        (Margins(margins={"pointing_game": 1.0}), InvalidValueError, "not below the range"),
    ],
)
def test_margins_that_do_not_fit_the_runs_are_refused(margins, error, said):
    with pytest.raises(error, match=said):
        margins.check(RUN)


def test_a_metric_without_a_range_takes_any_margin():
    Margins(margins={"infidelity": 500.0}).check(RUN)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("deletion", "takes 'METRIC: drop > NUMBER'"),
        ("deletion: rise > 0.1", "takes 'METRIC: drop > NUMBER'"),
        ("deletion: drop < 0.1", "takes 'METRIC: drop > NUMBER'"),
        ("deletion: drop > 5%", "a number in the metric's own unit, such as 0.02, got '5%'"),
        ("deletion: drop > -1", "must be a finite number from 0"),
        ("deletion: drop > nan", "must be a finite number from 0"),
        ("deletion: undefined > 0.1", "for all metrics alike"),
        ("*: undefined > 5", "a share of images, from 0 to 1"),
    ],
)
def test_expressions_that_say_nothing_are_refused(text, said):
    with pytest.raises(InvalidValueError, match=said):
        Margins().with_expressions([text])


def test_a_file_that_is_no_toml_or_not_there(tmp_path):
    (tmp_path / "margins.toml").write_text("alpha = ")
    with pytest.raises(RunError, match=r"margins .* is not TOML"):
        Margins.read(tmp_path / "margins.toml")
    with pytest.raises(UnknownNameError, match=r"unknown margins file 'margin.toml'; did you mean 'margins.toml'"):
        Margins.read(tmp_path / "margin.toml")
