"""The main job from end to end on two tiny models."""

import json
import math

import pandas as pd
import pytest
import torch
from small_suite import DATA, METRICS, evaluate, models

import xai_bench as xb
from xai_bench.errors import InvalidValueError, RunError, UnsupportedError
from xai_bench.runs.run import CURVE_COLUMNS, SCORE_COLUMNS


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "first"
    evaluate(out)
    return out


@pytest.fixture(scope="module")
def scores(folder):
    return xb.load_results(folder).scores


def test_one_row_per_model_explainer_metric_and_image(scores):
    cells = scores.groupby(["model", "explainer", "metric"]).size()

    assert list(scores.columns) == list(SCORE_COLUMNS)
    assert cells["plain", "gradcam", "deletion(steps=2)"] == 6
    assert cells["ersm", "none", "top1"] == 6
    assert cells["ersm", "none", "class_entropy(steps=2)"] == 1
    assert len(scores) == 2 * (3 * 2 * 6 + 6 + 1)
    assert not scores.duplicated(["data", "model", "explainer", "metric", "sample"]).any()


def test_rows_say_where_they_come_from(scores):
    row = scores[(scores.metric == "deletion(steps=2)") & (scores.explainer == "gradcam")].iloc[0]

    assert "removal=blur" in row.spec
    assert "target=predicted" in row.spec
    assert row.fingerprints.startswith("model=")
    assert " data=" in row.fingerprints
    assert (row.seed, row.precision, row.device, row.version) == (0, "fp32", "cpu", 1)
    assert row.explainer_spec == "gradcam(layers=,combine=mean,relu=True)"


def test_a_mixed_suite_says_why_the_plain_model_has_no_energy_map(scores):
    cell = scores[(scores.model == "plain") & (scores.explainer == "energy")]

    assert cell.score.isna().all()
    assert cell.reason.str.contains("has no energy mask").all()
    assert (
        scores[(scores.model == "ersm") & (scores.explainer == "energy") & (scores.metric == "deletion(steps=2)")]
        .score.notna()
        .all()
    )


def test_energy_of_plain_models_alone_is_refused():
    with pytest.raises(UnsupportedError, match="has no energy mask"):
        xb.evaluate(models()[:1], ["energy"], METRICS, DATA)


def test_a_run_in_memory_equals_the_one_in_a_folder(folder):
    stored, fresh = xb.load_results(folder), evaluate()

    pd.testing.assert_frame_equal(stored.scores, fresh.scores)
    pd.testing.assert_frame_equal(stored.curves, fresh.curves)


def test_the_run_equals_single_scores(scores):
    model = models()[0]
    batch = next(iter(xb.load_data(**DATA)))
    alone = xb.score({"name": "deletion", "steps": 2}, model, batch.images, explainer="random", ids=batch.ids)
    cell = scores[(scores.model == "plain") & (scores.explainer == "random") & (scores.metric == "deletion(steps=2)")]

    assert cell.set_index("sample").score[list(batch.ids)].tolist() == pytest.approx(
        [value for value, _ in alone.pairs()], abs=1e-6
    )


def test_batch_size_does_not_change_a_number(scores):
    other = evaluate(data=DATA | {"batch_size": 5}).scores
    numbers = scores.score.fillna(-1).tolist()

    assert other.score.fillna(-1).tolist() == pytest.approx(numbers, abs=1e-5)


def test_another_seed_changes_only_what_is_random(scores):
    other = evaluate(data=DATA | {"seed": 0}, seed=1).scores
    same = other.score.round(9).fillna(-1) == scores.score.round(9).fillna(-1)
    random = scores.explainer.isin(["random"]) & (scores.metric == "deletion(steps=2)")

    assert not same[random].all()
    assert same[(scores.metric == "top1")].all()


def test_parquet_is_readable_with_plain_pandas(folder, scores):
    files = sorted((folder / "scores").glob("*.parquet"))
    raw = pd.concat([pd.read_parquet(file) for file in files])

    assert len(raw) == len(scores)
    assert (raw["sample"] == "*").sum() == 2
    assert set(pd.read_parquet(folder / "curves").columns) == set(CURVE_COLUMNS)


