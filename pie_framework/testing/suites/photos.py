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
        self.check_protocol(Aligner)

    def test_portrait(self) -> None:
        photo = self.photo()
        portrait = self.component.align(photo, self.size)
        assert portrait.image.mode == "RGB", f"the portrait is {portrait.image.mode}, not RGB"
        wanted = (self.size, self.size)
        assert portrait.image.size == wanted, f"the portrait has the size {portrait.image.size}, not {wanted}"
        assert portrait.source_size == photo.size, f"source_size is {portrait.source_size}, not {photo.size}"
        assert portrait.faces >= 0, f"it found {portrait.faces} faces"
        assert len(portrait.to_source) == 6 and all(math.isfinite(number) for number in portrait.to_source), (
            f"to_source is {portrait.to_source}, not six finite numbers"
        )

    def test_the_photo_stays_as_it_is_and_the_answer_too(self) -> None:
        photo = self.photo()
        before = photo.tobytes()
        with self.untouched():
            first, again = self.component.align(photo, self.size), self.component.align(photo, self.size)
        assert photo.tobytes() == before, "the photo was changed"
        if self.device.type == "cpu":
            assert first.image.tobytes() == again.image.tobytes(), "the portrait differs when asked again"
            assert first.to_source == again.to_source, "to_source differs when asked again"
        else:  # kernels of a GPU may add in any order
            apart = np.asarray(first.image, dtype=float) - np.asarray(again.image, dtype=float)
            assert float(np.abs(apart).mean()) < 1, "the portrait differs when asked again"
            assert np.allclose(first.to_source, again.to_source, rtol=1e-3, atol=1e-2), (
                "to_source differs when asked again"
            )

    def test_the_way_back_is_true(self) -> None:
        """Sampling the photo where `to_source` says gives the portrait, up to resampling."""
        photo = self.photo()
        portrait = self.component.align(photo, self.size)
        sampled = photo.transform(
            (self.size, self.size), Image.Transform.AFFINE, portrait.to_source, Image.Resampling.BILINEAR
        )
        inside = Image.new("L", photo.size, 255).transform(
            (self.size, self.size), Image.Transform.AFFINE, portrait.to_source, Image.Resampling.NEAREST
        )
        difference = np.abs(np.asarray(sampled, dtype=float) - np.asarray(portrait.image, dtype=float)).mean(
            axis=2
        )
        covered = np.asarray(inside) == 255
        assert covered.any(), "to_source lies outside of the photo"
        apart = float(np.median(difference[covered]))
        assert apart < 12, f"the photo at to_source differs from the portrait by {apart:.0f} of 255"

    def test_a_picture_without_a_face_is_refused(self) -> None:
        if not self.needs_face:
            self.skip("it needs no face")
        with self.refused(InputError):
            self.component.align(Image.new("RGB", (200, 160), (90, 120, 90)), self.size)
