import builtins
import json
from pathlib import Path

import numpy as np
import pytest
from published_folders import BOX, CORNER, OBJECT, coco, samples
from pycocotools.coco import COCO

from xai_bench.data import load_data
from xai_bench.errors import DataError, UnsupportedError

INDEX = "annotations/instances_val2017.json"
UNION = OBJECT.copy()
UNION[0, 0] = True
CROWD = np.zeros((6, 8), dtype=bool)  # 25 off, 2 on, 4 off, 2 on, by columns of 6: from (1, 4) and from (1, 5)
CROWD[1:3, 4:6] = True


def changed(root: Path, change) -> Path:
    """The folder after a change of its annotations."""
    index = json.loads((root / INDEX).read_text())
    change(index)
    (root / INDEX).write_text(json.dumps(index))
    return root


def test_a_sample_is_an_image_and_a_class_numbered_by_the_category_ids(tmp_path: Path):
    data = load_data("coco", path=coco(tmp_path), size=(6, 8))
    batch = data.batch(0, 9)

    assert data.classes == ("cat", "tin opener")
    assert batch.ids == ("000000000007:cat", "000000000009:tin opener")
    assert batch.labels.tolist() == [0, 1]


def test_crowds_count_neither_way_where_no_object_is(tmp_path: Path):
    batch = load_data("coco", path=coco(tmp_path), size=(6, 8)).batch(0, 9)

    assert np.array_equal(batch.regions[0], UNION)
    assert np.array_equal(batch.ignore[0], CROWD & ~UNION)
    assert np.array_equal(batch.regions[1], OBJECT)
    assert not batch.ignore[1].any()
    assert batch.boxes == ()


def test_a_crowd_alone_makes_no_sample(tmp_path: Path):
    for regions in ("mask", "boxes"):
        assert "000000000009:cat" not in load_data("coco", path=coco(tmp_path), regions=regions).ids(0, 9)


def test_boxes_are_those_of_the_objects_and_crowds_are_ignored(tmp_path: Path):
    batch = load_data("coco", path=coco(tmp_path), regions="boxes", size=(6, 8)).batch(0, 9)

    assert batch.boxes == ((BOX, CORNER), (BOX,))
    assert np.array_equal(batch.regions[0], UNION)
    assert np.array_equal(batch.ignore[0], CROWD & ~UNION)
    assert not batch.ignore[1].any()


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # of pycocotools
@pytest.mark.parametrize(("year", "split"), [(2017, "val"), (2014, "train")])
def test_masks_are_those_of_the_reference_library(tmp_path: Path, capsys, year: int, split: str):
    """Random polygons, convex or not, two of them to an object."""
    draw = np.random.default_rng(0)
    root = coco(tmp_path, year, split)
    file = root / f"annotations/instances_{split}{year}.json"
    index = json.loads(file.read_text())
    for thing in index["annotations"]:
        if not thing["iscrowd"]:
            points = draw.uniform(0, 6, (2, 10))
            thing["segmentation"] = points.round(2).tolist()
    file.write_text(json.dumps(index))
    theirs = COCO(file)

    for sample in samples(load_data("coco", path=root, year=year, split=split, size=(6, 8))):
        image, label = sample.id.split(":")
        ids = theirs.getAnnIds([int(image)], theirs.getCatIds([label]), iscrowd=False)
        expected = np.any([theirs.annToMask(thing) for thing in theirs.loadAnns(ids)], axis=0)
        assert 0 < expected.sum() < expected.size
        assert np.array_equal(sample.region, expected)


def test_images_are_those_of_torchvision(tmp_path: Path, capsys):
    from torchvision import datasets

    theirs = datasets.CocoDetection(coco(tmp_path) / "val2017", tmp_path / INDEX)
    data = load_data("coco", path=tmp_path, size=(6, 8))
    pairs = {
        f"{thing['image_id']:012d}:{theirs.coco.cats[thing['category_id']]['name']}"
        for _, things in theirs
        for thing in things
        if not thing["iscrowd"]
    }

    assert set(data.ids(0, 9)) == pairs
    assert np.array_equal(data[0].image.permute(1, 2, 0) * 255, np.asarray(theirs[0][0]))


