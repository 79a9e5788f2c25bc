"""`pie run` with the user's own points: a turned photo is aligned by them, and they are the portrait's landmarks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pie_framework.assets import resolve
from pie_framework.images.affine import apply, compose, invert, view
from pie_framework.images.photo import to_tensor
from pie_framework.pipeline import Pipeline

SIZE = 128
#: Photo pixels to portrait pixels: the portrait lies in the photo turned and enlarged.
TO_PORTRAIT = (0.55, 0.2, -80.0, -0.2, 0.55, -10.0)


@pytest.fixture(scope="module")
def detected() -> Pipeline:
    return Pipeline.compose("energy=full", "edit=none")


@pytest.fixture
def photo(tmp_path: Path, detected: Pipeline) -> Path:
    """An example portrait somewhere in a photo, with the 68 points of its face beside it."""
    portrait = Image.open(resolve(f"{detected.config.examples}/portrait_0.png")).convert("RGB")
    portrait = portrait.resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    with torch.no_grad():
        found = detected.networks.need_landmarks().detect(to_tensor(portrait)[None])[0].double().numpy()
    backdrop = Image.new("RGB", (3 * SIZE, 3 * SIZE), (128, 128, 128))
    backdrop.paste(portrait, (SIZE, SIZE))
    a, b, c, d, e, f = TO_PORTRAIT
    picture = view(backdrop, (a, b, c + SIZE, d, e, f + SIZE), (400, 360))
    picture.save(tmp_path / "photo.png")
    in_photo = np.insert(apply(invert(TO_PORTRAIT), found), [60, 63], 200.0, axis=0)
    (tmp_path / "photo.json").write_text(json.dumps(in_photo.tolist()))
    np.save(tmp_path / "found.npy", found)
    return tmp_path / "photo.png"


def test_the_points_align_the_photo_and_are_the_target_s_landmarks(photo: Path, detected: Pipeline) -> None:
    found = np.load(photo.with_name("found.npy"))
    pipeline = Pipeline.compose(
        "energy=full", "edit=none", "landmarks=file", f"landmarks.path={photo.parent}", f"input={photo}"
    )
    portrait = pipeline.portrait(photo)
    assert portrait.landmarks is not None
    # the way from the aligned portrait to the photo and into the first portrait, at the face's own points
    there = apply(compose(TO_PORTRAIT, portrait.aligned.to_source), portrait.landmarks)
    np.testing.assert_allclose(there, found, atol=1e-6)
    images = pipeline.images([portrait])
    target = pipeline.problem(images, pipeline.known_landmarks([portrait], images)).target
    np.testing.assert_allclose(target.landmarks[0].numpy(), portrait.landmarks, atol=1e-3)
    # what the detector sees in the aligned portrait is nearly that: it is upright and in the usual place
    with torch.no_grad():
        seen = pipeline.networks.need_landmarks().detect(images)[0].numpy()
    assert np.linalg.norm(seen - portrait.landmarks, axis=1).mean() < 0.04 * SIZE


def test_a_portrait_without_points_among_others_is_looked_at(photo: Path) -> None:
    pipeline = Pipeline.compose(
        "energy=full", "edit=none", "landmarks=file", f"landmarks.path={photo.parent}", f"input={photo}"
    )
    portraits = [pipeline.portrait(photo), pipeline.portrait("example:1")]
    assert portraits[1].landmarks is None
    images = pipeline.images(portraits)
    known = pipeline.known_landmarks(portraits, images)
    assert known is not None and known.shape == (2, 66, 2)
    with torch.no_grad():
        seen = pipeline.networks.need_landmarks().detect(images[1:])
    torch.testing.assert_close(known[1:], seen)
    assert pipeline.known_landmarks(portraits[1:], images[1:]) is None
