"""Conformance suite of 3D morphable face models and their renderers."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from pie_framework.api import FaceModel
from pie_framework.rendering import mirror_illumination
from pie_framework.testing.suites.base import Suite

#: Landmarks of the 66-point scheme: the jaw's ends and the tip of the nose.
JAW_LEFT, JAW_RIGHT, NOSE_TIP = 0, 16, 30


class FaceModelTests(Suite):
    """Override `build` to return a `FaceModel`.

    Attributes:
        size: side at which it is rendered, pixels.
        spread: standard deviation of the random coefficients.
        ambient: value of the constant illumination band, so that something is lit.
    """

    size: ClassVar[int] = 32
    spread: ClassVar[float] = 0.1
    ambient: ClassVar[float] = 3.0

    def theta(self, component: FaceModel, count: int = 2) -> Tensor:
        """Random coefficients near the mean face, (count, P)."""
        theta = self.spread * self.randn(count, component.layout.size)
        if "illumination" in component.layout.block_names:
            first = component.layout.slice("illumination").start
            theta[:, [first, first + 9, first + 18]] += self.ambient
        return theta

    def test_satisfies_the_protocol(self) -> None:
        self.check_protocol(FaceModel)
        assert self.component.num_landmarks > 0, "it has no landmarks"

    def test_mesh(self) -> None:
        with torch.no_grad():
            mesh = self.component.mesh(self.theta(self.component))
        self.check_place({"vertices": mesh.vertices, "colours": mesh.colours})
        assert mesh.vertices.ndim == 3 and mesh.vertices.shape[::2] == (2, 3), (
            f"vertices has the shape {tuple(mesh.vertices.shape)}, not (2, V, 3)"
        )
        self.check_shape(mesh.colours, tuple(mesh.vertices.shape), "colours")
        assert mesh.faces.dtype == torch.int64, f"faces is {mesh.faces.dtype}, not torch.int64"
        self.check_shape(mesh.faces, (len(mesh.faces), 3), "faces")
        assert int(mesh.faces.min()) >= 0 and int(mesh.faces.max()) < mesh.vertices.shape[1], (
            "faces name vertices that are not there"
        )
        assert float(mesh.colours.min()) >= 0 and float(mesh.colours.max()) <= 1, "colours leave [0, 1]"

    def test_rendering(self) -> None:
        theta = self.theta(self.component)
        with torch.no_grad():
            rendering = self.component.render(theta, self.size)
            landmarks = self.component.landmarks(theta, self.size)
        self.check_shape(rendering.image, (2, 3, self.size, self.size), "the image")
        self.check_shape(rendering.mask, (2, 1, self.size, self.size), "the mask")
        self.check_shape(landmarks, (2, self.component.num_landmarks, 2), "the landmarks")
        self.check_place({"image": rendering.image, "mask": rendering.mask, "landmarks": landmarks})
        assert ((rendering.mask == 0) | (rendering.mask == 1)).all(), "the mask is not 0 or 1"
        assert (rendering.mask.sum(dim=(1, 2, 3)) > 0).all(), "the face is not in the image"
        self.close(rendering.landmarks, landmarks, "landmarks of the rendering")

    def test_landmarks_scale_with_the_image(self) -> None:
        theta = self.theta(self.component)
        with torch.no_grad():
            small, large = (
                self.component.landmarks(theta, self.size),
                self.component.landmarks(theta, 2 * self.size),
            )
        torch.testing.assert_close(2 * small, large, rtol=1e-4, atol=1e-3)

    def test_functions_of_each_row(self) -> None:
        def everything(theta: Tensor) -> dict[str, Tensor]:
            rendering = self.component.render(theta, self.size)
            mesh = self.component.mesh(theta)
            image = rendering.image * rendering.mask
            return {"image": image, "vertices": mesh.vertices, "landmarks": rendering.landmarks}

        self.check_function(everything, self.theta(self.component, 3), pixels=("image",))

    def test_gradient_of_the_landmarks(self) -> None:
        self.check_gradient(
            lambda theta: self.component.landmarks(theta, self.size), self.theta(self.component)
        )

    def test_gradient_of_the_colours(self) -> None:
        theta = self.theta(self.component).requires_grad_(True)
        rendering = self.component.render(theta, self.size)
        assert not rendering.mask.requires_grad, "the mask carries no gradient"
        (gradient,) = torch.autograd.grad((rendering.image * rendering.mask).sum(), theta)
        assert torch.isfinite(gradient).all(), "the gradient is not finite"
        for name in ("albedo", "illumination"):
            if name in self.component.layout.block_names:
                assert self.component.layout.get(gradient, name).abs().max() > 0, (
                    f"colours do not depend on {name}"
                )

    def test_rotation_has_the_contract_s_signs(self) -> None:
        """Only for models with the 66 landmarks: yaw to the image's right, pitch bows, roll counter-clockwise."""
        if self.component.num_landmarks != 66 or "rotation" not in self.component.layout.block_names:
            self.skip("it has not the 66 landmarks")
        layout = self.component.layout
        theta = torch.zeros(4, layout.size, dtype=self.dtype, device=self.device)
        for row, angle in enumerate(("pitch", "yaw", "roll"), start=1):
            theta[row, layout.index("rotation", angle)] = 0.2
        with torch.no_grad():
            points = self.component.landmarks(theta, 100)
        nose = points[:, NOSE_TIP] - (points[:, JAW_LEFT] + points[:, JAW_RIGHT]) / 2
        assert nose[2, 0] > nose[0, 0] + 1, "yaw > 0 must turn the nose to the image's right"
        assert nose[1, 1] > nose[0, 1] + 1, "pitch > 0 must bow the head"
        assert points[3, JAW_RIGHT, 1] < points[0, JAW_RIGHT, 1] - 1, "roll > 0 must turn counter-clockwise"

    def test_mirror_image(self) -> None:
        """Only for models that offer `mirror_theta`: θ of the flipped image has the contract's signs, and shows it."""
        mirror = getattr(self.component, "mirror_theta", None)
        if mirror is None:
            self.skip("it offers no mirror_theta")
        theta, layout = self.theta(self.component), self.component.layout
        with torch.no_grad():
            flipped = mirror(theta)
            self.close(mirror(flipped), theta, "the mirror image's mirror image", 0.02)
            signs = {"rotation": (1.0, -1.0, -1.0), "translation": (-1.0, 1.0, 1.0)}
            for name, sign in signs.items():
                if name in layout.block_names:
                    self.close(
                        layout.get(flipped, name), layout.get(theta, name) * theta.new_tensor(sign), name
                    )
            if "illumination" in layout.block_names:
                light = layout.get(theta, "illumination")
                self.close(layout.get(flipped, "illumination"), mirror_illumination(light), "illumination")
            size = 4 * self.size
            first, second = self.component.render(theta, size), self.component.render(flipped, size)
        both = first.mask * second.mask.flip(-1)
        assert both.sum() > 0.9 * first.mask.sum(), "the mirrored face lies elsewhere"
        apart = ((first.image - second.image.flip(-1)) * both).abs().sum() / (3 * both.sum())
        assert apart < 0.05, "the mirrored face looks different"

    def test_frozen(self) -> None:
        self.check_frozen(self.component)
