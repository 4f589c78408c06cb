import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from xai_bench.data import load_data
from xai_bench.errors import DataError, InvalidValueError, UnknownNameError, XaiBenchError
from xai_bench.types import Box

MASK = np.zeros((6, 8), dtype=np.uint8)
MASK[1:3, 2:5] = 1


def picture(file: Path, size: tuple[int, int] = (8, 6), colour: str = "red") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(file)
    return file


def mask(file: Path, values: np.ndarray = MASK) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(file)
    return file


@pytest.fixture
def birds(tmp_path: Path) -> Path:
    for name in ("jay/a.png", "jay/b.jpg", "auk/c.png", "wren/deep/d.PNG"):
        picture(tmp_path / "birds" / name)
    return tmp_path / "birds"


def test_class_folders_are_labels_in_sorted_order(birds: Path):
    data = load_data("folder", path=birds, size=4)

    assert data.classes == ("auk", "jay", "wren")
    assert data.name == data.label == "folder/birds"
    assert len(data) == 4
    batch = data.batch(0, 9)
    assert batch.ids == data.ids(0, 4) == ("auk/c.png", "jay/a.png", "jay/b.jpg", "wren/deep/d.PNG")
    assert batch.labels.tolist() == [0, 1, 1, 2]
    assert batch.sizes == ((6, 8),) * 4
    assert batch.images.shape == (4, 3, 4, 4)
    assert (batch.regions, batch.ignore, batch.boxes) == (None, None, ())


def test_an_empty_class_folder_keeps_its_number(birds: Path):
    (birds / "dodo").mkdir()

    assert load_data("folder", path=birds).batch(0, 4).labels.tolist() == [0, 2, 2, 3]


def test_integer_folders_are_the_labels(tmp_path: Path):
    picture(tmp_path / "7" / "a.png")
    picture(tmp_path / "12" / "a.png")
    data = load_data("folder", path=str(tmp_path), size=4)

    assert sorted(data.batch(0, 2).labels.tolist()) == [7, 12]
    assert data.classes == tuple(map(str, range(13)))


def test_a_class_index_gives_the_labels(birds: Path):
    index = {"auk": 3, "jay": 1, "wren": 0, "owl": 9}
    data = load_data("folder", path=birds, class_index=index, size=4)

    assert data.batch(0, 4).labels.tolist() == [3, 1, 1, 0]
    assert data.classes == ("wren", "jay", "2", "auk")


def test_a_class_that_the_index_lacks_is_refused(birds: Path):
    with pytest.raises(UnknownNameError, match="unknown class folder 'wren'; did you mean 'wrenn'"):
        load_data("folder", path=birds, class_index={"auk": 3, "jay": 1, "wrenn": 0})


def test_a_flat_folder_has_no_labels(tmp_path: Path):
    picture(tmp_path / "a.png")
    data = load_data("folder", path=tmp_path, size=4)

    assert data.classes == ()
    assert data.batch(0, 1).labels is None


def test_masks_mirror_the_tree_and_what_has_none_is_empty(birds: Path):
    mask(birds.parent / "masks/jay/a.png")
    mask(birds.parent / "masks/jay/b.tif", MASK * 255)
    batch = load_data("folder", path=birds, masks=birds.parent / "masks", size=(6, 8)).batch(0, 4)

    assert torch.equal(batch.regions[1], torch.from_numpy(MASK > 0))
    assert torch.equal(batch.regions[2], torch.from_numpy(MASK > 0))
    assert not batch.regions[0].any()
    assert not batch.ignore.any()


def test_255_beside_1_is_ignored(birds: Path):
    border = MASK.copy()
    border[1:3, 5] = 255
    mask(birds.parent / "masks/jay/a.png", border)
    sample = load_data("folder", path=birds, masks=birds.parent / "masks", size=(6, 8))[1]

    assert torch.equal(sample.region, torch.from_numpy(MASK > 0))
    assert torch.equal(sample.ignore, torch.from_numpy(border == 255))


def test_a_mask_of_another_size_refuses_the_whole_set(birds: Path):
    mask(birds.parent / "masks/jay/a.png", MASK.T.copy())

    with pytest.raises(DataError) as caught:
        load_data("folder", path=birds, masks=birds.parent / "masks")
    assert str(caught.value) == "mask a.png is 8 x 6 but its image a.png is 6 x 8 (H x W)"


def test_masks_that_mirror_nothing_are_refused(birds: Path):
    mask(birds.parent / "masks/a.png")

    with pytest.raises(DataError, match=r"no mask in .* mirrors a picture in"):
        load_data("folder", path=birds, masks=birds.parent / "masks")


def test_two_masks_for_one_picture_are_refused(birds: Path):
    mask(birds.parent / "masks/jay/a.png")
    mask(birds.parent / "masks/jay/a.tif")

    with pytest.raises(DataError, match="has two masks for 'jay/a'"):
        load_data("folder", path=birds, masks=birds.parent / "masks")


CSV = "file,x0,y0,x1,y1\njay/a.png,2,1,5,3\nc.png,0,0,1,1\njay/a.png,0,0,1,1\n"
JSON = json.dumps({"jay/a.png": [[2, 1, 5, 3], [0, 0, 1, 1]], "c.png": [[0, 0, 1, 1]]})


