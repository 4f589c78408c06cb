"""A run against a reference: every verdict, on scores that are written down here."""

import numpy as np
import pandas as pd
import pytest
from scored_runs import cell, run, set_cell

import xai_bench as xb
from xai_bench.errors import InvalidValueError, RunError, UnknownNameError
from xai_bench.gate import VERDICTS, Margins, check
from xai_bench.reductions import reduced
from xai_bench.runs.run import Run

N = 60
RNG = np.random.default_rng(1)
THEN = 0.5 + RNG.uniform(-0.2, 0.2, N)
NOISE = RNG.normal(0, 0.01, N)
NOISE -= NOISE.mean()


def held(then, now, margins=None, **wanted):
    return check(("now", now), ("then", then), margins, **wanted)


def verdict_of(then, now, margins=None, **named):
    """The one verdict where one cell has these scores then and now."""
    (found,) = held(run(cell(then, **named)), run(cell(now, **named)), margins).verdicts
    return found


def with_nan(scores, *places):
    found = np.array(scores, float)
    found[list(places)] = np.nan
    return found


class TestVerdict:
    def test_worse_than_the_margin_is_a_regression(self):
        found = verdict_of(THEN, THEN - 0.05 + NOISE)

        assert found.verdict == "regression"
        assert found.worse == pytest.approx(0.05, abs=1e-6)
        assert found.low < 0.05 < found.high
        assert (found.before, found.now) == pytest.approx((THEN.mean(), THEN.mean() - 0.05), abs=1e-6)
        assert found.p == found.p_holm < 1e-6
        assert (found.margin, found.n, found.lost, found.left, found.note) == (0.02, N, 0, 0, "")

    def test_where_lower_is_better_a_rise_is_worse(self):
        assert verdict_of(THEN, THEN + 0.05 + NOISE, metric="deletion").verdict == "regression"
        assert verdict_of(THEN, THEN - 0.05 + NOISE, metric="deletion").verdict == "improved"

    def test_certainly_worse_by_less_than_the_margin_passes(self):
        found = verdict_of(THEN, THEN - 0.01 + NOISE / 10)

        assert found.p < 0.001
        assert found.verdict == "pass"

    def test_better_for_certain_is_improved(self):
        assert verdict_of(THEN, THEN + 0.05 + NOISE).verdict == "improved"

    def test_the_bound_on_the_margin_decides_between_pass_and_undecided(self):
        then, now = THEN, THEN - 0.02 + 3 * NOISE
        high = verdict_of(then, now).high

        assert verdict_of(then, now, Margins(margins={"*": high + 1e-9})).verdict == "pass"
        assert verdict_of(then, now, Margins(margins={"*": high - 1e-9})).verdict == "undecided"

    def test_a_mean_above_the_margin_is_no_regression_where_the_test_is_not_sure(self):
        now = THEN.copy()
        now[0] -= 0.9  # one image, a mean of 0.015
        found = verdict_of(THEN, now, Margins(margins={"*": 0.01}))

        assert found.worse > 0.01
        assert found.verdict == "undecided"
        assert found.needed > N

    def test_a_sure_test_is_no_regression_where_the_mean_is_below_the_margin(self):
        found = verdict_of(THEN, THEN - 0.019 + 2 * NOISE, Margins(margins={"*": 0.02}))

        assert found.p_holm < 0.05
        assert found.verdict == "undecided"

    def test_nothing_differs_passes_without_a_test(self):
        found = verdict_of(THEN, THEN, Margins(margins={"*": 0.0}))

        assert (found.verdict, found.worse) == ("pass", 0)
        assert np.isnan([found.p, found.p_holm]).all()

    def test_what_differs_beyond_the_digits_that_are_kept_does_not_differ(self):
        assert np.isnan(verdict_of([0.1234567, 0.5], [0.12345670004, 0.5]).p)

    def test_one_image_decides_nothing(self):
        found = verdict_of([0.5], [0.1])

        assert (found.verdict, found.note) == ("undecided", "one image has no spread")
        assert np.isnan(found.needed)

    def test_without_a_direction_nothing_is_worse(self):
        found = verdict_of(THEN, THEN - 0.3, metric="complexity")

        assert found.verdict == "unscored"
        assert "no direction" in found.note


