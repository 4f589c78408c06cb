"""`xai-bench compare` and `xai-bench report` of several runs, as a person types them."""

import json

import pytest
from synthetic_store import info, unit

from xai_bench.runs.store import Folder

IMAGES = tuple(range(12))


def put(where, score=0.5, seed=0, model="m", images="bb"):
    """A run folder whose deletion scores are `score` + the number of the image, in tenths."""
    made = unit(IMAGES, model=model)
    stamp = (seed, "fp32", "cpu", f"model=aa data={images}", "e()")
    made.rows = [(*row[:8], score + number / 10, *row[9:12], *stamp) for number, row in enumerate(made.rows)]
    data = {"d": {"fingerprint": images, "n": len(IMAGES)}}
    with Folder(where, info(models=(model,), seed=seed, data=data), "") as folder:
        folder.add(made)
        folder.run()


@pytest.fixture
def runs(tmp_path):
    put(tmp_path / "old", 0.5)
    put(tmp_path / "new", 0.4, model="later")


def test_two_runs_are_compared_in_the_terminal(call, runs, tmp_path):
    code, out, err = call("compare", "old", "new")

    assert code == 0, err
    assert "later (was m)" in out
    assert "On d, new beats old on deletion for e of later (m in the reference): -0.100" in out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "old"]


def test_what_is_written_lies_in_out(call, runs, tmp_path):
    code, _, err = call("compare", "old", "new", "--out", "diff")

    assert (code, err.strip()) == (0, "written: diff/index.html")
    assert {path.name for path in (tmp_path / "diff").iterdir()} == {"tables", "figures", "index.html", "comparison.md"}


def test_machines_read_json(call, runs):
    found = json.loads(call("compare", "old", "new", "--metric", "deletion", "--match", "m=later", "--json")[1])

    assert found["reference"] == "old"
    (row,) = found["differences"]
    assert (row["difference"], row["verdict"]) == (pytest.approx(-0.1), "better")


BAD = [
    (["compare", "old"], "a comparison needs two runs or more, got 1"),
    (["compare", "old", "old/"], "is given twice; name two different runs"),
    (["compare", "old", "nowhere"], "'nowhere' is not a run folder: it has no run.json"),
    (["compare", "old", "new", "--match", "m"], "--match takes OLD=NEW, two models, got 'm'"),
    (
        ["compare", "old", "new", "--match", "m=latr"],
        "unknown model of the compared runs 'latr'; did you mean 'later'?",
    ),
    (["compare", "old", "new", "--match", "m=a", "--match", "m=b"], "--match names 'm' twice, as 'a' and 'b'"),
    (
        ["compare", "old", "new", "--metric", "deltion"],
        "unknown metric of run 'old' 'deltion'; did you mean 'deletion'?",
    ),
    (["compare", "old", "other"], "data 'd' hold other images in 'other' than in 'old'"),
    (["report", "old", "new"], "a report of 2 runs has no folder of its own; give --out"),
    (["report", "old", "new", "--out", "x"], "runs 'old' and 'new' both have seed 0"),
]


@pytest.mark.parametrize(("words", "sentence"), BAD, ids=[" ".join(words) for words, _ in BAD])
def test_bad_input_is_one_sentence_and_leaves_nothing(call, runs, tmp_path, words, sentence):
    if "other" in words:
        put(tmp_path / "other", images="cc")
    before = sorted(path.name for path in tmp_path.iterdir())
    code, out, err = call(*words, *(["--out", "x"] if "--out" not in words and words[0] == "compare" else []))

    assert (code, out) == (2, "")
    assert sentence in err
    assert len(err.strip().splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_runs_of_several_seeds_are_reported_as_one(call, tmp_path):
    for seed in (0, 1, 2):
        put(tmp_path / f"seed{seed}", 0.5 + seed / 100, seed)
    code, out, err = call("report", "seed0", "seed1", "seed2", "--out", "together")

    assert code == 0, err
    assert "deletion" in out
    assert (tmp_path / "together/index.html").exists()
