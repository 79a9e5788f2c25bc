"""Conformance suite of aligners."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from PIL import Image

from pie_framework.api import Aligner
from pie_framework.errors import InputError
from pie_framework.testing.suites.base import Suite


class AlignerTests(Suite):
    """Override `build` to return an `Aligner`, and `photo` to return a picture whose face it finds.

    Attributes:
        size: side of the portraits, pixels.
        needs_face: whether a picture without a face must be refused.
    """

    size: ClassVar[int] = 64
    needs_face: ClassVar[bool] = False

    def photo(self) -> Image.Image:
        """An upright RGB photo; smooth colours by default."""
        y, x = np.mgrid[0:120, 0:160]
        colours = np.stack([x * 1.5, y * 2.0, 128 + 60 * np.sin(x / 25.0)], axis=-1)
        return Image.fromarray(colours.clip(0, 255).astype(np.uint8))

    def test_satisfies_the_protocol(self) -> None:
        assert isinstance(self.component, Aligner)

    def test_portrait(self) -> None:
        photo = self.photo()
        found = self.component.align(photo, self.size)
        assert found.image.mode == "RGB"
        assert found.image.size == (self.size, self.size)
        assert found.source_size == photo.size
        assert found.faces >= 0
        assert len(found.to_source) == 6 and all(math.isfinite(number) for number in found.to_source)

    def test_the_photo_stays_as_it_is_and_the_answer_too(self) -> None:
        photo = self.photo()
        before = photo.tobytes()
        with self.untouched():
            first, again = self.component.align(photo, self.size), self.component.align(photo, self.size)
        assert photo.tobytes() == before
        assert first.image.tobytes() == again.image.tobytes()
        assert first.to_source == again.to_source

    def test_the_way_back_is_true(self) -> None:
        """Sampling the photo where `to_source` says gives the portrait, up to resampling."""
        photo = self.photo()
        found = self.component.align(photo, self.size)
        sampled = photo.transform(
            (self.size, self.size), Image.Transform.AFFINE, found.to_source, Image.Resampling.BILINEAR
        )
        inside = Image.new("L", photo.size, 255).transform(
            (self.size, self.size), Image.Transform.AFFINE, found.to_source, Image.Resampling.NEAREST
        )
        difference = np.abs(np.asarray(sampled, dtype=float) - np.asarray(found.image, dtype=float)).mean(
            axis=2
        )
        covered = np.asarray(inside) == 255
        assert covered.any()
        assert float(np.median(difference[covered])) < 12

    def test_a_picture_without_a_face_is_refused(self) -> None:
        if not self.needs_face:
            self.skip("it needs no face")
        with self.refused(InputError):
            self.component.align(Image.new("RGB", (200, 160), (90, 120, 90)), self.size)
