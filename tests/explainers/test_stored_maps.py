"""Maps in files: each format, each way to be wrong, and that a run goes on."""

import json
import re

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import save_file

import xai_bench as xb
from xai_bench.api import run_suite
from xai_bench.catalogue import describe, label
from xai_bench.errors import DataError, InvalidValueError, RunError, UnknownNameError
from xai_bench.explainers import EXPLAINERS, lacks
from xai_bench.explainers.given import StoredMaps
from xai_bench.oracles import Linear, as_model
from xai_bench.runs.suite import Suite
from xai_bench.seeding import Noise
from xai_bench.types import Batch

SIZE = (8, 12)
MODEL = as_model(Linear(torch.zeros(3, *SIZE)))
RAMP = np.linspace(-1, 1, 96, dtype=np.float32).reshape(SIZE)


def batch(*ids):
    return Batch(torch.zeros(len(ids), 3, *SIZE), ids)


def maps_of(explainer, *ids):
    images = torch.zeros(len(ids), 3, *SIZE)
    return explainer(MODEL, images, torch.zeros(len(ids), dtype=torch.long), Noise(0, "explain", ids))


def png(path, values):
    Image.fromarray(values).save(path)


class TestOneFileForEach:
    @pytest.fixture
    def folder(self, tmp_path):
        (tmp_path / "cat").mkdir()
        np.savez(tmp_path / "cat" / "tom.npz", map=RAMP)
        save_file({"map": -RAMP}, tmp_path / "cat" / "kit.jpg.safetensors")
        np.savez(tmp_path / "odd id, ümlaut: 100%.npz", RAMP.astype(">f8")[None])
        png(tmp_path / "eight.png", np.full(SIZE, 51, np.uint8))
        png(tmp_path / "sixteen.png", np.full(SIZE, 13107, np.uint16))
        png(tmp_path / "one.png", np.ones(SIZE, bool))
        return tmp_path

    @pytest.mark.parametrize(
        ("sample", "expected"),
        [
            ("cat/tom", RAMP),
            ("cat/tom.png", RAMP),  # the id's own suffix may be left out
            ("cat/kit.jpg", -RAMP),
            ("odd id, ümlaut: 100%", RAMP),
            ("eight", np.full(SIZE, 0.2)),
            ("sixteen", np.full(SIZE, 0.2)),
            ("one", np.ones(SIZE)),
        ],
    )
    def test_is_found_by_the_id_and_read_as_it_is(self, folder, sample, expected):
        explainer = StoredMaps(str(folder))

        assert lacks(explainer, batch(sample)) == ("",)
        torch.testing.assert_close(maps_of(explainer, sample)[0], torch.tensor(expected, dtype=torch.float32))

    def test_what_is_missing_is_nan_with_a_reason_and_the_others_stand(self, folder):
        explainer = StoredMaps(str(folder))
        maps = maps_of(explainer, "cat/tom", "dog/rex", "eight")

        assert lacks(explainer, batch("cat/tom", "dog/rex", "eight")) == ("", "no stored map", "")
        assert maps.isfinite().flatten(1).all(1).tolist() == [True, False, True]

    def test_an_id_cannot_leave_the_folder(self, folder):
        np.savez(folder.parent / "outside.npz", map=RAMP)

        assert lacks(StoredMaps(str(folder)), batch("../outside")) == ("no stored map",)

    def test_a_dot_of_an_id_is_no_suffix(self, folder):
        assert lacks(StoredMaps(str(folder)), batch("eight.1", "eight.JPG")) == ("no stored map", "")

    def test_two_ids_that_would_meet_one_file_are_refused(self, folder):
        explainer = StoredMaps(str(folder))
        sentence = r"^cat/tom.npz in '.*' would be the map of 'cat/tom.jpg' and of 'cat/tom.png'; .*as cat/tom.jpg.npz$"
        lacks(explainer, batch("cat/tom.jpg"))

        for ask in (lacks, lambda one, asked: maps_of(one, *asked.ids)):
            with pytest.raises(InvalidValueError, match=sentence):
                ask(explainer, batch("eight", "cat/tom.png"))  # in whatever batch
        assert lacks(explainer, batch("cat/tom.jpg")) == ("",)

    def test_a_file_and_an_array_of_one_id_are_refused(self, folder):
        np.savez(folder / "many.npz", eight=RAMP, other=RAMP)
        explainer = StoredMaps(str(folder))

        with pytest.raises(InvalidValueError, match=r"has several maps of 'eight': in eight.png and many.npz$"):
            maps_of(explainer, "eight")
        assert lacks(explainer, batch("other")) == ("",)

    def test_two_maps_of_one_id_are_refused(self, folder):
        png(folder / "cat" / "tom.png", np.zeros(SIZE, np.uint8))

        with pytest.raises(DataError, match=r"has two maps of 'cat/tom': tom.npz and tom.png"):
            StoredMaps(str(folder))

    def test_a_key_says_which_of_several_arrays(self, folder):
        np.savez(folder / "both.npz", gradcam=RAMP, ig=-RAMP)

        assert maps_of(StoredMaps(str(folder), key="ig"), "both")[0].tolist() == (-RAMP).tolist()
        assert lacks(StoredMaps(str(folder)), batch("both")) == (
            "stored map cannot be used: both.npz: it holds the arrays gradcam, ig; name one as key",
        )


