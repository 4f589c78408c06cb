from pathlib import Path

import numpy as np
import pytest
import torch
from published_folders import BOX, OBJECT, cub, mask, text

from xai_bench.data import Preprocessing, load_data
from xai_bench.errors import DataError


def test_the_official_split_and_labels(tmp_path: Path):
    test, train = (load_data("cub", path=cub(tmp_path), split=split) for split in ("test", "train"))

    assert test.classes == ("001.Auk", "002.Jay")
    assert test.ids(0, 9) == ("001.Auk/Auk_1.jpg", "002.Jay/Jay_1.jpg")
    assert train.ids(0, 9) == ("001.Auk/Auk_2.jpg", "002.Jay/Jay_2.jpg")
    assert test.batch(0, 2).labels.tolist() == [0, 1]


def test_the_bird_is_where_more_than_half_of_the_annotators_painted(tmp_path: Path):
    """204 is four of five, 102 two of five; 127 would be just below a half, 128 just above."""
    cub(tmp_path)
    shares = np.zeros((6, 8))
    shares[0, 0], shares[0, 1] = 127, 128
    mask(tmp_path / "segmentations/002.Jay/Jay_1.png", shares)
    batch = load_data("cub", path=tmp_path, size=(6, 8)).batch(0, 2)

    assert torch.equal(batch.regions[0], torch.from_numpy(OBJECT))
    assert batch.regions[1].nonzero().tolist() == [[0, 1]]
    assert not batch.ignore.any()


def test_a_mask_goes_where_its_picture_goes(tmp_path: Path):
    cub(tmp_path)
    doubled = load_data("cub", path=tmp_path, size=(12, 16))[0].region
    cropped = load_data("cub", path=tmp_path, preprocessing=Preprocessing((6, 6), "crop"))[0].region

    assert np.array_equal(doubled, np.kron(OBJECT, np.ones((2, 2), dtype=bool)))
    assert np.array_equal(cropped, OBJECT[:, 1:7])


def test_boxes_are_x_y_width_and_height(tmp_path: Path):
    batch = load_data("cub", path=cub(tmp_path), regions="boxes", size=(6, 8)).batch(0, 2)

    assert batch.boxes == ((BOX,), (BOX,))
    assert np.array_equal(batch.regions[0], OBJECT)
    assert batch.ignore is None


def test_masks_may_lie_in_the_folder_of_the_set(tmp_path: Path):
    first = load_data("cub", path=cub(tmp_path)).fingerprint
    (tmp_path / "segmentations").rename(tmp_path / "CUB_200_2011/segmentations")

    assert load_data("cub", path=tmp_path).fingerprint == first


def test_without_masks_boxes_do(tmp_path: Path):
    (cub(tmp_path) / "segmentations").rename(tmp_path / "CUB_200_2011/segmentation")

    with pytest.raises(DataError, match=r"unknown folder in .*'segmentations'; did you mean 'segmentation'"):
        load_data("cub", path=tmp_path)
    assert len(load_data("cub", path=tmp_path, regions="boxes")) == 2


def test_an_image_without_a_mask_is_a_fault(tmp_path: Path):
    (cub(tmp_path) / "segmentations/001.Auk/Auk_1.png").unlink()

    assert load_data("cub", path=tmp_path).batch(0, 2).faults == ("cannot read Auk_1.png: no such file", "")


@pytest.mark.parametrize(
    ("file", "lines", "message"),
    [
        ("train_test_split.txt", ("1 0", "2 1", "4 1"), "train_test_split.txt says nothing of number 3"),
        ("image_class_labels.txt", ("1 1",), "image_class_labels.txt says nothing of number 3"),
        ("classes.txt", ("1 001.Auk",), "classes.txt says nothing of number 2"),
        ("bounding_boxes.txt", ("1 2 1 3 2",), "bounding_boxes.txt says nothing of number 3"),
        ("bounding_boxes.txt", ("1 2 1 3", "3 2 1 3 2"), "a box must be x, y, width and height, got '2 1 3'"),
        ("images.txt", ("1",), "cannot read images.txt: its lines must be a number and a value"),
    ],
)
def test_half_an_annotation_is_refused(tmp_path: Path, file: str, lines: tuple[str, ...], message: str):
    text(cub(tmp_path) / "CUB_200_2011" / file, *lines)

    with pytest.raises(DataError) as caught:
        load_data("cub", path=tmp_path, regions="boxes")
    assert str(caught.value).startswith(message)


def test_a_missing_list_is_named(tmp_path: Path):
    (cub(tmp_path) / "CUB_200_2011/classes.txt").unlink()

    with pytest.raises(DataError, match=r"no file '.*classes.txt'"):
        load_data("cub", path=tmp_path)
