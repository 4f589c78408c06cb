from pathlib import Path

import numpy as np
import pytest
import timm.data
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from xai_bench.data.image import Preprocessing, read_mask, read_picture, size_of, to_images, to_rgb
from xai_bench.errors import DataError, InvalidValueError, UnknownNameError
from xai_bench.types import Box

GREY = np.array([[0, 51], [102, 255]], dtype=np.uint8)
SQUASH = Preprocessing((4, 8), interpolation="bilinear")


def rgb_of(path: Path) -> np.ndarray:
    return np.asarray(read_picture(path))


def stored(folder: Path, picture: Image.Image, suffix: str = ".png", **options) -> Path:
    file = folder / f"picture{suffix}"
    picture.save(file, **options)
    return file


def grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[..., None], 3, axis=-1)


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        (Image.fromarray(GREY), GREY),
        (Image.fromarray(GREY.astype(np.uint16) * 257), GREY),
        (Image.fromarray(GREY.astype(np.int32) * 257), GREY),
        (Image.fromarray(GREY > 60), np.where(GREY > 60, 255, 0)),
        (Image.fromarray(GREY).convert("P"), GREY),
        (Image.fromarray(np.stack([GREY, np.full_like(GREY, 255)], -1), "LA"), GREY),
        (Image.fromarray(np.stack([GREY, np.zeros_like(GREY)], -1), "LA"), np.full_like(GREY, 255)),
        (Image.new("RGBA", (2, 2), (0, 0, 0, 51)), np.full_like(GREY, 204)),  # 20 % black on white
    ],
    ids=["L", "I;16", "I", "1", "P", "LA opaque", "LA clear", "RGBA"],
)
@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated")
def test_every_mode_becomes_rgb(tmp_path: Path, picture: Image.Image, expected: np.ndarray):
    suffix = ".tif" if picture.mode == "I" else ".png"

    assert np.array_equal(rgb_of(stored(tmp_path, picture, suffix)), grey(expected))


def test_a_transparent_palette_colour_becomes_white(tmp_path: Path):
    picture = Image.new("P", (2, 1), 0)
    picture.putpalette([255, 0, 0, 0, 0, 255])
    picture.putpixel((1, 0), 1)

    found = rgb_of(stored(tmp_path, picture, transparency=0))
    assert found.tolist() == [[[255, 255, 255], [0, 0, 255]]]


def test_cmyk_becomes_rgb(tmp_path: Path):
    picture = Image.new("CMYK", (8, 8), (0, 255, 255, 0))  # magenta and yellow: red

    found = rgb_of(stored(tmp_path, picture, ".jpg", quality=100)).astype(int)
    assert np.abs(found - [255, 0, 0]).max() <= 3


def test_one_pixel_is_a_picture(tmp_path: Path):
    file = stored(tmp_path, Image.new("RGB", (1, 1), (255, 0, 51)))

    image = Preprocessing((5, 7)).geometry((1, 1)).picture(read_picture(file))
    assert torch.allclose(image, torch.tensor([1, 0, 0.2]).view(3, 1, 1).expand(3, 5, 7))


def test_exif_orientation_is_applied(tmp_path: Path):
    picture = Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3) * 40)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise to see it upright

    file = stored(tmp_path, picture, exif=exif)
    expected = grey(np.rot90(np.asarray(picture), -1))
    assert np.array_equal(rgb_of(file), expected)
    assert np.array_equal(read_mask(file), expected[..., 0])
    assert size_of(file) == (3, 2)


def test_grey_values_beyond_sixteen_bits_are_refused():
    with pytest.raises(DataError, match=r"grey values must be in \[0, 65535\], got \[0, 70000\]"):
        to_rgb(Image.fromarray(np.array([[0, 70000]], dtype=np.int32)))


