from pathlib import Path

import numpy as np
import pytest
from published_folders import BOX, CORNER, OBJECT, imagenet, picture, samples, text
from torchvision import datasets

from xai_bench.data import load_data
from xai_bench.errors import DataError


@pytest.mark.parametrize("split", ["val", "train"])
def test_labels_count_every_class_of_the_devkit(tmp_path: Path, split: str):
    """Torchvision numbers the folders there are; with all of them there the labels are the same."""
    root = imagenet(tmp_path, split)
    part = load_data("imagenet", path=root, split=split)
    picture(root / split / "n01/first.JPEG")
    whole, theirs = load_data("imagenet", path=root, split=split), datasets.ImageNet(root, split)

    assert part.classes == ("tench, Tinca tinca", "hen", "crane")
    assert [sample.label for sample in samples(part)] == [1, 1, 2, 2]
    assert {sample.id: sample.label for sample in samples(whole)} == {
        Path(file).stem: label for file, label in theirs.imgs
    }
    assert part.knows == {"labels"}


def test_boxes_are_those_of_the_class_and_zero_based(tmp_path: Path):
    data = load_data("imagenet", path=imagenet(tmp_path), boxes=tmp_path / "Annotations", size=(6, 8))
    batch = data.batch(0, 9)
    union = OBJECT.copy()
    union[0, 0] = True

    assert batch.boxes == ((BOX,), (), (BOX, CORNER), ())
    assert np.array_equal(batch.regions[0], OBJECT)
    assert np.array_equal(batch.regions[2], union)
    assert not batch.regions[1].any()


def test_the_fingerprint_follows_the_boxes(tmp_path: Path):
    root = imagenet(tmp_path)
    prints = [load_data("imagenet", path=root, boxes=boxes).fingerprint for boxes in (None, root / "Annotations")]
    (root / "Annotations/val/ILSVRC2012_val_1.xml").unlink()
    prints.append(load_data("imagenet", path=root, boxes=root / "Annotations").fingerprint)

    assert len(set(prints)) == 3


def test_only_the_chosen_images_annotations_are_read(tmp_path: Path):
    """One of the annotations is broken; a choice without its image does not see it."""
    root = imagenet(tmp_path)
    text(root / "Annotations/val/ILSVRC2012_val_1.xml", "broken")
    chosen = next(
        data
        for seed in range(20)
        if "ILSVRC2012_val_1" not in (data := load_data("imagenet", path=root, n=2, seed=seed)).ids(0, 2)
    )

    assert len(load_data("imagenet", path=root, n=2, seed=chosen.seed, boxes=root / "Annotations")) == 2
    with pytest.raises(DataError, match=r"cannot read ILSVRC2012_val_1.xml: syntax error"):
        load_data("imagenet", path=root, boxes=root / "Annotations")


def test_a_folder_without_annotations_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"no annotations NAME.xml in folder '.*val'"):
        load_data("imagenet", path=imagenet(tmp_path), boxes=tmp_path / "val")
    with pytest.raises(DataError, match=r"unknown folder in .* 'Annotation'; did you mean 'Annotations'"):
        load_data("imagenet", path=tmp_path, boxes=tmp_path / "Annotation")


def test_images_that_are_not_in_class_folders_are_refused(tmp_path: Path):
    """As the archive holds them; torchvision unpacks it into class folders."""
    root = imagenet(tmp_path)
    (root / "val").rename(root / "there")
    picture(root / "val/ILSVRC2012_val_1.JPEG")

    with pytest.raises(DataError, match="FileNotFoundError: Couldn't find any class folder in"):
        load_data("imagenet", path=root)