class TestUndefined:
    def test_one_image_that_lost_its_score_is_a_regression(self):
        found = verdict_of(THEN, with_nan(THEN, 3))

        assert (found.verdict, found.n, found.lost) == ("regression", N - 1, 1)
        assert found.note == f"1 of {N} images lost their score; 1 became undefined: map is constant"

    def test_as_many_as_are_allowed_are_undecided_and_never_pass(self):
        few, many = with_nan(THEN, 0, 1, 2), with_nan(THEN, 0, 1, 2, 3)
        allowed = Margins(undefined=3 / N)

        assert verdict_of(THEN, few, allowed).verdict == "undecided"
        assert np.isnan(verdict_of(THEN, few, allowed).needed)
        assert verdict_of(THEN, many, allowed).verdict == "regression"
        assert verdict_of(THEN, few + 0.1, allowed).verdict == "undecided"
        assert verdict_of(THEN, few - 0.1 + NOISE, allowed).verdict == "regression"

    def test_all_of_them(self):
        assert verdict_of(THEN, np.full(N, np.nan), Margins(undefined=0.5)).verdict == "regression"

    def test_an_infinite_score_is_none(self):
        assert verdict_of(THEN, [np.inf, *THEN[1:]], metric="infidelity").lost == 1

    def test_undefined_in_both_for_one_reason_leaves_the_pairs_and_is_counted(self):
        found = verdict_of(with_nan(THEN, 0, 1), with_nan(THEN + 0.0, 0, 1))

        assert (found.verdict, found.n, found.left) == ("pass", N - 2, 2)

    def test_undefined_in_both_for_another_reason_never_passes(self):
        then, now = cell([0.5, np.nan]), cell([0.5, np.nan], reason="no region")
        (found,) = held(run(then), run(now)).verdicts

        assert found.verdict == "undecided"
        assert found.note == "1 undefined for another reason: no region, was map is constant"

    def test_undefined_everywhere_in_both_is_unscored_and_decides_nothing(self):
        found = held(run(cell([np.nan] * 4)), run(cell([np.nan] * 4)))

        assert found.verdicts[0].verdict == "unscored"
        assert (found.verdict, found.code) == ("pass", 0)

    def test_a_score_that_there_was_none_of_is_said(self):
        found = verdict_of(with_nan(THEN, 0), THEN)

        assert (found.verdict, found.n) == ("pass", N - 1)
        assert found.note == "1 have a score now and had none"

    def test_an_image_without_a_row_is_lost(self):
        (found,) = held(run(cell(THEN)), run(cell(THEN[:-1]))).verdicts

        assert found.verdict == "regression"
        assert found.note.endswith("1 became undefined: not scored now")


