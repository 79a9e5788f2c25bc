"""Cutting a portrait out of a photo through an affine map, with something sensible beyond the photo's border."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from pie_framework.images.affine import Affine, apply, scale_of, shifted, view

#: No side is padded by more than this many times the photo's longer side: bounds the memory.
MAX_PADDING = 4.0


def cut_portrait(photo: Image.Image, to_source: Affine, size: int, padding: str = "blur") -> Image.Image:
    """The portrait of `size` x `size` that the map takes from the photo.

    Inside the photo the pixels are the photo's own. Beyond its border they are mirrored; with `blur` they also fade,
    within the pad, into a blurred copy and the median colour. With `ffhq` all is as in the published recipe (Karras et
    al. 2019): pads of at least 0.3 sides, and the blur already begins in the photo, a third of a pad before its border.

    Args:
        photo: RGB.
        to_source: portrait pixels to photo pixels.
        size: height and width of the portrait.
        padding: what lies beyond the border, as `AlignerSettings.padding`.
    """
    scale = scale_of(to_source)
    if scale > 4.0:  # work at no more than four times the resolution that is asked for
        factor = int(scale / 2.0)
        a, b, c, d, e, f = (value / factor for value in to_source)
        photo, to_source = photo.reduce(factor), (a, b, c, d, e, f)
        scale /= factor
    corners = apply(to_source, [(0, 0), (size, 0), (size, size), (0, size)])
    published = padding == "ffhq"
    side = scale * size
    margin = float(max(round(0.1 * side), 3)) if published else 4.0 + 2.0 * scale
    low = np.floor(corners.min(axis=0) - margin).astype(int)
    high = np.ceil(corners.max(axis=0) + margin).astype(int)
    bounds = np.array(photo.size)
    inner_low, inner_high = np.clip(low, 0, bounds - 1), np.clip(high, 1, bounds)
    inner_high = np.maximum(inner_high, inner_low + 1)
    pads = np.concatenate([inner_low - low, high - inner_high])
    pads = np.minimum(pads.clip(0), int(MAX_PADDING * max(photo.size)) + size)
    if published:
        near = bool(pads.max() > margin - 4.0)
        pads = np.maximum(pads, round(0.3 * side)) if near else np.zeros_like(pads)
    region = photo.crop((int(inner_low[0]), int(inner_low[1]), int(inner_high[0]), int(inner_high[1])))
    if pads.any():
        region = _padded(region, pads, padding, blur=0.02 * side)
    origin = inner_low - pads[:2]
    return view(region, shifted(to_source, -float(origin[0]), -float(origin[1])), (size, size))


def _padded(region: Image.Image, pads: NDArray[np.int_], padding: str, blur: float) -> Image.Image:
    """The region with (left, top, right, bottom) more pixels."""
    left, top, right, bottom = (int(p) for p in pads)
    mode = {"edge": "edge", "ffhq": "reflect"}.get(padding, "symmetric")
    values = np.pad(np.asarray(region), ((top, bottom), (left, right), (0, 0)), mode=mode)  # type: ignore[call-overload]
    if padding not in ("blur", "ffhq"):
        return Image.fromarray(values)
    height, width = values.shape[:2]
    beyond_x = _beyond(width, left, right)[None, :]
    beyond_y = _beyond(height, top, bottom)[:, None]
    mask = np.maximum(beyond_x, beyond_y)[..., None]
    blurred = (3.0 * mask + (1.0 if padding == "ffhq" else 0.0)).clip(0.0, 1.0)
    mask = mask.clip(0.0, 1.0)
    soft = np.asarray(Image.fromarray(values).filter(ImageFilter.GaussianBlur(blur)), dtype=np.float32)
    mixed = values.astype(np.float32)
    mixed += (soft - mixed) * blurred
    middle = np.median(mixed if padding == "ffhq" else np.asarray(region), axis=(0, 1))
    mixed += (middle.astype(np.float32) - mixed) * mask
    return Image.fromarray(np.rint(mixed).clip(0, 255).astype(np.uint8))


def _beyond(length: int, before: int, after: int) -> NDArray[np.float32]:
    """(length,): 0 at the photo's border, rising to 1 at the outer ends of the pads and falling below 0 inside."""
    at = np.arange(length, dtype=np.float32) + 0.5
    start = (before - at) / max(before, 1)
    end = (at - (length - after)) / max(after, 1)
    return np.maximum(start, end)