def test_a_file_that_is_no_picture_says_so(tmp_path: Path):
    file = tmp_path / "words.png"
    file.write_text("no picture")

    with pytest.raises(DataError, match=r"^cannot read words.png: not a picture in a known format$"):
        read_picture(file)
    assert size_of(file) is None


@given(cut=st.integers(0, 400))
@settings(max_examples=40, deadline=None)
@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's own words about truncation
def test_a_truncated_file_is_a_data_error(tmp_path_factory, cut: int):
    file = tmp_path_factory.mktemp("cut") / "cut.png"
    noise = np.random.default_rng(0).integers(0, 255, (12, 12, 3), dtype=np.uint8)
    Image.fromarray(noise).save(file)  # noise does not compress: more than 432 bytes
    file.write_bytes(file.read_bytes()[:cut])

    with pytest.raises(DataError, match=r"^cannot read cut.png: "):
        read_picture(file)


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        (Image.fromarray(GREY), GREY),
        (Image.fromarray(GREY > 60), (GREY > 60).astype(int)),
        (Image.fromarray(grey(GREY)), GREY),
        (Image.new("RGBA", (2, 2), (0, 7, 0, 255)), np.full((2, 2), 7)),
    ],
    ids=["L", "1", "RGB", "RGBA"],
)
def test_masks_keep_their_values(tmp_path: Path, picture: Image.Image, expected: np.ndarray):
    assert np.array_equal(read_mask(stored(tmp_path, picture)), expected)


def test_a_palette_mask_gives_its_indices(tmp_path: Path):
    picture = Image.new("P", (2, 1), 3)
    picture.putpalette([0] * 768)

    assert read_mask(stored(tmp_path, picture)).tolist() == [[3, 3]]


@pytest.mark.parametrize("size", [(40, 60), (60, 40), (32, 32), (101, 33)])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("height", "width", "crop_pct"), [(32, 32, 0.875), (32, 32, 1.0), (24, 32, 0.9)])
def test_a_crop_is_timm_s(size, interpolation, height, width, crop_pct):
    pixels = np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    settings_ = {"input_size": (3, height, width), "interpolation": interpolation, "crop_pct": crop_pct}
    theirs = timm.data.create_transform(**settings_, mean=(0, 0, 0), std=(1, 1, 1), crop_mode="center")

    ours = Preprocessing((height, width), "crop", crop_pct, interpolation).geometry(size).picture(picture)
    assert torch.equal(ours, theirs(picture))


def test_a_squash_ignores_the_proportions():
    picture = Image.fromarray(np.repeat(np.uint8([[0, 255]]), 2, axis=0)).convert("RGB")

    image = SQUASH.geometry((2, 2)).picture(picture)
    assert image.shape == (3, 4, 8)
    assert torch.equal(image[:, :, 0], torch.zeros(3, 4))
    assert torch.equal(image[:, :, -1], torch.ones(3, 4))


@pytest.mark.parametrize("how", [Preprocessing((16, 16)), Preprocessing((16, 16), "crop", 0.8)])
@pytest.mark.parametrize("size", [(32, 64), (64, 32)])
def test_masks_and_boxes_go_where_the_picture_goes(how: Preprocessing, size: tuple[int, int]):
    box = Box(16, 8, 28, 24)
    mask = np.zeros(size, dtype=bool)
    mask[8:24, 16:28] = True
    geometry = how.geometry(size)
    picture = geometry.picture(Image.fromarray(np.where(mask, 255, 0).astype(np.uint8)).convert("RGB"))[0] > 0.5

    assert (geometry.filled([box]) ^ geometry.mask(mask)).float().mean() < 0.05
    assert (picture ^ geometry.mask(mask)).float().mean() < 0.05
    assert geometry.mask(mask).any()