class TestCells:
    def test_one_that_is_missing_has_vanished_and_one_more_is_new(self):
        then = run(cell(THEN), cell(THEN, explainer="gradcam"))
        now = run(cell(THEN), cell(THEN, metric="deletion"))
        found = held(then, now)

        assert [(cell.explainer, cell.metric, cell.verdict) for cell in found.verdicts] == [
            ("ig", "insertion", "pass"),
            ("gradcam", "insertion", "vanished"),
            ("ig", "deletion", "new"),
        ]
        assert (found.verdict, found.code) == ("regression", 1)
        assert found.sentence == "1 of 2 cells vanished: insertion of gradcam on m."

    def test_new_ones_decide_nothing(self):
        assert held(run(cell(THEN)), run(cell(THEN), cell(THEN, metric="deletion"))).code == 0

    def test_ignored_ones_decide_nothing_even_if_they_vanish(self):
        then = run(cell(THEN), cell(THEN, explainer="gradcam"), cell(THEN, metric="deletion"))
        now = run(cell(THEN - 0.3), cell(THEN, metric="deletion"))
        found = held(then, now, Margins(ignore=("insertion",)))

        assert found.counts == {"pass": 1, "ignored": 2}
        assert found.code == 0

    def test_models_are_matched_where_that_is_said_and_only_there(self):
        then, now = run(cell(THEN)), run(cell(THEN, model="other"))

        assert held(then, now, match={"m": "other"}).verdicts[0].verdict == "pass"
        with pytest.raises(RunError, match="share no model"):
            held(then, now)

    @pytest.mark.parametrize("first", ["m", "other"])
    def test_a_match_counts_more_than_a_name_whatever_the_order(self, first):
        good, bad = cell(THEN), cell(THEN - 0.3 + NOISE, model="other")
        now = run(good, bad) if first == "m" else run(bad, good)
        found = held(run(cell(THEN)), now, match={"m": "other"})

        assert [(one.model, one.verdict) for one in found.verdicts] == [("m", "regression"), ("m (of now)", "new")]

    def test_a_model_that_stands_for_another_stands_not_for_itself(self):
        then = run(cell(THEN), cell(THEN, model="b"))
        found = held(then, run(cell(THEN, model="b")), match={"m": "b"})

        assert [(one.model, one.verdict) for one in found.verdicts] == [("m", "pass"), ("b", "vanished")]

    def test_the_order_of_rows_is_nothing(self):
        then = run(cell(THEN), cell(THEN, metric="deletion"))
        now = run(cell(THEN - 0.1 + NOISE), cell(THEN, metric="deletion"))
        shuffled = Run(now.scores.sample(frac=1, random_state=0), now.curves, now.cards, now.explainers, now.info)

        pd.testing.assert_frame_equal(held(then, shuffled).table, held(then, now).table)


