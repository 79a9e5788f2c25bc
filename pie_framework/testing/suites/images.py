"""Conformance suites of what reads an image: face encoders, feature networks and landmark detectors."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from pie_framework.api import FaceEncoder, FeatureNetwork, LandmarkDetector
from pie_framework.testing.suites.base import Suite


class _ImageSuite(Suite):
    """Attributes:
    sizes: sides of the images it is given, pixels.
    """

    sizes: ClassVar[tuple[int, ...]] = (64,)

    def images(self, count: int = 2, number: int = 0, size: int | None = None) -> Tensor:
        """Smooth random images of the first size."""
        return self.rand_images(count, self.sizes[0] if size is None else size, number)


class FaceEncoderTests(_ImageSuite):
    """Override `build` to return a `FaceEncoder`, and `sizes`."""

    def test_satisfies_the_protocol(self) -> None:
        self.check_protocol(FaceEncoder)

    def test_coefficients(self) -> None:
        for size in self.sizes:
            with torch.no_grad():
                theta = self.component.encode(self.images(size=size))
            self.check_shape(theta, (2, self.component.layout.size), f"θ of an image of {size} pixels")
            self.check_place(theta)

    def test_encoding_is_a_function_of_each_image(self) -> None:
        self.check_function(self.component.encode, self.images(3))

    def test_gradient_reaches_the_image(self) -> None:
        self.check_gradient(self.component.encode, self.images())

    def test_frozen(self) -> None:
        self.check_frozen(self.component)


class FeatureNetworkTests(_ImageSuite):
    """Override `build` to return a `FeatureNetwork`, and `sizes`; one with `embed` is also tested for that."""

    def test_satisfies_the_protocol(self) -> None:
        self.check_protocol(FeatureNetwork)

    def test_features_have_the_same_names_for_every_image(self) -> None:
        shapes = []
        with torch.no_grad():
            for number in range(2):
                found = self.component.features(self.images(number=number))
                self.check_place(found)
                shapes.append({name: tuple(value.shape) for name, value in found.items()})
        assert shapes[0], "there are no features"
        assert shapes[0] == shapes[1], f"two images have other features: {shapes[0]} and {shapes[1]}"
        for name, shape in shapes[0].items():
            assert shape[0] == 2 and len(shape) in (2, 4), f"{name} has the shape {shape}"

    def test_any_size(self) -> None:
        for size in self.sizes:
            with torch.no_grad():
                self.check_place(self.component.features(self.images(size=size)))

    def test_features_are_a_function_of_each_image(self) -> None:
        self.check_function(self.component.features, self.images(3))

    def test_gradient_reaches_the_image(self) -> None:
        self.check_gradient(self.component.features, self.images())

    def test_embedding_has_unit_length(self) -> None:
        embed = getattr(self.component, "embed", None)
        if embed is None:
            self.skip("it offers no embed")
        with torch.no_grad():
            embedded = embed(self.images())
        assert embedded.ndim == 2 and len(embedded) == 2, (
            f"the embedding has the shape {tuple(embedded.shape)}, not (2, E)"
        )
        self.check_place(embedded)
        self.close(embedded.norm(dim=1), torch.ones_like(embedded[:, 0]), "lengths")
        self.check_function(embed, self.images(3))

    def test_frozen(self) -> None:
        self.check_frozen(self.component)


class LandmarkDetectorTests(_ImageSuite):
    """Override `build` to return a `LandmarkDetector`, and `sizes`."""

    def test_satisfies_the_protocol(self) -> None:
        self.check_protocol(LandmarkDetector)
        assert self.component.num_landmarks > 0, "it has no landmarks"

    def test_landmarks_are_pixels(self) -> None:
        for size in self.sizes:
            with torch.no_grad():
                points = self.component.detect(self.images(size=size))
            self.check_shape(points, (2, self.component.num_landmarks, 2), "the landmarks")
            self.check_place(points)

    def test_landmarks_follow_the_size_of_the_image(self) -> None:
        if len(self.sizes) < 2:
            self.skip("one size is tried")
        with torch.no_grad():
            shares = [self.component.detect(self.images(size=size)) / size for size in self.sizes]
        for other in shares[1:]:
            assert float((other - shares[0]).abs().mean()) < 0.05, (
                "landmarks are not in the image's own pixels"
            )

    def test_detection_is_a_function_of_each_image(self) -> None:
        self.check_function(self.component.detect, self.images(3))

    def test_frozen(self) -> None:
        self.check_frozen(self.component)