def test_files_of_many_ids_have_an_array_for_each(tmp_path):
    np.savez(tmp_path / "first.npz", **{"cat/tom.png": RAMP, "b": RAMP * 2})
    save_file({"dog/rex.png": RAMP * 3}, tmp_path / "second.safetensors")
    both = maps_of(StoredMaps(str(tmp_path)), "dog/rex.png", "b", "cat/tom.png")
    one = maps_of(StoredMaps(str(tmp_path / "first.npz")), "b")

    assert (both[:, -1, -1].tolist(), one[:, -1, -1].tolist()) == ([3, 2, 1], [2])


def test_an_array_of_one_name_in_two_files_is_refused_where_it_is_asked_for(tmp_path):
    np.savez(tmp_path / "first.npz", a=RAMP, b=RAMP)
    np.savez(tmp_path / "second.npz", b=-RAMP, c=RAMP)
    explainer = StoredMaps(str(tmp_path))

    assert lacks(explainer, batch("a", "c")) == ("", "")
    with pytest.raises(InvalidValueError, match=r"has several maps of 'b': in first.npz and second.npz$"):
        lacks(explainer, batch("b"))


def test_a_file_of_many_may_have_the_name_of_one(tmp_path):
    np.savez(tmp_path / "b.npz", b=RAMP, c=-RAMP)
    maps = maps_of(StoredMaps(str(tmp_path)), "b", "c")

    assert maps[:, -1, -1].tolist() == [1, -1]


@pytest.mark.parametrize(
    "index",
    [
        {"data": 1, "ids": [1], "names": 3},
        {"data": "d", "ids": ["a"], "names": [["m", "e", "x"]]},
        {"data": "d", "ids": "a", "names": []},
        ["data", "ids", "names"],
    ],
)
def test_an_index_that_is_no_runs_is_any_entry_of_a_file(tmp_path, index):
    save_file({"a": RAMP}, tmp_path / "maps.safetensors", {"index": json.dumps(index)})

    assert maps_of(StoredMaps(str(tmp_path)), "a")[0, -1, -1] == 1


@pytest.mark.parametrize("factor", [0.5, 2])
def test_a_map_of_another_size_is_resized_bilinearly(tmp_path, factor):
    """A slope stays a slope, but at the border."""
    height, width = (int(side * factor) for side in SIZE)
    slope = np.tile((np.arange(width, dtype=np.float32) + 0.5) / width, (height, 1))
    np.savez(tmp_path / "a.npz", slope)
    expected = (torch.arange(12) + 0.5) / 12

    torch.testing.assert_close(maps_of(StoredMaps(str(tmp_path)), "a")[0, :, 2:-2], expected[2:-2].expand(8, -1))


def holed(values):
    values = values.copy()
    values[0, 0] = np.nan
    return values