@pytest.mark.parametrize(("name", "text"), [("boxes.csv", CSV), ("boxes.json", JSON)])
def test_boxes_are_read_and_filled_in(birds: Path, name: str, text: str):
    file = birds.parent / name
    file.write_text(text)
    batch = load_data("folder", path=birds, boxes=file, size=(6, 8)).batch(0, 4)
    expected = torch.from_numpy(MASK > 0)
    expected[0, 0] = True

    assert batch.boxes == ((Box(0, 0, 1, 1),), (Box(2, 1, 5, 3), Box(0, 0, 1, 1)), (), ())
    assert torch.equal(batch.regions[1], expected)
    assert not batch.regions[3].any()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("b.csv", "file,x0,y0,x1,y1\njay/a.png,5,1,2,3\n", "must have x0 < x1 and y0 < y1, got [5.0, 1.0, 2.0, 3.0]"),
        ("b.csv", "file,x0,y0,x1,y1\njay/a.png,nan,1,2,3\n", "must have x0 < x1"),
        ("b.csv", "file,x0,y0,x1\njay/a.png,1,1,2\n", "cannot read boxes b.csv: KeyError: 'y1'"),
        ("b.json", '{"jay/a.png": [1, 2, 3, 4]}', "cannot read boxes b.json: TypeError"),
        ("b.json", "{", "cannot read boxes b.json: JSONDecodeError"),
        ("b.xml", "", "boxes must be a .csv or .json file, got 'b.xml'"),
        ("b.json", '{"jay/aa.png": [[1, 2, 3, 4]]}', "unknown picture 'jay/aa.png'; did you mean 'jay/a.png'"),
        ("b.json", "{}", "no box in b.json fits"),
    ],
)
def test_bad_boxes_are_refused(birds: Path, name: str, text: str, message: str):
    file = birds.parent / name
    file.write_text(text)

    with pytest.raises(DataError) as caught:
        load_data("folder", path=birds, boxes=file)
    assert message in str(caught.value)


def test_a_corrupt_picture_is_a_fault_and_the_others_go_on(birds: Path):
    (birds / "jay/a.png").write_bytes((birds / "jay/a.png").read_bytes()[:40])
    mask(birds.parent / "masks/jay/b.png", MASK)
    batch = load_data("folder", path=birds, masks=birds.parent / "masks", size=(6, 8)).batch(0, 4)

    assert [bool(fault) for fault in batch.faults] == [False, True, False, False]
    assert batch.faults[1].startswith("cannot read a.png: ")
    assert batch.images[1].amax() == 0
    assert batch.labels.tolist() == [0, 1, 1, 2]
    assert batch.images[2, 0].amin() > 0.9


def test_a_corrupt_mask_is_a_fault(birds: Path):
    mask(birds.parent / "masks/jay/b.png")
    (birds.parent / "masks/jay/a.png").write_text("no mask")
    batch = load_data("folder", path=birds, masks=birds.parent / "masks").batch(0, 4)

    assert batch.faults == ("", "cannot read a.png: not a picture in a known format", "", "")


def test_a_choice_of_n_depends_on_the_seed_alone_and_grows(birds: Path):
    chosen = [load_data("folder", path=birds, n=n, seed=5, size=4).batch(0, 9).ids for n in (1, 2, 3, 4)]
    seeds = {load_data("folder", path=birds, n=1, seed=seed, size=4).batch(0, 9).ids for seed in range(30)}

    assert all(set(few) < set(more) for few, more in pairwise(chosen))
    assert all(tuple(sorted(ids)) == ids for ids in chosen)
    assert len(seeds) == 4


def test_the_fingerprint_follows_files_and_options_but_not_the_place(birds: Path):
    def fingerprint(**options) -> str:
        return load_data("folder", path=birds, **options).fingerprint

    first = fingerprint()
    boxes = birds.parent / "boxes.json"
    boxes.write_text(JSON)
    prints = [
        fingerprint(size=8),
        fingerprint(n=2),
        fingerprint(boxes=boxes),
        fingerprint(class_index={"auk": 5, "jay": 1, "wren": 2}),
    ]
    mask(birds.parent / "masks/jay/b.png")
    prints.append(fingerprint(masks=birds.parent / "masks"))
    moved = birds.rename(birds.parent / "moved")

    assert len({first, *prints}) == 6
    assert load_data("folder", path=moved, batch_size=1).fingerprint == first
    picture(moved / "jay/a.png", (9, 9), "blue")
    assert load_data("folder", path=moved).fingerprint != first


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": "brids"}, "unknown folder in '{root}': 'brids'; did you mean 'birds'?"),
        ({"path": "no/such"}, "no folder '{root}/no/such'"),
        ({"path": "birds/jay/a.png"}, "no folder '{root}/birds/jay/a.png': it is a file"),
        ({"path": "empty"}, "no pictures in folder '{root}/empty'; looked for .bmp"),
        ({"path": "birds", "masks": "mask"}, "unknown folder in '{root}': 'mask'"),
        ({"path": "birds", "n": 5}, "n of dataset folder must be at most 4, got 5"),
        ({"path": "birds", "split": "train"}, "unknown split of folder 'train'; known: test"),
    ],
)
def test_refusals(birds: Path, options: dict, message: str):
    (birds.parent / "empty").mkdir()
    paths = {key: birds.parent / value for key, value in options.items() if key in ("path", "masks")}

    with pytest.raises(XaiBenchError) as caught:
        load_data("folder", **options | paths)
    assert str(caught.value).startswith(message.format(root=birds.parent))


def test_a_folder_needs_a_path():
    with pytest.raises(InvalidValueError, match="dataset folder needs a path, got none"):
        load_data("folder")


def test_pictures_beside_class_folders_are_refused(birds: Path):
    picture(birds / "stray.png")

    with pytest.raises(DataError, match=r"has pictures beside class folders, such as 'stray.png'"):
        load_data("folder", path=birds)


def test_hidden_files_are_no_pictures(birds: Path):
    (birds / "jay/._a.png").write_text("left by another system")
    picture(birds / ".thumbnails/a.png")

    data = load_data("folder", path=birds)
    assert len(data) == 4
    assert data.classes == ("auk", "jay", "wren")
