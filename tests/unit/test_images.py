from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pie_framework import images
from pie_framework.errors import InputError
from pie_framework.images import read_photo, to_picture, to_tensor


@pytest.fixture
def photo() -> Image.Image:
    y, x = np.mgrid[0:48, 0:64]
    return Image.fromarray(np.stack([x * 4, y * 5, 255 - x * 2], axis=2).astype(np.uint8))


def close(a: Image.Image, b: Image.Image, tolerance: float = 3.0) -> bool:
    return float(np.abs(np.asarray(a, float) - np.asarray(b, float)).mean()) < tolerance


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.webp", "a.gif", "a.jpg"])
def test_formats(tmp_path: Path, photo: Image.Image, name: str) -> None:
    photo.save(tmp_path / name)
    picture = read_photo(tmp_path / name)
    assert picture.mode == "RGB"
    assert picture.size == photo.size
    assert close(picture, photo, 12.0)


def test_exif_orientation(tmp_path: Path, photo: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it rotated by 270 degrees
    photo.save(tmp_path / "a.png", exif=exif)
    assert close(read_photo(tmp_path / "a.png"), photo.transpose(Image.Transpose.ROTATE_270), 1.0)


def test_grey_palette_cmyk_and_16_bit(tmp_path: Path, photo: Image.Image) -> None:
    grey = photo.convert("L")
    grey.save(tmp_path / "grey.png")
    assert close(read_photo(tmp_path / "grey.png"), grey.convert("RGB"), 0.1)
    photo.convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "palette.png")
    assert close(read_photo(tmp_path / "palette.png"), photo, 12.0)
    photo.convert("CMYK").save(tmp_path / "cmyk.tif")
    assert close(read_photo(tmp_path / "cmyk.tif"), photo, 8.0)
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    deep.save(tmp_path / "deep.png")
    assert close(read_photo(tmp_path / "deep.png"), grey.convert("RGB"), 1.0)


def test_transparency_is_laid_over_white(tmp_path: Path, photo: Image.Image) -> None:
    clear = photo.copy()
    clear.putalpha(Image.new("L", photo.size, 0))
    clear.save(tmp_path / "clear.png")
    assert np.asarray(read_photo(tmp_path / "clear.png")).min() == 255


def test_huge_pictures_are_bounded(
    tmp_path: Path, photo: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "MAX_SIDE", 32)
    photo.save(tmp_path / "large.png")
    assert max(read_photo(tmp_path / "large.png").size) == 32
    monkeypatch.setattr(images, "MAX_PIXELS", 1000)
    with pytest.raises(InputError, match="64 x 48"):
        read_photo(tmp_path / "large.png")


def test_a_declared_size_that_is_not_there_is_refused(tmp_path: Path) -> None:
    header = b"P6 60000 60000 255\n"
    (tmp_path / "bomb.ppm").write_bytes(header + b"\0" * 100)
    with pytest.raises(InputError, match="pixels"):
        read_photo(tmp_path / "bomb.ppm")


def test_unusable_files_say_what_is_wrong(tmp_path: Path, photo: Image.Image) -> None:
    with pytest.raises(InputError, match="no file"):
        read_photo(tmp_path / "missing.jpg")
    with pytest.raises(InputError, match="not a file"):
        read_photo(tmp_path)
    (tmp_path / "text.jpg").write_text("hello")
    with pytest.raises(InputError, match="not a picture"):
        read_photo(tmp_path / "text.jpg")
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    with pytest.raises(InputError, match="1 x 1"):
        read_photo(tmp_path / "dot.png")


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "gif", "bmp"])
def test_truncation_at_every_tenth_gives_a_picture_or_one_clear_error(
    tmp_path: Path, photo: Image.Image, suffix: str
) -> None:
    whole = tmp_path / f"whole.{suffix}"
    photo.resize((128, 96)).save(whole)
    data = whole.read_bytes()
    failures = 0
    for tenth in range(10):
        cut = tmp_path / f"cut.{suffix}"
        cut.write_bytes(data[: len(data) * tenth // 10])
        try:
            read_photo(cut)
        except InputError:
            failures += 1
    assert failures >= 8


def test_tensor_round_trip(photo: Image.Image) -> None:
    image = to_tensor(photo, dtype=torch.float64)
    assert image.shape == (3, 48, 64)
    assert image.dtype == torch.float64
    assert image.min() >= -1
    assert image.max() <= 1
    assert np.array_equal(np.asarray(to_picture(image)), np.asarray(photo))
