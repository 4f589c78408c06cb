from pathlib import Path

import numpy as np
import pytest
from published_folders import BOX, OBJECT, food101, pets, samples, text
from torchvision import datasets

from xai_bench.data import load_data
from xai_bench.errors import DataError, InvalidValueError


@pytest.mark.parametrize("split", ["trainval", "test"])
def test_pets_are_those_of_torchvision(tmp_path: Path, split: str):
    theirs = datasets.OxfordIIITPet(pets(tmp_path), split, target_types=["category", "segmentation"])
    data = load_data("pets", path=tmp_path, split=split, size=(6, 8))

    assert data.classes == tuple(theirs.classes) == ("Blue Cat", "Pug")
    assert len(data) == len(theirs) == 2
    for ours, (image, (label, trimap)) in zip(samples(data), theirs, strict=True):
        assert ours.label == label
        assert np.array_equal(ours.image.permute(1, 2, 0) * 255, np.asarray(image))
        assert np.array_equal(ours.region, np.asarray(trimap) == 1)
        assert np.array_equal(ours.ignore, np.asarray(trimap) == 3)


def test_the_trimap_s_border_counts_neither_way(tmp_path: Path):
    sample = load_data("pets", path=pets(tmp_path), size=(6, 8))[0]

    assert sample.id == "Blue_Cat_2"
    assert np.array_equal(sample.region, OBJECT)
    assert sample.ignore.nonzero().tolist() == [[0, 2], [0, 3], [0, 4]]


def test_a_pet_s_head_box_is_one_based_and_not_every_pet_has_one(tmp_path: Path):
    data = load_data("pets", path=pets(tmp_path), split="trainval", regions="boxes", size=(6, 8))
    batch = data.batch(0, 2)

    assert batch.ids == ("Blue_Cat_1", "pug_1")
    assert batch.boxes == ((), (BOX,))
    assert not batch.regions[0].any()
    assert np.array_equal(batch.regions[1], OBJECT)


def test_head_boxes_of_the_test_split_were_never_published(tmp_path: Path):
    with pytest.raises(InvalidValueError) as caught:
        load_data("pets", path=pets(tmp_path), regions="boxes")
    assert str(caught.value) == "boxes of pets exist for split 'trainval' alone, got split 'test'"


def test_a_pet_without_a_trimap_is_a_fault(tmp_path: Path):
    (pets(tmp_path) / "oxford-iiit-pet/annotations/trimaps/pug_2.png").unlink()

    assert load_data("pets", path=tmp_path).batch(0, 2).faults == ("", "cannot read pug_2.png: no such file")


@pytest.mark.parametrize(
    ("build", "name", "file"),
    [(pets, "pets", "oxford-iiit-pet/annotations/test.txt"), (food101, "food101", "food-101/meta/test.json")],
)
@pytest.mark.parametrize("broken", ["two words\n", "[]", None], ids=["words", "list", "gone"])
def test_a_broken_list_is_a_data_error(tmp_path: Path, build, name: str, file: str, broken: str | None):
    listed = build(tmp_path) / file
    listed.unlink() if broken is None else text(listed, broken)

    with pytest.raises(DataError, match=f"cannot read dataset {name}/test in '.*': [A-Za-z]+Error: "):
        load_data(name, path=tmp_path)


@pytest.mark.parametrize("split", ["train", "test"])
def test_food_is_that_of_torchvision(tmp_path: Path, split: str):
    theirs = datasets.Food101(food101(tmp_path), split)
    data = load_data("food101", path=tmp_path, split=split, size=(6, 8))
    number = 1 if split == "train" else 2

    assert data.classes == tuple(theirs.classes) == ("apple_pie", "waffles")
    assert data.ids(0, 9) == (f"apple_pie/{number}", f"waffles/{number}")
    # theirs in the order of the file, which begins with the waffles
    assert [sample.label for sample in samples(data)] == sorted(label for _, label in theirs) == [0, 1]
    assert data.knows == {"labels"}