def test_a_run_is_whole_and_knows_what_is_missing(folder, tmp_path):
    import shutil

    from xai_bench.runs.files import place
    from xai_bench.runs.verify import show, verify

    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    assert [str(problem) for problem in verify(place(copy))] == []
    for path in (copy / "scores").iterdir():
        path.unlink()
    found = show(place(copy))["cells"]

    assert (found["there"], found["missing"]) == (0, found["expected"])
    assert found["expected"] == 2 * (3 * 2 * 6 + 6 + 6)


def test_no_temporary_file_is_left(folder):
    assert not [path for path in folder.rglob("*") if path.name.startswith(".")]


def test_curves_end_where_the_scores_begin(folder):
    results = xb.load_results(folder)
    key = ["model", "explainer", "sample"]
    curve = results.curves[results.curves.metric == "deletion(steps=2)"]
    area = curve.groupby(key).value.apply(lambda v: (v.iloc[0] / 2 + v.iloc[1] + v.iloc[2] / 2) / 2)
    scored = results.scores[(results.scores.metric == "deletion(steps=2)") & results.scores.score.notna()]

    pd.testing.assert_series_equal(area.sort_index(), scored.set_index(key).score.sort_index(), check_names=False)


class Dead:
    """Fails if anything is computed."""

    def __init__(self, monkeypatch):
        monkeypatch.setattr("xai_bench.runs.work.Scene", self)

    def __call__(self, *args, **kwargs):
        raise AssertionError("something was computed again")


def test_a_second_start_computes_nothing(folder, scores, monkeypatch):
    Dead(monkeypatch)

    pd.testing.assert_frame_equal(evaluate(folder).scores, scores)


def test_a_run_that_lost_a_unit_computes_it_again(folder, scores, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    victim = next(path for path in sorted((copy / "scores").glob("*.parquet")) if path.stem != "set")
    victim.unlink()
    again = evaluate(copy)

    pd.testing.assert_frame_equal(again.scores, scores)


def test_a_metric_added_later_is_all_that_is_computed(folder, scores, tmp_path, monkeypatch):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    before = {path.name for path in (copy / "scores").glob("*")}
    results = evaluate(copy, metrics=[*METRICS, {"name": "insertion", "steps": 2}])
    new = [pd.read_parquet(path) for path in (copy / "scores").glob("*") if path.name not in before]

    assert set(pd.concat(new).metric) == {"insertion(steps=2)"}
    assert len(results.scores) == len(scores) + 2 * 3 * 6


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"seed": 1}, "was made with seed 0, not 1"),
        ({"target": "label"}, "was made with target 'predicted', not 'label'"),
        ({"data": DATA | {"n": 5}}, "was made with another 'planted/test'"),
    ],
)
def test_a_run_folder_of_another_suite_is_refused(folder, changed, sentence):
    with pytest.raises(RunError, match=sentence):
        evaluate(folder, **changed)


def test_a_run_folder_of_another_model_is_refused(folder, monkeypatch):
    other = models()
    with torch.no_grad():
        next(other[0].module.parameters()).add_(1)

    with pytest.raises(RunError, match="was made with another 'plain' \\(fingerprint"):
        xb.evaluate(other, ["random"], METRICS, DATA, folder, progress=False)


def test_a_folder_with_other_things_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")

    with pytest.raises(RunError, match="holds other things than a run"):
        evaluate(tmp_path)
    with pytest.raises(RunError, match=r"a run is kept in a folder, but '.*thesis.tex' is a file"):
        evaluate(tmp_path / "thesis.tex")


def test_another_schema_is_refused_with_what_to_do(folder, tmp_path):
    info = json.loads((folder / "run.json").read_text()) | {"schema": 99}
    (tmp_path / "run.json").write_text(json.dumps(info))

    with pytest.raises(
        RunError, match=r"has schema 99 .*, this version of xai_bench reads schema 3; run the suite again"
    ):
        xb.load_results(tmp_path)


@pytest.mark.parametrize(("room", "content"), [("scores", b"PAR1 not really"), ("gallery", b"no tensors")])
def test_a_damaged_file_is_named(folder, tmp_path, room, content):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    victim = next(path for path in (copy / room).iterdir() if path.stem != "set")
    victim.write_bytes(content)

    with pytest.raises(RunError, match=rf"{victim.name}' is damaged .*; remove the files called '{victim.stem}' in"):
        assert xb.load_results(copy).run.gallery