def test_holm_is_over_all_cells_of_the_check():
    now = THEN - 0.025 + 9 * NOISE
    then = run(cell(THEN), *(cell(THEN, metric="deletion", explainer=f"e{i}") for i in range(40)))
    same = [
        cell(THEN + NOISE * RNG.permutation([-1, 1] * (N // 2)), metric="deletion", explainer=f"e{i}")
        for i in range(40)
    ]
    alone = verdict_of(THEN, now)
    among = held(then, run(cell(now), *same)).verdicts[0]

    assert alone.verdict == "regression"
    assert among.p == alone.p
    assert among.p_holm == pytest.approx(min(1, 41 * alone.p))
    assert among.verdict == "undecided"


def test_cells_without_a_difference_are_no_tests():
    then = run(cell(THEN), *(cell(THEN, metric="deletion", explainer=f"e{i}") for i in range(40)))
    now = run(cell(THEN - 0.03 + NOISE), *(cell(THEN, metric="deletion", explainer=f"e{i}") for i in range(40)))
    found = held(then, now).verdicts[0]

    assert found.p_holm == found.p


def test_hits_are_judged_as_hits():
    then = np.ones(N)
    now = then.copy()
    now[:5] = 0
    found = verdict_of(then, now, Margins(alpha=0.05, margins={"*": 0.01}), metric="pointing_game(tolerance=0)")

    assert found.p == pytest.approx(1 / 32)
    assert found.verdict == "regression"


class TestSets:
    RECORDS = RNG.uniform(0.2, 0.8, (N, 3))

    def held(self, now, *, metric="kar", margins=None):
        reduction = {"kar": "mean", "accuracy": "ratio"}[metric]
        sides = []
        for records in (self.RECORDS, now):
            whole = records[:, :2] if metric == "accuracy" else records
            row, points = set_cell(whole, reduced(reduction, whole)[0], metric=metric)
            sides.append(run(row, cell(THEN), curves=[points]))
        return held(sides[0], sides[1], margins).verdicts[0]

    def test_the_same_records_pass_without_a_test(self):
        found = self.held(self.RECORDS)

        assert (found.verdict, found.n) == ("pass", N)
        assert np.isnan(found.p)

    def test_a_mean_of_images_is_judged_by_image(self):
        found = self.held(self.RECORDS - 0.1 + NOISE[:, None])

        assert found.verdict == "regression"
        assert found.worse == pytest.approx(0.1, abs=1e-6)

    def test_a_ratio_is_judged_by_a_paired_bootstrap(self):
        now = self.RECORDS.copy()
        now[:, 0] *= 0.8
        found = self.held(now, metric="accuracy")
        expected = 0.2 * self.RECORDS[:, 0].mean() / self.RECORDS[:, 1].mean()
        above, below = self.RECORDS[:, 0] * 0.2, self.RECORDS[:, 1]
        error = np.std(above - expected * below, ddof=1) / below.mean() / np.sqrt(N)  # the delta method

        assert found.verdict == "regression"
        assert found.worse == pytest.approx(expected, abs=1e-6)
        assert (found.high - found.low) / 2 == pytest.approx(1.671 * error, rel=0.1)

    def test_an_image_whose_record_is_gone_is_lost(self):
        now = self.RECORDS[:-1]
        found = self.held(now)

        assert (found.verdict, found.lost, found.n) == ("regression", 1, N - 1)

    def test_a_number_that_became_undefined(self):
        row, points = set_cell(self.RECORDS, self.RECORDS.mean())
        gone = row.assign(score=np.nan, reason="no image is defined")
        found = held(run(row, cell(THEN), curves=[points]), run(gone, cell(THEN))).verdicts[0]

        assert (found.verdict, found.lost) == ("regression", 1)
        assert "no image is defined" in found.note

    def test_without_records_only_the_same_number_passes(self):
        row, _ = set_cell(self.RECORDS, 0.5)
        then, other = run(row, cell(THEN)), run(row.assign(score=0.4), cell(THEN))

        assert held(then, then_again := run(row, cell(THEN))).verdicts[0].verdict == "pass"
        assert held(then, other).verdicts[0].verdict == "undecided"
        assert "no records" in held(then_again, other).verdicts[0].note


class TestWhole:
    def test_codes_and_sentences(self):
        good, bad, unsure = THEN, THEN - 0.1 + NOISE, THEN - 0.019 + 3 * NOISE
        cells = {"good": good, "bad": bad, "unsure": unsure}

        def of(*names):
            then = run(*(cell(THEN, explainer=name) for name in names))
            return held(then, run(*(cell(cells[name], explainer=name) for name in names)))

        assert (of("good").verdict, of("good").code) == ("pass", 0)
        assert (of("good", "unsure").verdict, of("good", "unsure").code) == ("undecided", 3)
        assert of("good", "unsure").exit_code(allow_undecided=True) == 0
        assert (of("good", "unsure", "bad").verdict, of("unsure", "bad").code) == ("regression", 1)
        assert of("bad").exit_code(allow_undecided=True) == 1
        assert of("good").sentence == "Nothing got worse: 1 of 1 cells pass."
        assert of("bad", "unsure").sentence == (
            "1 of 2 cells got worse: insertion of bad on m by 0.1 (margin 0.02). "
            "1 of 2 cells cannot be told: insertion of unsure on m."
        )

    def test_the_table_has_a_row_per_cell(self):
        table = held(run(cell(THEN)), run(cell(THEN))).table

        assert isinstance(table, pd.DataFrame)
        assert len(table) == 1
        assert set(table["verdict"]) <= set(VERDICTS)

    def test_what_else_differs_is_said(self):
        then = run(cell(THEN))
        now = run(cell(THEN, seed=1, device="cuda", precision="bf16", fingerprints="model=cc data=bb", target=2))
        said = " ".join(held(then, now).notes)

        for part in ("seed 1", "device cuda", "precision bf16", "other weights", "another class"):
            assert part in said

    def test_runs_the_wrong_way_round_are_asked_about(self):
        then, now = run(cell(THEN), created="2026-02-01T00:00:00"), run(cell(THEN), created="2026-01-01T00:00:00")

        assert "the wrong way round" in " ".join(held(then, now).notes)
        assert "the wrong way round" not in " ".join(held(now, then).notes)

    def test_images_that_the_reference_has_no_score_of_are_said_of_the_whole_check(self):
        found = held(run(cell(THEN[:2])), run(cell([*THEN[:2], *(THEN[2:] - 0.3)])))

        assert found.verdict == "pass"
        assert f"Up to {N - 2} images of 1 cell have a score now and had none" in " ".join(found.notes)


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ({"fingerprints": "model=aa data=cc"}, "hold other images"),
        ({"fingerprints": "model=aa data=cc", "seed": 3}, "unless the data have a seed of their own"),
        ({"spec": "x=1;steps=56"}, r"measures something else in 'now' \(steps=56\).*renew the reference"),
        ({"version": 2}, r"version=2.*than in 'then' \(version=1"),
        ({"metric": "deletion"}, "share no metric"),
        ({"explainer": "gradcam"}, "share no explainer"),
        ({"data": "e"}, "share no data"),
    ],
)
def test_what_cannot_be_compared_is_refused(now, said):
    with pytest.raises(RunError, match=said):
        held(run(cell(THEN)), run(cell(THEN, **now)))


def test_a_run_without_scores_and_names_that_nobody_has_are_refused():
    empty = Run(run(cell(THEN)).scores.iloc[:0], pd.DataFrame(), {})
    with pytest.raises(RunError, match="'now' has no scores"):
        held(run(cell(THEN)), empty)
    with pytest.raises(RunError, match="'then' has no scores"):
        held(empty, run(cell(THEN)))
    with pytest.raises(UnknownNameError, match="model of the reference"):
        held(run(cell(THEN)), run(cell(THEN)), match={"n": "m"})
    with pytest.raises(InvalidValueError, match="not below the range"):
        held(run(cell(THEN)), run(cell(THEN)), Margins(margins={"insertion": 2.0}))


def test_several_seeds_are_refused():
    with pytest.raises(RunError, match="'now' has 2 seeds, but a check holds one run against one"):
        held(run(cell(THEN)), run(cell(THEN), cell(THEN, seed=1)))


def test_small_scores_are_scores():
    scores = RNG.uniform(1, 1.6, N) * 1e-13

    assert verdict_of(scores, 4 * scores, metric="infidelity").verdict == "regression"


def test_a_share_on_the_edge_of_what_may_be_undefined_is_within_it():
    then = np.full(100, 0.5)

    assert verdict_of(then, with_nan(then, *range(29)), Margins(undefined=0.29)).verdict == "undecided"


def test_what_is_red_for_lost_scores_says_so():
    then, now = run(cell(THEN)), run(cell(with_nan(THEN, 0) - np.array([0, 1.9, *([0] * (N - 2))])))
    found = held(then, now)

    assert found.verdicts[0].worse > 0.02
    assert "images lost their score" in found.sentence


def test_an_image_twice_is_refused():
    with pytest.raises(RunError, match="twice for image 's0'"):
        held(run(cell(THEN)), run(cell(THEN), cell(THEN)))


def test_from_python_with_a_file(tmp_path):
    then, now = xb.Results(run(cell(THEN))), xb.Results(run(cell(THEN - 0.1 + NOISE)))
    path = then.save_reference(tmp_path / "reference.json")
    (tmp_path / "margins.toml").write_text("[margins]\ninsertion = 0.2\n")

    assert xb.check(now, path).verdict == "regression"
    assert xb.check(now, str(path), {"insertion": 0.2}).verdict == "pass"
    assert xb.check(now, path, tmp_path / "margins.toml").verdict == "pass"
    assert xb.check(path, then).verdict == "pass"
    assert xb.check(now, path).verdicts == xb.check(now, then).verdicts


def test_a_reference_file_that_is_not_there(tmp_path):
    with pytest.raises(RunError, match=r"there is no reference file .*; `xai-bench reference update RUN"):
        xb.check(xb.Results(run(cell(THEN))), tmp_path / "reference.json")
