"""Sheets, strips and animations."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from pie_framework.errors import RunError
from pie_framework.runs.report.gallery import (
    BACKGROUND,
    GUTTER,
    MARGIN,
    Tile,
    contact_sheet,
    grid,
    save_animation,
    strip,
)


def picture(colour: tuple[int, int, int], size: tuple[int, int] = (32, 32)) -> Image.Image:
    return Image.new("RGB", size, colour)


def test_grid_puts_each_tile_in_its_place() -> None:
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    sheet = grid([Tile(picture(colour)) for colour in colours], columns=2, size=40)
    assert sheet.width == 2 * MARGIN + 2 * 40 + GUTTER
    assert sheet.getpixel((MARGIN + 20, MARGIN + 20)) == colours[0]
    assert sheet.getpixel((MARGIN + 40 + GUTTER + 20, MARGIN + 20)) == colours[1]
    assert sheet.getpixel((MARGIN + 20, MARGIN + 40 + GUTTER + 20)) == colours[2]


def test_captions_take_room_and_long_ones_are_cut() -> None:
    plain = grid([Tile(picture((9, 9, 9)))], columns=1, size=60)
    captioned = grid(
        [Tile(picture((9, 9, 9)), "a title " * 40, ("yaw 15.0° → 13.2°", "x"))], columns=1, size=60
    )
    assert captioned.width == plain.width
    assert captioned.height > plain.height
    margin = captioned.crop((captioned.width - MARGIN + 1, 0, captioned.width, captioned.height))
    assert len(margin.getcolors() or ()) == 1


def test_proportions_are_kept() -> None:
    sheet = grid([Tile(picture((255, 0, 0), (20, 10)))], columns=1, size=40)
    assert sheet.getpixel((MARGIN + 20, MARGIN + 20)) == (255, 0, 0)
    assert sheet.getpixel((MARGIN + 20, MARGIN + 2)) == BACKGROUND


def test_contact_sheet_stacks_portraits() -> None:
    tiles = [Tile(picture((0, 0, 200)), "input"), Tile(picture((0, 200, 0)), "reconstruction")]
    one, two = contact_sheet([tiles]), contact_sheet([tiles, tiles])
    assert two.width == one.width
    assert two.height == 2 * one.height
    with pytest.raises(RunError, match="no picture"):
        contact_sheet([[]])
    with pytest.raises(RunError, match="no picture"):
        strip([])


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_animation_plays_there_and_back(tmp_path: Path, suffix: str) -> None:
    frames = [picture((50 * index, 0, 0)) for index in range(5)]
    save_animation(tmp_path / f"a{suffix}", frames)
    with Image.open(tmp_path / f"a{suffix}") as animation:
        assert getattr(animation, "n_frames", 1) == 8
        assert animation.info.get("loop") == 0
    save_animation(tmp_path / f"b{suffix}", frames[:2])
    with Image.open(tmp_path / f"b{suffix}") as animation:
        assert getattr(animation, "n_frames", 1) == 2


def test_animations_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(RunError):
        save_animation(tmp_path / "a.mp4", [picture((0, 0, 0))])
    with pytest.raises(RunError):
        save_animation(tmp_path / "a.gif", [])
