from __future__ import annotations

import contextlib
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pie_framework.errors import InputError
from pie_framework.images import photo as images
from pie_framework.images.photo import read_photo, to_picture, to_tensor


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


def test_a_small_png_that_declares_a_huge_picture_is_refused_before_decoding(tmp_path: Path) -> None:
    """A decompression bomb: 30000 x 30000 in a few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    with pytest.raises(InputError, match=r"too many pixels.*178,956,970"):
        read_photo(tmp_path / "bomb.png")


def test_the_full_size_is_kept(tmp_path: Path, photo: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_SIDE", 32)
    exif = Image.Exif()
    exif[0x0112] = 8
    for name in ("a.png", "a.jpg"):
        photo.save(tmp_path / name)
        assert read_photo(tmp_path / name).info["full_size"] == (64, 48)
        photo.save(tmp_path / name, exif=exif)
        picture = read_photo(tmp_path / name)
        assert (picture.info["full_size"], picture.size) == ((48, 64), (24, 32))


def test_animations_give_their_first_frame(tmp_path: Path, photo: Image.Image) -> None:
    other = Image.new("RGB", photo.size, (255, 0, 0))
    for name in ("a.gif", "a.webp", "a.png", "a.tif"):
        photo.save(tmp_path / name, save_all=True, append_images=[other, other])
        assert close(read_photo(tmp_path / name), photo, 12.0)


def test_palette_alpha_cmyk_jpeg_and_float(tmp_path: Path, photo: Image.Image) -> None:
    photo.convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    assert close(read_photo(tmp_path / "cmyk.jpg"), photo, 8.0)
    palette = photo.convert("P", palette=Image.Palette.ADAPTIVE)
    palette.save(tmp_path / "clear.png", transparency=palette.getpixel((0, 0)))
    assert np.asarray(read_photo(tmp_path / "clear.png"))[0, 0].tolist() == [255, 255, 255]
    half = photo.copy()
    half.putalpha(128)
    half.save(tmp_path / "half.png")
    wanted = Image.blend(photo, Image.new("RGB", photo.size, (255, 255, 255)), 127 / 255)
    assert close(read_photo(tmp_path / "half.png"), wanted, 1.5)
    values = np.linspace(0, 3, 48 * 64, dtype=np.float32).reshape(48, 64)
    values[0, :3] = np.nan, np.inf, -np.inf
    Image.fromarray(values).save(tmp_path / "float.tif")
    grey = np.asarray(read_photo(tmp_path / "float.tif"))[..., 0]
    assert (grey[0, :3] == 0).all() and grey[-1, -1] == 255 and abs(int(grey[24, 0]) - 128) <= 2


def test_kinds_that_start_other_programs_are_not_read(tmp_path: Path, photo: Image.Image) -> None:
    photo.save(tmp_path / "a.eps")
    with pytest.raises(InputError, match="not a picture that can be read"):
        read_photo(tmp_path / "a.eps")


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "gif", "avif"])
def test_damaged_files_give_a_picture_or_one_clear_error(
    tmp_path: Path, photo: Image.Image, suffix: str
) -> None:
    whole = tmp_path / f"whole.{suffix}"
    Image.init()
    if suffix == "avif" and "AVIF" not in Image.SAVE:
        pytest.skip("this Pillow writes no AVIF")
    photo.save(whole)
    data = np.frombuffer(whole.read_bytes(), np.uint8)
    rng = np.random.default_rng(0)
    pictures = 0
    for _ in range(60):
        damaged = data.copy()
        places = rng.integers(0, rng.choice([40, len(data)]), rng.integers(1, 9))
        damaged[places] = rng.integers(0, 256, len(places))
        (tmp_path / "damaged").write_bytes(damaged.tobytes())
        with contextlib.suppress(InputError):
            pictures += read_photo(tmp_path / "damaged").mode == "RGB"
    assert pictures < 60


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