def test_the_fingerprint_follows_an_outline(tmp_path: Path):
    first = load_data("coco", path=coco(tmp_path)).fingerprint

    def move(index):
        index["annotations"][0]["segmentation"][0][0] = 3

    assert load_data("coco", path=changed(tmp_path, move)).fingerprint != first


@pytest.mark.parametrize(
    "outline",
    [
        [],
        [[1, 1, 2, 2]],
        [[1, 1, 2, 2, 3, 3, 4]],
        [5.0],
        "lines",
        {"counts": [3, 4], "size": [6, 8]},
        {"counts": "abc", "size": [6, 8]},
        {"counts": ["a"], "size": [6, 8]},
    ],
    ids=["empty", "two points", "odd", "number", "text", "short runs", "packed runs", "words"],
)
def test_an_outline_that_is_none_is_a_fault(tmp_path: Path, outline):
    root = changed(coco(tmp_path), lambda index: index["annotations"][0].update(segmentation=outline))
    batch = load_data("coco", path=root).batch(0, 9)

    assert batch.faults == (
        "an outline must be polygons of at least 3 points, or run lengths that add up to the image",
        "",
    )


def test_a_picture_of_another_size_is_a_fault(tmp_path: Path):
    root = changed(coco(tmp_path), lambda index: index["images"][0].update(height=12))
    batch = load_data("coco", path=root).batch(0, 9)

    # the crowd's run lengths no longer add up either, so it is the image without one
    assert bool(batch.faults[0])
    root = changed(tmp_path, lambda index: index["images"][1].update(width=12))
    fault = load_data("coco", path=root).batch(0, 9).faults[1]
    assert fault == "mask of 000000000009:tin opener is 6 x 12 but its image 000000000009.jpg is 6 x 8 (H x W)"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda index: index.pop("images"), "cannot read instances_val2017.json: KeyError: 'images'"),
        (
            lambda index: index["images"].pop(),
            "annotations speak of image 9, which instances_val2017.json lacks",
        ),
        (lambda index: index["annotations"][0].pop("segmentation"), "cannot read instances_val2017.json: KeyError"),
        (
            lambda index: index["annotations"][0].update(category_id=5),
            "cannot read instances_val2017.json: KeyError: 5",
        ),
        (lambda index: index.update(annotations=3), "cannot read instances_val2017.json: TypeError"),
    ],
    ids=["images", "image", "outline", "category", "annotations"],
)
def test_half_an_annotation_is_refused(tmp_path: Path, change, message: str):
    with pytest.raises(DataError) as caught:
        load_data("coco", path=changed(coco(tmp_path), change))
    assert str(caught.value).startswith(message)


def test_what_is_no_json_and_what_is_not_there(tmp_path: Path):
    (coco(tmp_path) / INDEX).write_text("{")
    with pytest.raises(DataError, match=r"cannot read instances_val2017.json: JSONDecodeError"):
        load_data("coco", path=tmp_path)
    (tmp_path / INDEX).unlink()
    with pytest.raises(DataError, match=r"no file '.*instances_val2017.json'"):
        load_data("coco", path=tmp_path)
    with pytest.raises(DataError, match=r"unknown folder in .* 'train2017'"):
        load_data("coco", path=tmp_path, split="train")


def test_without_pycocotools_boxes_do(tmp_path: Path, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("pycocotools"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UnsupportedError) as caught:
        load_data("coco", path=coco(tmp_path))
    assert str(caught.value) == (
        "masks of coco need pycocotools: pip install 'xai-bench[coco]', or ask for regions='boxes'"
    )
    assert load_data("coco", path=tmp_path, regions="boxes")[0].region.any()