def test_boxes_fill_the_pixels_whose_centres_they_hold():
    geometry = Preprocessing((4, 4)).geometry((8, 8))

    assert geometry.box(Box(2, 0, 9, 3, difficult=True)) == Box(1, 0, 4.5, 1.5, difficult=True)
    expected = torch.tensor([[0, 1, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0]], dtype=torch.bool)
    assert torch.equal(geometry.filled([Box(2, 0, 9, 2.9), Box(-5, 7, 1.5, 20)]), expected)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"mode": "sqash"}, "unknown preprocessing mode 'sqash'; did you mean 'squash'?"),
        ({"interpolation": "bicubc"}, "unknown interpolation 'bicubc'; did you mean 'bicubic'?"),
        ({"crop_pct": 1.2}, "crop_pct must be in (0, 1], got 1.2"),
        ({"size": (0, 3)}, "size must be at least 1 x 1, got 0 x 3"),
    ],
)
def test_preprocessing_refuses_what_it_does_not_know(values: dict, message: str):
    with pytest.raises((InvalidValueError, UnknownNameError)) as caught:
        Preprocessing(**{"size": (4, 4)} | values)

    assert str(caught.value) == message


RGB = np.random.default_rng(1).integers(0, 255, (2, 5, 4, 3), dtype=np.uint8)
EXPECTED = torch.from_numpy(RGB).permute(0, 3, 1, 2) / 255


@pytest.mark.parametrize(
    "given_",
    [
        EXPECTED,
        EXPECTED.double(),
        torch.from_numpy(RGB).permute(0, 3, 1, 2),
        RGB,
        RGB[:, ::-1][:, ::-1],  # negative strides
        RGB / 255,
        [Image.fromarray(one) for one in RGB],
        tuple(Image.fromarray(one) for one in RGB),
    ],
    ids=["torch", "torch64", "torch8", "numpy8", "numpy strided", "numpy64", "pictures", "tuple"],
)
def test_every_kind_of_images_is_the_same_batch(given_):
    images = to_images(given_)

    assert images.dtype == torch.float32
    assert torch.allclose(images, EXPECTED, atol=1e-7)


@pytest.mark.parametrize("given_", [EXPECTED[0], RGB[0], Image.fromarray(RGB[0])], ids=["torch", "numpy", "picture"])
def test_one_image_is_a_batch_of_one(given_):
    assert torch.allclose(to_images(given_), EXPECTED[:1], atol=1e-7)


def test_what_was_handed_in_is_not_changed():
    array = RGB.astype(np.float32) / 255
    to_images(array)[:] = 0

    assert array.max() > 0.9


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        (EXPECTED * 0 - 2, "images must be RGB in [0, 1] before normalisation, got values in [-2, -2]"),
        (EXPECTED * torch.nan, "images must be RGB in [0, 1] before normalisation, got values in [nan, nan]"),
        (EXPECTED.long(), "images must be uint8 or floating point, got int64"),
        (EXPECTED[:, :2], "images must be torch (B, 3, H, W), got shape (2, 2, 5, 4)"),
        (EXPECTED[:0], "images must be torch (B, 3, H, W), got shape (0, 3, 5, 4)"),
        (RGB.transpose(0, 3, 1, 2), "images must be numpy (B, H, W, 3), got shape (2, 3, 5, 4)"),
        (RGB[0, 0], "images must be numpy (B, H, W, 3), got shape (4, 3)"),
        (RGB.astype(np.uint16), "images must be uint8 or floating point, got uint16"),
        ("photo.jpg", "images must be a torch tensor, a numpy array or Pillow pictures, got str"),
        ([], "images must be a torch tensor, a numpy array or Pillow pictures, got a list of nothing"),
        ([RGB[0], 1], "images must be a torch tensor, a numpy array or Pillow pictures, got a list of int and ndarray"),
        (
            [Image.new("L", (2, 3)), Image.new("L", (4, 5))],
            "pictures of one batch must have one size, got 3 x 2 and 5 x 4 (H x W)",
        ),
    ],
)
def test_anything_else_is_refused_in_one_sentence(given_, message: str):
    with pytest.raises(InvalidValueError) as caught:
        to_images(given_)

    assert str(caught.value) == message
