"""Beards, age and the contact sheets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from pie_synthetic import contact_sheet
from pie_synthetic.beard import STYLES, Beard, beard_cover, sample_beard
from pie_synthetic.model import face_model
from pie_synthetic.portrait import Region, render_portraits
from pie_synthetic.scene import Scene, sample_person, sample_scenes

DARK = np.array([0.06, 0.05, 0.05], np.float32)


def beard(style: str) -> Beard:
    return Beard(style, DARK, STYLES[style][1], 0.2 if style == "long" else 0.05, 0.9, 0.3)


def plain_scene() -> Scene:
    scene = next(s for s in sample_scenes(np.random.default_rng(4), 40) if not s.person.hair.hangs)
    shot = replace(
        scene.shot, rotation=np.zeros(3, np.float32), expression=np.zeros_like(scene.shot.expression)
    )
    return Scene(replace(scene.person, beard=None, glasses=None, age=0.2), shot)


def with_beard(scene: Scene, style: str | None) -> Scene:
    return Scene(replace(scene.person, beard=beard(style) if style else None), scene.shot)


def test_every_style_covers_what_it_says_and_no_lips() -> None:
    cover = beard_cover([beard(style) for style in STYLES] + [None])
    grown = dict(zip([*STYLES, None], (cover > 0.3).sum(1), strict=True))
    assert grown[None] == 0
    assert 0 < grown["moustache"] < grown["goatee"] < grown["short"]
    assert 0.0 <= cover.min() <= cover.max() <= 0.95


def test_beards_are_hair_and_follow_the_jaw() -> None:
    scene = plain_scene()
    names = face_model().layout.names("expression")
    expression = np.zeros(len(scene.shot.expression), np.float32)
    expression[names.index("jaw_open")] = 1.0
    opened = Scene(scene.person, replace(scene.shot, expression=expression))
    scenes = [with_beard(scene, style) for style in (None, "moustache", "short", "long")]
    regions = render_portraits([*scenes, with_beard(opened, "short")], size=96).regions
    hair = (regions == Region.HAIR).flatten(1).sum(1)
    assert hair[0] < hair[1] < hair[2] < hair[3]
    rows = torch.arange(96)[:, None].expand(96, 96)
    lowest = [int(rows[r == Region.HAIR].max()) for r in regions]
    assert lowest[4] > lowest[2] + 2


def test_a_beard_leaves_other_portraits_of_the_batch_alone() -> None:
    scene = plain_scene()
    alone = render_portraits([scene], size=64).images[0]
    beside, bearded = render_portraits([scene, with_beard(scene, "short")], size=64).images
    # Kernels round otherwise for another batch, and a sample on an edge may fall to the other side.
    assert float((beside - alone).abs().mean()) < 1e-4
    assert float((bearded - alone).abs().mean()) > 1e-2


def test_about_a_fifth_of_short_haired_persons_wear_a_beard() -> None:
    rng = np.random.default_rng(0)
    persons = [sample_person(rng) for _ in range(400)]
    short = [p for p in persons if not p.hair.hangs and p.hair.style != "tied"]
    assert 0.12 < np.mean([p.beard is not None for p in short]) < 0.30
    assert all(p.beard is None for p in persons if p.hair.hangs)
    assert sample_beard(rng, DARK, chance=0.0) is None
    grey = [float(p.hair.colour.min()) > 0.3 and np.ptp(p.hair.colour) < 0.05 for p in persons]
    old = np.array([p.age > 0.6 for p in persons])
    assert np.mean(np.array(grey)[old]) > 2 * np.mean(np.array(grey)[~old])


def test_sheets(tmp_path: Path) -> None:
    sheet = contact_sheet.portraits_sheet(3, rows=1, columns=2, size=32)
    assert sheet.size == (64, 32)
    controls = contact_sheet.controls_sheet(3, names=["smile"], columns=3, size=32)
    assert controls.size == (96, 32 + contact_sheet.CAPTION)
    contact_sheet.save(sheet, tmp_path / "deep" / "sheet.png")
    with Image.open(tmp_path / "deep" / "sheet.png") as written:
        assert written.size == (64, 32)
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["sheet.png"]
