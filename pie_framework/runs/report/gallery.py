"""Pictures of pictures: captioned grids, strips, the contact sheet of a run, and animations of sweeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont, ImageOps

from pie_framework.errors import RunError
from pie_framework.files.io import atomic_path

BACKGROUND = (250, 249, 247)
INK, MUTED = "#202124", "#6e6e74"
MARGIN = 20
GUTTER = 14
LINE = 17
#: That a frame of an animation is shown.
MILLISECONDS = 80

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class Tile:
    """A picture with its caption.

    Attributes:
        picture: of any size; scaled to the tile's.
        title: the first line of the caption.
        lines: further lines, in a lighter ink.
    """

    picture: Image.Image
    title: str = ""
    lines: tuple[str, ...] = ()


@lru_cache(maxsize=8)
def _font(size: int) -> Font:
    return ImageFont.load_default(size)


def _write(sheet: Image.Image, at: tuple[int, int], text: str, ink: str, size: int, width: int) -> None:
    """Write one line, cut with dots where it is too wide; the arrow, which the built-in font lacks, is drawn."""
    draw, font = ImageDraw.Draw(sheet), _font(size)
    if font.getlength(text) > width:
        while text and font.getlength(text + "...") > width:
            text = text[:-1]
        text = text.rstrip() + "..."
    x, y = float(at[0]), at[1]
    for index, part in enumerate(text.split("→")):
        if index:
            middle, tip, wing = y + size * 0.62, x + size * 0.85, size * 0.22
            draw.line([(x + 1, middle), (tip, middle)], ink, 1)
            draw.line([(tip - wing, middle - wing), (tip, middle), (tip - wing, middle + wing)], ink, 1)
            x += size
        draw.text((x, y), part, ink, font)
        x += font.getlength(part)


def grid(tiles: Sequence[Tile], columns: int, size: int = 200) -> Image.Image:
    """Tiles in rows of `columns`, each `size` pixels wide, captions below; RunError when there is no tile."""
    if not tiles:
        raise RunError("there is no picture to put on a sheet")
    columns = max(1, min(columns, len(tiles)))
    rows = [tiles[start : start + columns] for start in range(0, len(tiles), columns)]
    heights = [size + _caption_height(row) + GUTTER for row in rows]
    width = 2 * MARGIN + columns * size + (columns - 1) * GUTTER
    sheet = Image.new("RGB", (width, MARGIN + sum(heights) + MARGIN - GUTTER), BACKGROUND)
    y = MARGIN
    for row, height in zip(rows, heights, strict=True):
        for column, tile in enumerate(row):
            x = MARGIN + column * (size + GUTTER)
            picture = tile.picture.convert("RGB")
            sheet.paste(ImageOps.pad(picture, (size, size), Image.Resampling.LANCZOS, BACKGROUND), (x, y))
            _write(sheet, (x, y + size + 5), tile.title, INK, 14, size)
            for index, line in enumerate(tile.lines, start=1):
                _write(sheet, (x, y + size + 5 + LINE * index), line, MUTED, 12, size)
        y += height
    return sheet


def _caption_height(row: Sequence[Tile]) -> int:
    lines = max(bool(tile.title or tile.lines) + len(tile.lines) for tile in row)
    return 8 + LINE * lines if lines else 0


def strip(tiles: Sequence[Tile], size: int = 160) -> Image.Image:
    """Tiles side by side in one row; above twelve, in rows of twelve."""
    return grid(tiles, columns=12, size=size)


def contact_sheet(portraits: Sequence[Sequence[Tile]]) -> Image.Image:
    """The sheet of a run: per portrait its input, its reconstruction and its edits, in rows of about equal
    length."""
    sheets = [grid(tiles, columns=_columns(len(tiles))) for tiles in portraits if tiles]
    if not sheets:
        raise RunError("there is no picture to put on a sheet")
    size = max(sheet.width for sheet in sheets), sum(sheet.height for sheet in sheets)
    page = Image.new("RGB", size, BACKGROUND)
    y = 0
    for sheet in sheets:
        page.paste(sheet, (0, y))
        y += sheet.height
    return page


def _columns(count: int) -> int:
    """The number of columns, four to six, that leaves the fewest places empty."""
    return min((6, 5, 4), key=lambda columns: -count % columns) if count > 6 else count


def save_animation(path: Path, frames: Sequence[Image.Image]) -> None:
    """Write frames as an endless animation that plays there and back, GIF or WebP by the suffix, atomically.

    Raises:
        RunError: when there is no frame or the suffix is neither.
    """
    kinds: dict[str, dict[str, Any]] = {".gif": {"disposal": 1}, ".webp": {"quality": 85}}
    options = kinds.get(path.suffix.lower())
    if not frames or options is None:
        raise RunError(f"cannot write the animation '{path}'", "It needs frames and a name in .gif or .webp.")
    shown = [frame.convert("RGB") for frame in (*frames, *frames[-2:0:-1])]
    if path.suffix.lower() == ".gif":
        shown = [frame.quantize(255, dither=Image.Dither.FLOYDSTEINBERG) for frame in shown]
    with atomic_path(path) as temporary:
        shown[0].save(
            temporary, save_all=True, append_images=shown[1:], duration=MILLISECONDS, loop=0, **options
        )
