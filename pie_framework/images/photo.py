"""Reading photos, from anywhere, as upright RGB pictures of bounded size."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from pie_framework.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

#: What is read. Pillow knows more, but some of its readers start other programs (EPS) or fetch pictures from others.
FORMATS = (
    *("JPEG", "MPO", "PNG", "WEBP", "TIFF", "GIF", "BMP", "DIB", "PPM"),
    *("JPEG2000", "AVIF", "HEIF", "TGA", "QOI", "PCX", "SGI"),
)
#: Pictures with more pixels than this are not decoded at all (about 0.5 GB as RGB; also Pillow's own limit).
MAX_PIXELS = 178_956_970
#: Larger pictures are averaged down to this side after decoding; JPEGs already while decoding.
MAX_SIDE = 6000
#: A face cannot be edited in fewer pixels than this.
MIN_SIDE = 16
#: What transparent pixels are laid over.
BACKDROP = (255, 255, 255, 255)


def read_photo(path: str | os.PathLike[str]) -> Image.Image:
    """Read a photo of one of `FORMATS`, told by its content, as RGB, upright as its EXIF orientation says.

    Grey, palette, CMYK, 16-bit and float pictures are converted, transparency is laid over white, animations give
    their first frame, and pictures with a side over `MAX_SIDE` are averaged down. The path is kept
    as `info["path"]`, for messages about the photo, and the upright width and height in the file as
    `info["full_size"]`.

    Raises:
        InputError: the file is missing, is no picture, is damaged or cut short, or has too many or too few pixels.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"there is no file '{path}'", "Check the path given as input.")
    if not path.is_file():
        raise InputError(f"'{path}' is not a file", "Give the path of one picture.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=_formats()) as picture:
                photo = _decode(picture, path)
                photo.info["path"] = str(path)
                return photo
    except InputError:
        raise
    except UnidentifiedImageError:
        raise InputError(
            f"'{path}' is not a picture that can be read", "Convert it to JPEG or PNG."
        ) from None
    except Image.DecompressionBombError:
        raise InputError(f"'{path}' has too many pixels", f"At most {MAX_PIXELS:,} are read.") from None
    except MemoryError:
        raise InputError(f"there is not enough memory for '{path}'", "Make it smaller.") from None
    except Exception as error:  # Pillow's readers raise errors of many kinds on damaged files
        reason = str(error) or type(error).__name__
        raise InputError(
            f"'{path}' is damaged or cut short ({reason})", "Fetch or export it again."
        ) from None


def _formats() -> list[str]:
    """Those of `FORMATS` that this Pillow, with the plugins that are installed for it, can read."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _decode(picture: Image.Image, path: Path) -> Image.Image:
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise InputError(
            f"'{path}' has {width} x {height} pixels", f"At most {MAX_PIXELS:,} are read; make it smaller."
        )
    if min(width, height) < MIN_SIDE:
        raise InputError(
            f"'{path}' has only {width} x {height} pixels",
            f"A portrait needs at least {MIN_SIDE} on each side.",
        )
    picture.draft("RGB", (MAX_SIDE, MAX_SIDE))
    picture.load()
    upright = ImageOps.exif_transpose(picture)
    turned = (upright.width < upright.height) != (picture.width < picture.height)
    if upright.mode.startswith("I;16"):
        upright = upright.convert("I")
    if max(upright.size) > MAX_SIDE and upright.mode in ("L", "RGB", "RGBA", "CMYK", "I", "F"):
        upright.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.BOX, reducing_gap=2.0)
    rgb = _to_rgb(upright)
    if max(rgb.size) > MAX_SIDE:
        rgb.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.BOX)
    rgb.info["full_size"] = (height, width) if turned else (width, height)
    return rgb


def _to_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode in ("I", "F"):
        values = np.nan_to_num(np.asarray(picture, dtype=np.float32), nan=0.0, posinf=0.0, neginf=0.0)
        top = 65535.0 if picture.mode == "I" else max(1.0, float(values.max()))
        grey = (values / top * 255.0).clip(0, 255).round().astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    if picture.mode in ("LA", "La", "RGBA", "RGBa", "PA") or "transparency" in picture.info:
        rgba = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, BACKDROP), rgba).convert("RGB")
    return picture.convert("RGB")


def to_tensor(
    picture: Image.Image, device: torch.device | str = "cpu", dtype: torch.dtype | None = None
) -> Tensor:
    """An RGB picture -> (3, H, W) in [-1, 1]."""
    import torch

    values = torch.from_numpy(np.array(picture.convert("RGB"), dtype=np.uint8)).permute(2, 0, 1)
    return (values.to(dtype or torch.float32) / 127.5 - 1.0).contiguous().to(device)


def to_picture(image: Tensor) -> Image.Image:
    """(3, H, W) in [-1, 1] -> an RGB picture; values outside the range are clipped."""
    values = ((image.detach().float().cpu().clamp(-1, 1) + 1.0) * 127.5).round().byte()
    return Image.fromarray(values.permute(1, 2, 0).contiguous().numpy())
