"""Putting an edited portrait back into the photo it was cut from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from pie_framework.api import AlignedPortrait
from pie_framework.errors import InputError
from pie_framework.images.affine import Affine, apply, invert, scale_of, shifted, view

#: Rows of the photo worked on at once: bounds the memory for huge photos.
BAND = 512
#: Change of colour, of 255, below which nothing is pasted and above which the edit is pasted fully.
CHANGE = (4.0, 16.0)

FloatArray = NDArray[np.float32]


def paste_back(
    photo: Image.Image,
    aligned: AlignedPortrait,
    edited: Image.Image,
    feather: float = 0.15,
    before: Image.Image | None = None,
) -> Image.Image:
    """The photo with the edited portrait where the portrait was cut out.

    Args:
        photo: the upright RGB photo that was aligned.
        aligned: what the aligner returned for it.
        edited: the edited portrait, square, of any resolution.
        feather: width of the soft border as a fraction of the portrait's side, in (0, 0.5].
        before: the portrait before the edit; where given, only what the edit changed is pasted.

    Returns:
        A new picture of the photo's size. Pixels outside the portrait's square equal the photo's bit for bit.

    Raises:
        InputError: the photo is not of the size that was aligned.
        ValueError: the feather is out of range, or the edited portrait is not square.
    """
    _check(photo, aligned, edited, feather)
    side = edited.width
    factor = aligned.image.width / side
    a, b, c, d, e, f = aligned.to_source
    to_photo = (a * factor, b * factor, c, d * factor, e * factor, f)
    to_portrait = invert(to_photo)
    corners = apply(to_photo, [(0, 0), (side, 0), (side, side), (0, side)])
    left, top = np.clip(np.floor(corners.min(axis=0)).astype(int), 0, photo.size)
    right, bottom = np.clip(np.ceil(corners.max(axis=0)).astype(int), 0, photo.size)

    # One ring of repeated pixels, so that interpolation at the portrait's edge meets no black.
    ring = 4 + int(2.0 * scale_of(to_portrait))
    padded = _with_ring(edited.convert("RGB"), ring)
    changed = None if before is None else _with_ring(_changes(edited, before), ring)

    result = photo.convert("RGB").copy()
    for upper in range(top, bottom, BAND):
        lower = min(upper + BAND, bottom)
        size = (int(right - left), int(lower - upper))
        if size[0] <= 0:
            break
        a, b, c, d, e, f = to_portrait
        window = (a, b, a * left + b * upper + c, d, e, d * left + e * upper + f)
        mask = _border_mask(window, size, side, feather)
        into_ring = shifted(window, ring, ring)
        if changed is not None:
            share = np.asarray(view(changed, into_ring, size), dtype=np.float32)[..., None]
            mask *= share / np.float32(255.0)
        patch = np.asarray(view(padded, into_ring, size), dtype=np.float32)
        region = (int(left), upper, int(right), lower)
        old = np.asarray(result.crop(region), dtype=np.float32)
        mixed = np.rint(old + (patch - old) * mask).clip(0, 255).astype(np.uint8)
        result.paste(Image.fromarray(mixed), region[:2])
    return result


def _check(photo: Image.Image, aligned: AlignedPortrait, edited: Image.Image, feather: float) -> None:
    if photo.size != aligned.source_size:
        raise InputError(
            f"the photo has {photo.size[0]} x {photo.size[1]} pixels but the portrait was cut from one of "
            f"{aligned.source_size[0]} x {aligned.source_size[1]}",
            "Paste into the photo that was aligned.",
        )
    if not 0.0 < feather <= 0.5:
        raise ValueError(f"feather must be in (0, 0.5], not {feather}")
    if edited.height != edited.width:
        raise ValueError(f"an edited portrait is square, not {edited.width} x {edited.height}")


def _border_mask(to_portrait: Affine, size: tuple[int, int], side: int, feather: float) -> FloatArray:
    """(H, W, 1): 0 on and outside the portrait's border, rising smoothly to 1 at `feather` of its side within."""
    a, b, c, d, e, f = to_portrait
    columns = np.arange(size[0], dtype=np.float64)[None, :] + 0.5
    rows = np.arange(size[1], dtype=np.float64)[:, None] + 0.5
    x = (a * columns + b * rows + c) / side
    y = (d * columns + e * rows + f) / side
    horizontal = _smooth(np.minimum(x, 1.0 - x) / feather)
    return (horizontal * _smooth(np.minimum(y, 1.0 - y) / feather))[..., None].astype(np.float32)


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Smoothstep: 0 up to 0, 1 from 1, with flat ends."""
    t = values.clip(0.0, 1.0)
    smooth: NDArray[np.float64] = t * t * (3.0 - 2.0 * t)
    return smooth


def _changes(edited: Image.Image, before: Image.Image) -> Image.Image:
    """Mode L: 255 where the edit changed the portrait, softly falling to 0."""
    side = edited.width
    reference = before.convert("RGB")
    if reference.size != edited.size:
        reference = reference.resize(edited.size, Image.Resampling.BICUBIC)
    difference = np.abs(
        np.asarray(edited.convert("RGB"), dtype=np.float64) - np.asarray(reference, dtype=np.float64)
    ).max(axis=-1)
    low, high = CHANGE
    mask = Image.fromarray((_smooth((difference - low) / (high - low)) * 255.0).round().astype(np.uint8))
    grown = mask.filter(ImageFilter.MaxFilter(max(3, 2 * (side // 64) + 1)))
    return grown.filter(ImageFilter.GaussianBlur(side / 64.0))


def _with_ring(picture: Image.Image, width: int) -> Image.Image:
    values = np.asarray(picture)
    pads = [(width, width), (width, width)] + [(0, 0)] * (values.ndim - 2)
    return Image.fromarray(np.pad(values, pads, mode="edge"))
