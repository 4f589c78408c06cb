"""A unit that fails is tried again, then told, and costs nobody else anything."""

import pandas as pd
import pytest
import torch
from small_suite import DATA, METRICS, evaluate

import xai_bench as xb
from xai_bench import cli
from xai_bench.errors import IncompleteError, InvalidValueError
from xai_bench.explainers.cam import GradCAM
from xai_bench.seeding import Noise

SUITE = """
explainers = ["random", "python:test_failures:always"]
metrics = [{ name = "deletion", steps = 2 }, "top1"]
models = [{ name = "timm:test_resnet", pretrained = false, num_classes = 4, input_size = 32 }]
data = { name = "planted", n = 3, size = 32, batch_size = 2 }
"""


class Fails:
    """Fails at its first calls."""

    __name__ = "fails"

    def __init__(self, times):
        self.left, self.calls = times, 0

    def __call__(self, model, images, targets):
        self.calls += 1
        self.left -= 1
        if self.left >= 0:
            raise ZeroDivisionError("planted")
        return images.mean(1)


def always(model, images, targets):
    raise ZeroDivisionError("planted")


def test_what_fails_once_is_tried_again_alone():
    calls = []

    def counted(model, images, targets):
        calls.append(len(images))
        return images.amax(1)

    results = evaluate(explainers=[Fails(1), counted])

    assert results.scores[results.scores.metric == "deletion(steps=2)"].score.notna().all()
    assert calls == [4, 4, 2, 2]


def test_what_fails_always_is_told_and_the_rest_is_kept(tmp_path):
    broken = Fails(99)
    with pytest.raises(IncompleteError) as told:
        evaluate(tmp_path / "run", explainers=["random", broken])
    scores = told.value.results.scores

    assert broken.calls == 4 * 3
    assert set(scores.explainer) == {"none", "random"}
    assert len(scores) == 2 * (2 * 6 + 6 + 1)
    assert len(told.value.failures) == 4
    assert told.value.failures[0].startswith(
        "plain on planted/test, samples planted-test-0-0 to planted-test-0-3 (fails): ZeroDivisionError: planted ("
    )
    assert str(told.value).startswith(
        "4 of 4 units failed at every try (the rest is kept, and a second start tries only"
    )


def test_a_second_start_tries_only_what_is_missing(tmp_path, monkeypatch):
    with pytest.raises(IncompleteError):
        evaluate(tmp_path / "run", explainers=["gradcam", Fails(99)])
    monkeypatch.setattr(GradCAM, "__call__", lambda *_: pytest.fail("explained again"))
    again = evaluate(tmp_path / "run", explainers=["gradcam", Fails(0)])

    assert len(again.scores) == 2 * (2 * 2 * 6 + 6 + 1)
    assert not again.scores.duplicated(["data", "model", "explainer", "metric", "sample"]).any()


def test_a_metric_that_fails_leaves_the_others():
    def broken(case):
        raise KeyError("x")

    with pytest.raises(IncompleteError, match="KeyError: 'x'") as told:
        evaluate(explainers=["random"], metrics=[METRICS[0], broken])

    assert len(told.value.results.scores) == 2 * 6


def test_data_that_cannot_be_read_at_all_fail_alone(monkeypatch):
    sample = xb.load_data("planted").__class__.sample

    def broken(self, index):
        if index == 5:
            raise OSError("the disk is gone")
        return sample(self, index)

    monkeypatch.setattr("xai_bench.data.Planted.sample", broken)
    with pytest.raises(IncompleteError, match=r"planted-test-0-4 to planted-test-0-5 .*: OSError: the disk is") as told:
        evaluate(explainers=["random"])

    assert told.value.results.scores["sample"].nunique() == 4 + 1


def test_a_wrong_shape_fails_its_cells_without_another_try_and_the_rest_goes_on(tmp_path):
    calls = []

    def wrong(model, images, targets):
        calls.append(1)
        return images.mean(1) if len(calls) == 1 else images

    with pytest.raises(IncompleteError, match=r"^3 of 4 units failed .* must return a tensor of shape") as told:
        evaluate(tmp_path / "run", explainers=[wrong, "random"], metrics=METRICS[:1])

    assert len(calls) == 4
    assert dict(told.value.results.scores.explainer.value_counts()) == {"random": 12, "wrong": 4}


def test_where_nothing_was_scored_the_first_error_is_raised_itself():
    with pytest.raises(InvalidValueError, match="must return a tensor of shape"):
        evaluate(explainers=[lambda model, images, targets: images], metrics=METRICS[:1])


def test_an_error_in_writing_ends_the_run(monkeypatch):
    calls = []

    def full(self, unit):
        raise OSError("no space left")

    def counted(model, images, targets):
        calls.append(1)
        return images.mean(1)

    monkeypatch.setattr("xai_bench.runs.store.Memory.add", full)
    with pytest.raises(OSError, match="no space left"):
        evaluate(explainers=[counted], metrics=METRICS[:1], data=DATA | {"batch_size": 1, "n": 10})

    assert len(calls) < 2 * 10  # soon, not after the last unit


@pytest.mark.parametrize("largest", [1, 3])
def test_without_memory_fewer_images_are_explained_at_a_time_with_the_same_maps(largest):
    sizes = []

    def noisy(model, images, targets, noise: Noise):
        sizes.append(len(images))
        if len(images) > largest:
            raise torch.OutOfMemoryError("planted")
        return noise.uniform(*images.shape[2:])

    def plenty(model, images, targets, noise: Noise):
        return noise.uniform(*images.shape[2:])

    scores = [evaluate(explainers=[each], metrics=METRICS[:1]).scores.score for each in (noisy, plenty)]

    pd.testing.assert_series_equal(*scores)
    assert max(sizes) == 4
    assert sum(size for size in sizes if size <= largest) == 2 * 6


def test_the_command_prints_what_there_is_lists_what_failed_and_exits_with_one(tmp_path, monkeypatch, capsys):
    (tmp_path / "small.toml").write_text(SUITE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["xai-bench", "run", "small.toml", "--quiet"])
    monkeypatch.setattr("xai_bench.reports.write", lambda _run, out: out / "index.html")
    with pytest.raises(SystemExit) as end:
        cli.main()
    said = capsys.readouterr()

    assert end.value.code == 1
    assert "random" in said.out
    assert said.err.count("failed: timm:test_resnet on planted/test, samples planted-test-0-") == 2
    assert "error: 2 of 2 units failed at every try" in said.err
    assert "written: runs/small/report/index.html" in said.err