def test_summary_has_mean_interval_n_undefined_and_direction(folder):
    table = xb.load_results(folder).summary()
    row = table[(table.model == "ersm") & (table.explainer == "random") & (table.metric == "deletion(steps=2)")].iloc[0]

    assert row.low <= row["mean"] <= row.high
    assert (row.n, row.undefined, row.better) == (6, 0, "lower")
    assert table[(table.model == "plain") & (table.explainer == "energy")].undefined.tolist() == [6, 6]


def test_the_gallery_is_kept_with_maps_and_regions(folder):
    gallery = xb.load_results(folder).run.gallery

    assert len(gallery) == 6
    assert gallery[0].image.shape == (32, 32, 3)
    assert gallery[0].region.any()
    assert ("ersm", "energy") in gallery[0].maps
    assert ("plain", "energy") not in gallery[0].maps


def test_any_function_is_an_explainer_and_a_metric():
    def bright(model, images, targets):
        return images.mean(1)

    def peak(case):
        return case.maps.amax((1, 2))

    peak.better = "higher"
    scores = evaluate(explainers=[bright], metrics=[peak]).scores

    assert set(scores.explainer) == {"bright"}
    assert set(scores.metric) == {"peak"}
    assert scores.score.between(0, 1).all()


def test_metrics_that_look_at_altered_images_first_leave_targets_that_can_be_differentiated_at():
    metrics = [{"name": "accuracy", "steps": 2}, {"name": "deletion", "steps": 2}]

    assert evaluate(explainers=["gradcam", "ig"], metrics=metrics).scores.reason.isin(["", "map is constant"]).all()


def test_a_suite_needs_explainers_where_metrics_need_maps():
    with pytest.raises(InvalidValueError, match="the metrics need maps, but no explainer was given"):
        evaluate(explainers=[])


def test_two_models_of_one_name_are_refused():
    with pytest.raises(InvalidValueError, match="two entries in 'models' are called 'plain'"):
        xb.evaluate([models()[0], models()[0]], ["random"], METRICS, DATA)


def test_data_that_lack_what_a_metric_needs_are_refused_before_any_work(monkeypatch):
    Dead(monkeypatch)
    bare = xb.load_data(**DATA)
    monkeypatch.setattr(type(bare), "knows", frozenset({"labels"}))

    with pytest.raises(
        InvalidValueError,
        match="needs regions, but data 'planted/test' have none",
    ):
        xb.evaluate(models(), ["random"], METRICS, bare)


def test_models_may_have_explainers_and_data_metrics_of_their_own():
    small = {"pretrained": False, "num_classes": 4, "input_size": 32}
    plain = {"name": "timm:test_resnet", "label": "a", **small}
    tables = [plain, {"name": "ersm:test_resnet", "label": "b", "explainers": ["energy"], **small}]
    data = [DATA, DATA | {"split": "shifted", "label": "accuracy only", "metrics": ["top1"]}]
    scores = xb.evaluate(tables, ["random"], METRICS, data, device="cpu", progress=False).scores

    assert set(scores[scores.model == "a"].explainer) == {"none", "random"}
    assert set(scores[scores.model == "b"].explainer) == {"none", "random", "energy"}
    assert set(scores[scores.data == "accuracy only"].metric) == {"top1"}
    assert not math.isnan(scores[scores.data == "accuracy only"].score.mean())


