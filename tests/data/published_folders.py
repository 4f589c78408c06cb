"""Small folders in the layouts that data sets are published in. Every picture is 6 x 8 (H x W), its object 2 x 3."""

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from xai_bench.data import Data, Sample
from xai_bench.types import Box

OBJECT = np.zeros((6, 8), dtype=bool)
OBJECT[1:3, 2:5] = True
BOX = Box(2, 1, 5, 3)  # holds OBJECT
CORNER = Box(0, 0, 1, 1)  # the first pixel alone


def samples(data: Data) -> list[Sample]:
    return [data[place] for place in range(len(data))]


def picture(file: Path, grey: int = 100) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6), (grey, grey, grey)).save(file, "PNG")  # whatever the suffix, to keep the values
    return file


def mask(file: Path, values: np.ndarray) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint8)).save(file)
    return file


def text(file: Path, *lines: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines) + "\n")
    return file


def xml(file: Path, *objects: tuple[str, tuple[float, float, float, float], int]) -> Path:
    """An annotation of (class, (xmin, ymin, xmax, ymax), difficult) in PASCAL VOC's format, each with a part."""
    part = "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>8</xmax><ymax>6</ymax></bndbox></part>"
    things = [
        f"<object><name>{name}</name><difficult>{difficult}</difficult>{part}<bndbox><xmin>{x0}</xmin>"
        f"<ymin>{y0}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
        for name, (x0, y0, x1, y1), difficult in objects
    ]
    return text(file, "<annotation><filename>x.jpg</filename>", *things, "</annotation>")


def cub(root: Path) -> Path:
    """Two classes; images 1 and 3 for testing, 2 and 4 for training. Four of five annotators agree on OBJECT."""
    folder = root / "CUB_200_2011"
    files = ["001.Auk/Auk_1.jpg", "001.Auk/Auk_2.jpg", "002.Jay/Jay_1.jpg", "002.Jay/Jay_2.jpg"]
    text(folder / "images.txt", *(f"{number} {file}" for number, file in enumerate(files, 1)))
    text(folder / "train_test_split.txt", "1 0", "2 1", "3 0", "4 1")
    text(folder / "image_class_labels.txt", "1 1", "2 1", "3 2", "4 2")
    text(folder / "classes.txt", "1 001.Auk", "2 002.Jay")
    text(folder / "bounding_boxes.txt", *(f"{number} 2.0 1.0 3.0 2.0" for number in range(1, 5)))
    for file in files:
        picture(folder / "images" / file)
        shares = np.where(OBJECT, 204, 102)
        shares[5] = 0
        mask(root / "segmentations" / file.replace(".jpg", ".png"), shares)
    return root


def pets(root: Path) -> Path:
    """A cat and a dog in each split; the trimap's border is the row above the object."""
    folder = root / "oxford-iiit-pet"
    trimap = np.where(OBJECT, 1, 2)
    trimap[0, 2:5] = 3
    for split, number in (("trainval", 1), ("test", 2)):
        text(folder / "annotations" / f"{split}.txt", f"Blue_Cat_{number} 1 1 1", f"pug_{number} 2 2 1")
        for name in (f"Blue_Cat_{number}", f"pug_{number}"):
            picture(folder / "images" / f"{name}.jpg")
            mask(folder / "annotations" / "trimaps" / f"{name}.png", trimap)
    xml(folder / "annotations" / "xmls" / "pug_1.xml", ("dog", (3, 2, 5, 3), 0))
    return root


def food101(root: Path) -> Path:
    """Two dishes, one image of each in each split."""
    folder = root / "food-101"
    for split, number in (("train", 1), ("test", 2)):
        listed = {dish: [f"{dish}/{number}"] for dish in ("waffles", "apple_pie")}
        text(folder / "meta" / f"{split}.json", json.dumps(listed))
        for dish in listed:
            picture(folder / "images" / dish / f"{number}.jpg")
    return root


def voc(root: Path, year: int = 2007, split: str = "test") -> Path:
    """Image 000001 has a bird and, twice, a difficult car; 000002 a car, one difficult and one not, without a mask."""
    folder = root / "VOCdevkit" / f"VOC{year}"
    text(folder / "ImageSets" / "Main" / f"{split}.txt", "000001", "000002")
    text(folder / "ImageSets" / "Segmentation" / f"{split}.txt", "000001")
    for name in ("000001", "000002"):
        picture(folder / "JPEGImages" / f"{name}.jpg")
    bird, corner = (3, 2, 5, 3), (1, 1, 1, 1)
    xml(folder / "Annotations" / "000001.xml", ("car", corner, 1), ("bird", bird, 0), ("car", bird, 1))
    xml(folder / "Annotations" / "000002.xml", ("car", corner, 1), ("car", bird, 0))
    drawn = np.where(OBJECT, 3, 0)  # bird is the third class
    drawn[0, 2:5], drawn[5, 7] = 255, 7  # car the seventh
    mask(folder / "SegmentationClass" / "000001.png", drawn)
    return root


def coco(root: Path, year: int = 2017, split: str = "val") -> Path:
    """Image 7 has two cats and a crowd of them that begins on the first; image 9 a crowd of cats and a tin opener."""
    names = {7: "000000000007.jpg", 9: "000000000009.jpg"}
    for name in names.values():
        picture(root / f"{split}{year}" / name)
    first = {"bbox": [2, 1, 3, 2], "segmentation": [[2, 1, 5, 1, 5, 3, 2, 3]], "iscrowd": 0}
    second = {"bbox": [0, 0, 1, 1], "segmentation": [[0, 0, 1, 0, 1, 1, 0, 1]], "iscrowd": 0}
    crowd = {"bbox": [4, 1, 2, 2], "segmentation": {"counts": [25, 2, 4, 2, 15], "size": [6, 8]}, "iscrowd": 1}
    where = [(7, 17, first), (7, 17, crowd), (7, 17, second), (9, 17, crowd), (9, 90, first)]
    index = {
        "images": [{"id": id_, "file_name": name, "height": 6, "width": 8} for id_, name in names.items()],
        "categories": [{"id": 90, "name": "tin opener"}, {"id": 17, "name": "cat"}],
        "annotations": [
            {"id": place, "image_id": image, "category_id": category, **thing}
            for place, (image, category, thing) in enumerate(where)
        ],
    }
    text(root / "annotations" / f"instances_{split}{year}.json", json.dumps(index))
    return root


def imagenet(root: Path, split: str = "val") -> Path:
    """Folders for the second and third of three classes; the first image of each has an annotation."""
    names = {"n01": ("tench", "Tinca tinca"), "n02": ("hen",), "n03": ("crane",)}
    torch.save((names, ["n02", "n02", "n03", "n03"]), root / "meta.bin")
    for number, wnid in enumerate(("n02", "n02", "n03", "n03"), 1):
        picture(root / split / wnid / f"ILSVRC2012_{split}_{number}.JPEG")
    xml(root / "Annotations" / split / f"ILSVRC2012_{split}_1.xml", ("n02", (2, 1, 4, 2), 0), ("n01", (0, 0, 0, 0), 0))
    xml(root / "Annotations" / split / f"ILSVRC2012_{split}_3.xml", ("n03", (2, 1, 4, 2), 0), ("n03", (0, 0, 0, 0), 0))
    return root


BUILDERS = {"cub": cub, "pets": pets, "food101": food101, "voc": voc, "coco": coco, "imagenet": imagenet}
