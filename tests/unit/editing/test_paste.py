"""Edited portraits back in their photo: in place, soft at the border, nothing else touched."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from pie_framework.api import AlignedPortrait
from pie_framework.editing.paste import paste_back
from pie_framework.errors import InputError
from pie_framework.images.affine import Affine, apply, invert, view

TURNED: Affine = (1.9, -0.6, 60.0, 0.6, 1.9, 20.0)


def pattern(width: int, height: int) -> Image.Image:
    """Smooth waves, no shorter than 40 pixels."""
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    waves = [np.sin(x / 9.0 + y / 23.0), np.sin(y / 11.0), np.cos((x - y) / 13.0)]
    return Image.fromarray(np.rint(127.5 + 110 * np.stack(waves, -1)).astype(np.uint8))


def cut(photo: Image.Image, to_source: Affine = TURNED, size: int = 96) -> AlignedPortrait:
    return AlignedPortrait(view(photo, to_source, (size, size)), to_source, photo.size)


def values(picture: Image.Image) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.asarray(picture, dtype=np.float64)


def test_an_unedited_portrait_comes_back_in_place() -> None:
    photo = pattern(320, 280)
    aligned = cut(photo)
    back = paste_back(photo, aligned, aligned.image)
    difference = np.abs(values(back) - values(photo))
    assert difference.mean() < 0.6
    # half a pixel of displacement along x alone would already differ by more than this
    assert difference.max() < 0.5 * np.abs(np.diff(values(photo), axis=1)).max()


def test_outside_the_square_nothing_changes() -> None:
    photo = pattern(320, 280)
    aligned = cut(photo)
    edited = Image.new("RGB", aligned.image.size, (255, 0, 0))
    back = paste_back(photo, aligned, edited)
    x, y = np.meshgrid(np.arange(320) + 0.5, np.arange(280) + 0.5)
    inside = apply(invert(TURNED), np.stack([x, y], -1))
    outside = ((inside <= 0) | (inside >= 96)).any(-1)
    assert np.array_equal(np.asarray(back)[outside], np.asarray(photo)[outside])
    middle = (np.abs(inside - 48.0) < 30).all(-1)
    assert (np.asarray(back)[middle] == [255, 0, 0]).all()
    jumps = np.abs(np.diff(values(back) - values(photo), axis=1)).max()
    assert jumps < 128, "the border must be soft"


def test_only_what_the_edit_changed_is_pasted() -> None:
    photo = pattern(320, 280)
    aligned = cut(photo)
    assert paste_back(photo, aligned, aligned.image, before=aligned.image).tobytes() == photo.tobytes()
    edited = aligned.image.copy()
    edited.paste((255, 255, 255), (44, 44, 52, 52))
    back = paste_back(photo, aligned, edited, before=aligned.image)
    changed = np.argwhere((np.asarray(back) != np.asarray(photo)).any(-1))[:, ::-1] + 0.5
    at = apply(invert(TURNED), changed)
    assert len(at) > 100
    assert at.min() > 36
    assert at.max() < 60


def test_a_portrait_reaching_over_the_border_and_another_resolution() -> None:
    photo = pattern(120, 700)
    to_source: Affine = (8.0, 0.0, -200.0, 0.0, 8.0, -30.0)
    aligned = AlignedPortrait(Image.new("RGB", (96, 96)), to_source, photo.size)
    back = paste_back(photo, aligned, Image.new("RGB", (192, 192), (0, 255, 0)))
    assert back.size == photo.size
    assert back.getpixel((60, 600)) == (0, 255, 0)


def test_another_photo_is_refused() -> None:
    aligned = cut(pattern(320, 280))
    with pytest.raises(InputError, match="100 x 100"):
        paste_back(pattern(100, 100), aligned, aligned.image)
    with pytest.raises(ValueError, match="feather"):
        paste_back(pattern(320, 280), aligned, aligned.image, feather=0.0)
