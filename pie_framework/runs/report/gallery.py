"""Pictures of pictures: captioned grids, strips, the contact sheet of a run, and animations of sweeps."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from pie_framework.errors import RunError
from pie_framework.files.io import atomic_path

BACKGROUND = (250, 249, 247)
INK = (32, 33, 36)
MUTED = (110, 110, 116)
MARGIN = 20
GUTTER = 14
LINE = 17

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


def _fitted(text: str, font: Font, width: int) -> str:
    """The text, cut with dots where it is wider than the tile."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text.rstrip() + "..."


def _write(
    draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, ink: tuple[int, int, int], font: Font
) -> None:
    """Write one line; the arrow, which the built-in font lacks, is drawn."""
    x, y = float(at[0]), at[1]
    for index, part in enumerate(text.split("→")):
        if index:
            size = getattr(font, "size", 12)
            middle, tip, wing = y + size * 0.62, x + size * 0.85, size * 0.22
            draw.line([(x + 1, middle), (tip, middle)], ink, 1)
            draw.line([(tip - wing, middle - wing), (tip, middle), (tip - wing, middle + wing)], ink, 1)
            x += size
        draw.text((x, y), part, ink, font)
        x += font.getlength(part)


def scaled(picture: Image.Image, size: int) -> Image.Image:
    """The picture centred in a square of `size`, its proportions kept."""
    picture = picture.convert("RGB")
    factor = size / max(picture.size)
    width, height = (max(1, round(side * factor)) for side in picture.size)
    shown = picture.resize((width, height), Image.Resampling.LANCZOS)
    if width == height:
        return shown
    square = Image.new("RGB", (size, size), BACKGROUND)
    square.paste(shown, ((size - width) // 2, (size - height) // 2))
    return square


def grid(tiles: Sequence[Tile], columns: int, size: int = 200, heading: str = "") -> Image.Image:
    """Tiles in rows of `columns`, each `size` pixels wide, captions below; RunError when there is no tile."""
    if not tiles:
        raise RunError("there is no picture to put on a sheet")
    columns = max(1, min(columns, len(tiles)))
    rows = [tiles[start : start + columns] for start in range(0, len(tiles), columns)]
    heights = [size + _caption_height(row) + GUTTER for row in rows]
    top = MARGIN + (32 if heading else 0)
    width = 2 * MARGIN + columns * size + (columns - 1) * GUTTER
    sheet = Image.new("RGB", (width, top + sum(heights) + MARGIN - GUTTER), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    if heading:
        _write(draw, (MARGIN, MARGIN - 4), _fitted(heading, _font(19), width - 2 * MARGIN), INK, _font(19))
    y = top
    for row, height in zip(rows, heights, strict=True):
        for column, tile in enumerate(row):
            x = MARGIN + column * (size + GUTTER)
            sheet.paste(scaled(tile.picture, size), (x, y))
            if tile.title:
                _write(draw, (x, y + size + 5), _fitted(tile.title, _font(14), size), INK, _font(14))
            for index, line in enumerate(tile.lines):
                at = (x, y + size + 5 + LINE * (index + 1))
                _write(draw, at, _fitted(line, _font(12), size), MUTED, _font(12))
        y += height
    return sheet


def _caption_height(row: Sequence[Tile]) -> int:
    lines = max((bool(tile.title or tile.lines) + len(tile.lines) for tile in row), default=0)
    return 8 + LINE * lines if lines else 0


def strip(tiles: Sequence[Tile], size: int = 160) -> Image.Image:
    """Tiles side by side in one row; above twelve, in rows of twelve."""
    return grid(tiles, columns=min(len(tiles), 12) or 1, size=size)


def contact_sheet(portraits: Sequence[Sequence[Tile]], size: int = 200, heading: str = "") -> Image.Image:
    """The sheet of a run: per portrait its input, its reconstruction and its edits, in rows of about equal
    length."""
    sheets = [grid(tiles, columns=_columns(len(tiles)), size=size) for tiles in portraits if tiles]
    if not sheets:
        raise RunError("there is no picture to put on a sheet")
    top = 30 if heading else 0
    width = max(sheet.width for sheet in sheets)
    page = Image.new("RGB", (width, top + sum(sheet.height for sheet in sheets)), BACKGROUND)
    y = top
    for sheet in sheets:
        page.paste(sheet, (0, y))
        y += sheet.height
    if heading:
        text = _fitted(heading, _font(19), width - 2 * MARGIN)
        _write(ImageDraw.Draw(page), (MARGIN, MARGIN), text, INK, _font(19))
    return page


def _columns(count: int) -> int:
    """The number of columns, four to six, that leaves the fewest places empty."""
    return (
        min(range(6, 3, -1), key=lambda columns: (-count % columns, -columns)) if count > 6 else max(count, 1)
    )


def save_animation(
    path: str | os.PathLike[str], frames: Sequence[Image.Image], seconds: float = 0.08, back: bool = True
) -> None:
    """Write frames as an endless animation, GIF or WebP by the suffix, atomically.

    Args:
        path: ends in .gif or .webp.
        frames: of one size.
        seconds: per frame.
        back: whether it plays back to the start, so that the loop has no jump.

    Raises:
        RunError: when there is no frame or the suffix is neither.
    """
    kind = Path(path).suffix.lower()
    if not frames or kind not in (".gif", ".webp"):
        raise RunError(f"cannot write the animation '{path}'", "It needs frames and a name in .gif or .webp.")
    shown = [frame.convert("RGB") for frame in frames]
    if back and len(shown) > 2:
        shown += shown[-2:0:-1]
    milliseconds = max(20, round(1000 * seconds))
    with atomic_path(path) as temporary:
        if kind == ".webp":
            shown[0].save(
                temporary,
                "WEBP",
                save_all=True,
                append_images=shown[1:],
                duration=milliseconds,
                loop=0,
                quality=85,
            )
        else:
            palette = [frame.quantize(255, dither=Image.Dither.FLOYDSTEINBERG) for frame in shown]
            palette[0].save(
                temporary,
                "GIF",
                save_all=True,
                append_images=palette[1:],
                duration=milliseconds,
                loop=0,
                disposal=1,
            )
