"""Runs of one suite under several seeds, as one."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from synthetic_store import info, unit

from xai_bench.errors import RunError
from xai_bench.results import load_results
from xai_bench.runs.joined import joined
from xai_bench.runs.run import CURVE_COLUMNS
from xai_bench.runs.store import Folder, Memory


def stored(where, seed, score=0.5, samples=(0, 1), **changed):
    """A run folder of `unit`, whose rows are of this seed."""
    made = unit(samples, score=score)
    made.rows = [(*row[:12], seed, *row[13:]) for row in made.rows]
    with Folder(where, info(seed=seed, **changed), "") as folder:
        folder.add(made)
        folder.run()
    return where


def in_memory(seed, score=0.5, samples=(0, 1), **changed):
    made = unit(samples, score=score)
    made.rows = [(*row[:12], seed, *row[13:]) for row in made.rows]
    memory = Memory(info(seed=seed, **changed))
    memory.add(made)
    return memory.run()


def test_rows_of_every_seed_stand_in_the_joined_run(tmp_path):
    folders = [stored(tmp_path / f"seed{seed}", seed, 0.5 + seed) for seed in (0, 1, 2)]
    results = load_results(folders)
    rows = results.scores[results.scores["metric"] == "deletion"]

    assert rows.groupby("seed")["score"].apply(list).to_dict() == {0: [0.5, 1.5], 1: [1.5, 2.5], 2: [2.5, 3.5]}
    assert isinstance(results.scores["model"].dtype, pd.CategoricalDtype)
    assert results.run.info["seed"] == [0, 1, 2]
    assert {facts["seed"] for facts in results.run.info["joined"].values()} == {0, 1, 2}


def test_statistics_see_the_seeds(tmp_path):
    folders = [stored(tmp_path / f"seed{seed}", seed, 0.5 + seed / 10) for seed in (0, 1, 2)]
    row = load_results(folders).summary().set_index("metric").loc["deletion"]

    assert (row["mean"], row["n"], row["seeds"]) == (pytest.approx(1.1), 2, 3)  # images 0.5 and 1.5, and 0.1 a seed
    assert (row["sd_images"], row["sd_seeds"]) == (pytest.approx(0.5**0.5), pytest.approx(0.1))


def test_one_run_is_itself(tmp_path):
    run = in_memory(0)

    assert joined([("a", run)]) is run
    assert load_results([stored(tmp_path / "a", 0)]).scores["seed"].unique().tolist() == [0]


def test_curves_are_means_over_seeds():
    curves = joined([("a", in_memory(0, 0.5)), ("b", in_memory(1, 0.7))]).points(["deletion"])

    assert list(curves.columns) == list(CURVE_COLUMNS)
    assert curves[["sample", "fraction"]].apply(tuple, axis=1).tolist() == [
        (sample, fraction) for sample in ("s0", "s1") for fraction in (0.0, 0.5, 1.0)
    ]
    np.testing.assert_allclose(curves["value"], [0.6] * 3 + [1.6] * 3)


def test_a_curve_with_other_points_is_a_straight_line_between_its_own():
    first, second = in_memory(0, 0.5, samples=(0,)), in_memory(1, 0.5, samples=(0,))
    points = second.curves[second.curves["fraction"] != 0.5].assign(value=lambda rows: 0.5 + rows["fraction"])
    second = dataclasses.replace(as_plain(second), curves=points)
    curves = joined([("a", first), ("b", second)]).points(["deletion"])

    np.testing.assert_allclose(curves["value"], [0.5, 0.75, 1.0])  # of 0.5 and 0.5, 1.0, 1.5


def as_plain(run):
    from xai_bench.runs.run import Run

    return Run(run.scores, run.curves, run.cards, run.explainers, run.info, run.gallery)


def test_records_of_sets_and_the_gallery_are_the_first_runs():
    first = in_memory(0)
    run = joined([("a", first), ("b", in_memory(1, 0.7))])

    found, expected = (one.points(["class_entropy"]).astype({"metric": "object"}) for one in (run, first))
    assert found.to_numpy().tolist() == expected.to_numpy().tolist()
    assert len(run.curves) == len(first.curves)
    assert run.gallery is first.gallery
    assert run.scores[run.scores["sample"] == "*"]["seed"].tolist() == [0, 1]


def test_other_weights_under_a_name_are_noted():
    other = in_memory(1, models={"m": {"fingerprint": "cc", "device": "cpu"}})
    other.scores["fingerprints"] = "model=cc data=bb"

    assert joined([("a", in_memory(0)), ("b", other)]).info["notes"] == [
        "Model m has other weights in the runs that were joined."
    ]


def changed(column, value):
    run = in_memory(1)
    return dataclasses.replace(as_plain(run), scores=run.scores.assign(**{column: value}))


REFUSED = {
    "seed": (in_memory(0), "runs 'a' and 'b' both have seed 0; runs are joined over different seeds"),
    "data": (changed("fingerprints", "model=aa data=cc"), "data 'd' is not the same in the runs (bb in 'a',"),
    "metric": (changed("version", 2), "metric 'class_entropy' is not the same in the runs (version=1"),
    "explainer": (changed("explainer_spec", "e(2)"), "explainer 'e' is not the same in the runs (e() in 'a', e(2)"),
    "model": (changed("model", "n"), "run 'a' has 'deletion' of 'e' on 'm', 'd', run 'b' has not (2 such)"),
    "empty": (dataclasses.replace(as_plain(in_memory(1)), scores=in_memory(1).scores[:0]), "run 'b' has no scores"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_joined_is_refused_in_one_sentence(case):
    other, sentence = REFUSED[case]

    with pytest.raises(RunError) as refusal:
        joined([("a", in_memory(0)), ("b", other)])

    assert sentence in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_no_run_is_refused():
    with pytest.raises(RunError, match="no run to join"):
        load_results([])