WRONG = {
    "holes": (holed(RAMP), "its numbers are not all finite"),
    "large": (RAMP.astype(np.float64) * 1e60, "its numbers are not all finite"),
    "deep": (np.zeros((3, 8, 12)), r"a map is rows by columns, its shape is \(3, 8, 12\)"),
    "flat": (np.zeros(8), r"a map is rows by columns, its shape is \(8,\)"),
    "empty": (np.zeros((0, 8)), r"a map is rows by columns, its shape is \(0, 8\)"),
    "complex": (RAMP + 1j, "a map is real numbers, its are complex"),
    "words": (np.full(SIZE, "x"), "can't convert"),
    "objects": (np.full(SIZE, None), "Object arrays cannot be loaded"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_map_that_is_none_is_undefined_with_the_reason(tmp_path, name):
    values, reason = WRONG[name]
    np.savez(tmp_path / f"{name}.npz", map=values)
    explainer = StoredMaps(str(tmp_path))
    (found,) = lacks(explainer, batch(name))

    assert found.startswith(f"stored map cannot be used: {name}.npz: ")
    assert re.search(reason, found)
    assert maps_of(explainer, name).isnan().all()


@pytest.mark.parametrize("suffix", ["npz", "safetensors", "png"])
@pytest.mark.parametrize("cut", [0, 10, -10])
def test_a_damaged_file_is_undefined_with_the_reason(tmp_path, suffix, cut):
    path = tmp_path / f"a.{suffix}"
    {
        "npz": lambda: np.savez_compressed(path, map=RAMP),
        "safetensors": lambda: save_file({"map": RAMP}, path),
        "png": lambda: png(path, (RAMP * 100 + 100).astype(np.uint8)),
    }[suffix]()
    whole = path.read_bytes()
    path.write_bytes(whole[:cut] if cut != -10 else whole[: len(whole) // 2])
    explainer = StoredMaps(str(tmp_path))

    assert lacks(explainer, batch("a"))[0].startswith(f"stored map cannot be used: a.{suffix}: ")
    assert maps_of(explainer, "a").isnan().all()


def test_a_picture_in_colours_is_no_map(tmp_path):
    png(tmp_path / "a.png", np.zeros((*SIZE, 3), np.uint8))

    assert lacks(StoredMaps(str(tmp_path)), batch("a")) == (
        "stored map cannot be used: a.png: a map is a grey picture of 8 or 16 bits, this one is RGB",
    )


class TestPlace:
    def test_an_empty_folder_is_refused(self, tmp_path):
        (tmp_path / "note.txt").write_text("nothing here")

        with pytest.raises(DataError, match=r"no maps in '.*'; looked for .npz, .safetensors, .png"):
            EXPLAINERS.build(f"maps:{tmp_path}")

    def test_a_missing_folder_is_refused_with_the_nearest(self, tmp_path):
        (tmp_path / "theirs").mkdir()

        with pytest.raises(DataError, match=r"unknown place of maps '.*thiers': 'thiers'; did you mean 'theirs'\?"):
            StoredMaps(str(tmp_path / "thiers"))

    def test_without_a_path_it_explains_nothing_and_says_what_it_needs(self):
        assert "maps:FOLDER" in StoredMaps().unfit(MODEL)
        with pytest.raises(InvalidValueError, match=r"needs the folder that holds them: maps:FOLDER"):
            maps_of(StoredMaps(), "a")

    def test_contents_are_part_of_what_it_is_and_the_place_is_not(self, tmp_path):
        for name, factor in (("a/x", 1), ("b/x", 1), ("c/x", 2)):
            (tmp_path / name).mkdir(parents=True)
            np.savez(tmp_path / name / "s.npz", map=RAMP * factor)
        same, moved, other = (StoredMaps(str(tmp_path / name / "x")) for name in "abc")

        assert describe(same) == describe(moved) == f"maps(key=,label=x,contents={same.contents})"
        assert describe(other) != describe(same)
        assert label(same) == "maps(label=x)"
        assert label(StoredMaps(str(tmp_path / "a" / "x"), label="theirs")) == "maps(label=theirs)"
        assert len({same, StoredMaps(str(tmp_path / "a" / "x"))}) == 1


def tiny(name="tiny"):
    torch.manual_seed(0)
    return xb.load_model("timm:test_resnet", pretrained=False, num_classes=4, input_size=32, device="cpu", label=name)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Two explainers of one model on four images, every map kept."""
    out = tmp_path_factory.mktemp("made") / "run"
    data = {"name": "planted", "n": 4, "size": 32, "batch_size": 2}
    results = xb.evaluate([tiny()], ["gradcam", "random"], ["deletion"], data, out=out, maps=True, progress=False)
    return out, data, results


class TestOfARun:
    def test_the_maps_that_a_run_kept_score_as_they_did(self, run):
        out, data, before = run
        stored = {"name": "maps", "path": str(out), "key": "gradcam", "label": "kept"}
        after = xb.evaluate([tiny()], [stored], ["deletion"], data, progress=False)
        old = before.scores.query("explainer == 'gradcam'").set_index("sample").score

        assert after.scores.explainer.unique().tolist() == ["kept"]
        assert after.scores.set_index("sample").score.to_dict() == pytest.approx(old.to_dict(), nan_ok=True)
        assert old.notna().any()

    def test_which_of_its_maps_must_be_said(self, run):
        with pytest.raises(
            InvalidValueError, match=r"key of maps must say .* one of tiny/gradcam, tiny/random; got ''"
        ):
            StoredMaps(str(run[0]))
        assert StoredMaps(str(run[0]), key="tiny/random").contents

    def test_some_are_missing_and_the_run_goes_on(self, run, tmp_path):
        _, data, before = run
        ids = before.scores["sample"].unique()
        for number, sample in enumerate(ids[:3]):
            path = tmp_path / "maps" / f"{sample}.npz"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savez(path, map=np.random.default_rng(number).random((32, 32)))
        (tmp_path / "suite.toml").write_text(
            'models = [{name = "timm:test_resnet", pretrained = false, num_classes = 4, input_size = 32}]\n'
            f'explainers = ["maps:maps"]\nmetrics = ["deletion", "adcc"]\ndata = {json.dumps(data)}\n'.replace(
                '":', '" ='
            )
        )
        suite = Suite.read(tmp_path / "suite.toml")
        results = run_suite(suite)
        found = results.scores.query("metric == 'deletion'").set_index("sample")

        assert suite.explainers == (f"maps:{tmp_path / 'maps'}",)
        assert found.reason.to_dict() == dict.fromkeys(ids[:3], "") | {ids[3]: "no stored map"}
        assert found.score.notna().sum() == 3
        assert set(results.scores.query("metric == 'adcc'").reason) == {
            "metric 'adcc' explains altered images or other samples, of which 'maps(label=maps)' has no maps"
        }


def test_the_maps_of_a_suite_start_at_its_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MADE", "made")
    inside = {"name": "blurred", "explainer": "maps:a"}
    models = [{"name": "timm:test_resnet", "explainers": ["maps:b", {"name": "maps", "path": "c"}]}]
    table = {"models": models, "explainers": ["maps:$MADE/d", "gradcam", inside], "metrics": ["x"], "data": ["planted"]}
    suite = Suite.of(table, tmp_path)

    assert suite.explainers == (
        f"maps:{tmp_path}/made/d",
        "gradcam",
        {"name": "blurred", "explainer": f"maps:{tmp_path}/a"},
    )
    assert suite.models[0]["explainers"] == [f"maps:{tmp_path}/b", {"name": "maps", "path": f"{tmp_path}/c"}]


def test_changed_maps_are_not_taken_for_those_of_the_run(tmp_path):
    (tmp_path / "maps").mkdir()
    data = {"name": "planted", "n": 1, "size": 32}
    (sample,) = xb.load_data(**data).ids(0, 1)

    def go():
        return xb.evaluate(
            [tiny()], [f"maps:{tmp_path / 'maps'}"], ["deletion"], data, tmp_path / "run", progress=False
        )

    path = tmp_path / "maps" / f"{sample}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, RAMP)
    assert len(go().scores) == len(go().scores) == 1

    np.savez(path, -RAMP)
    with pytest.raises(RunError, match="was made with another 'maps"):
        go()


@pytest.mark.parametrize("name", ["smooth", "contrast", "class_group", "random_model"])
def test_what_asks_for_other_maps_cannot_hold_stored_ones(tmp_path, name):
    np.savez(tmp_path / "a.npz", RAMP)
    stored = StoredMaps(str(tmp_path), label="theirs")

    for inside in (stored, EXPLAINERS["absolute"](stored)):
        with pytest.raises(InvalidValueError, match=rf"^explainer {name} asks for .* holds stored maps, which know"):
            EXPLAINERS[name](inside)


def test_explain_takes_ids(tmp_path):
    np.savez(tmp_path / "mine.npz", map=np.ones((4, 4)))
    maps = xb.explain(f"maps:{tmp_path}", tiny(), torch.zeros(1, 3, 32, 32), [0], ids=["mine"])

    assert maps.shape == (1, 32, 32)
    assert (maps == 1).all()
    with pytest.raises(DataError, match=r"has no map of any image here: no stored map \(of 'yours'\)$"):
        xb.explain(f"maps:{tmp_path}", tiny(), torch.zeros(1, 3, 32, 32), [0], ids=["yours"])
    with pytest.raises(UnknownNameError, match="unknown explainer 'map:x'"):
        xb.explain("map:x", tiny(), torch.zeros(1, 3, 32, 32), [0])