def test_a_start_with_other_batches_computes_only_the_missing_samples(folder, scores, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    victim = next(path for path in sorted((copy / "scores").glob("*.parquet")) if path.stem != "set")
    for room in ("scores", "curves", "gallery"):
        for path in (copy / room).glob(f"{victim.stem}.*"):
            path.unlink()
    again = evaluate(copy, data=DATA | {"batch_size": 3})

    numbers = scores.score.fillna(-1).tolist()
    assert again.scores.score.fillna(-1).tolist() == pytest.approx(numbers, abs=1e-5)
    assert len(again.curves) == len(xb.load_results(folder).curves)


def test_a_function_with_another_body_is_another_explainer(tmp_path):
    def bright(model, images, targets):
        return images.mean(1)

    evaluate(tmp_path / "run", explainers=[bright], metrics=METRICS[:1])

    def bright(model, images, targets):
        return -images.mean(1)

    with pytest.raises(RunError, match="was made with another 'bright'"):
        evaluate(tmp_path / "run", explainers=[bright], metrics=METRICS[:1])


def test_random_weights_are_the_same_at_every_start(tmp_path):
    table = {"name": "timm:test_resnet", "pretrained": False, "num_classes": 4, "input_size": 32}
    runs = [xb.evaluate([table], ["random"], METRICS[:1], DATA, tmp_path / "run", progress=False) for _ in range(2)]

    pd.testing.assert_frame_equal(runs[0].scores, runs[1].scores)


def test_classes_that_the_model_lacks_are_refused_before_anything_is_written(tmp_path):
    table = {"name": "timm:test_resnet", "pretrained": False, "num_classes": 2, "input_size": 32}

    with pytest.raises(InvalidValueError, match="target 'label' needs a class for each label"):
        xb.evaluate([table], ["random"], METRICS[:1], DATA, tmp_path / "run", target="label", progress=False)
    assert not (tmp_path / "run").exists()


def test_original_pixels_of_cropped_images_are_refused():
    metric = {"name": "pointing_game", "at": "original"}
    cropped = DATA | {"preprocessing": xb.load_model(models()[0]).preprocessing.__class__((32, 32), mode="crop")}
    cropped.pop("size")

    with pytest.raises(InvalidValueError, match="looks at whole original images, but data 'planted/test' are cropped"):
        evaluate(metrics=[metric], data=cropped)


@pytest.mark.parametrize("info", ["[]", '{"schema": 3}'])
def test_a_run_json_without_its_tables_is_damaged(tmp_path, info):
    (tmp_path / "run.json").write_text(info)

    with pytest.raises(RunError, match="is damaged"):
        xb.load_results(tmp_path)


def test_a_run_at_a_url_is_the_same_run(folder, scores, tmp_path, monkeypatch):
    where = "memory://evaluate-test/run"
    first = evaluate(where)
    Dead(monkeypatch)
    again = evaluate(where)
    loaded = xb.load_results(where)

    for results in (first, again, loaded):
        pd.testing.assert_frame_equal(results.scores, scores)
    assert loaded.folder == where
    assert loaded.report(tmp_path / "report").is_file()


@pytest.mark.parametrize(
    "metric", [lambda case: case.maps.mean(), lambda case: case.maps.amax((1, 2))[:, None], lambda case: [0.0]]
)
def test_a_metric_of_the_callers_must_give_one_number_per_image(metric):
    metric.__name__ = "mine"
    model = xb.load_model(models()[0])

    with pytest.raises(InvalidValueError, match=r"metric 'mine' must return a tensor of shape \(2,\), one number per"):
        xb.score(metric, model, torch.rand(2, 3, 32, 32), explainer="random")


def test_an_explainer_that_writes_into_its_images_changes_nobody_elses_scores(scores):
    def vandal(model, images, targets):
        images.zero_()
        targets.zero_()
        return torch.rand_like(images[:, 0])

    mixed = evaluate(explainers=[vandal, "random"]).scores
    kept = scores[scores.explainer.isin(["random", "none"])].reset_index(drop=True)
    found = mixed[mixed.explainer.isin(["random", "none"])].reset_index(drop=True)

    assert found.score.fillna(-1).tolist() == pytest.approx(kept.score.fillna(-1).tolist(), abs=1e-6)


def test_a_model_with_the_same_weights_that_does_something_else_is_another_model():
    class Net(torch.nn.Module):
        def __init__(self, act):
            super().__init__()
            self.act, self.seen = act, []

        def forward(self, images):
            self.seen.append(len(images))
            return self.act(images.mean((2, 3)))

    fingerprints = [xb.load_model(Net(act)).fingerprint for act in (torch.relu, torch.tanh, torch.relu)]
    used = xb.load_model(Net(torch.relu))
    used(torch.rand(1, 3, 8, 8))

    assert fingerprints[0] == fingerprints[2] == used.fingerprint
    assert fingerprints[0] != fingerprints[1]
