"""Conformance suite of sources of portraits whose parameters and true edits are known."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch

from pie_framework.api import KnownPortraits, Scenes
from pie_framework.testing.suites.base import Suite


class ScenesTests(Suite):
    """Override `build` to return `Scenes`.

    Attributes:
        count: of the portraits that are drawn; at least 2.
        yaw: by how much one edit turns the heads, radians.
    """

    count: ClassVar[int] = 2
    yaw: ClassVar[float] = 0.2

    def drawn(self, component: Scenes) -> Any:
        """The same portraits for every test."""
        return self._once("drawn", lambda: component.draw(self.count, np.random.default_rng(self.seed)))

    def turned(self, component: Scenes) -> Any:
        """Those portraits with their heads turned."""
        theta = self.drawn(component).theta.clone()
        theta[:, component.layout.slice("rotation").start + 1] += self.yaw
        return self._once("turned", lambda: self.drawn(component).edited(theta))

    def check_same(self, found: KnownPortraits, expected: KnownPortraits) -> None:
        """Both are the same within the tolerance, up to a few pixels at edges."""
        for name in ("theta", "landmarks"):
            self.close(getattr(found, name), getattr(expected, name), name)
        for name in ("images", "regions", "face", "background"):
            self.alike(getattr(found, name), getattr(expected, name), name)

    def test_satisfies_the_protocol(self) -> None:
        self.check_protocol(Scenes)
        assert isinstance(self.drawn(self.component), KnownPortraits), "draw gives no KnownPortraits"

    def test_shapes_and_ranges(self) -> None:
        drawn: KnownPortraits = self.drawn(self.component)
        count, size = self.count, self.component.size
        self.check_shape(drawn.images, (count, 3, size, size), "images")
        self.check_shape(drawn.theta, (count, self.component.layout.size), "theta")
        assert drawn.landmarks.ndim == 3 and drawn.landmarks.shape[::2] == (count, 2), (
            f"landmarks has the shape {tuple(drawn.landmarks.shape)}, not ({count}, K, 2)"
        )
        self.check_shape(drawn.regions, (count, size, size), "regions")
        assert drawn.regions.dtype == torch.uint8, f"regions is {drawn.regions.dtype}, not torch.uint8"
        for name in ("face", "background"):
            self.check_shape(getattr(drawn, name), (count, 1, size, size), name)
        values = ("images", "theta", "landmarks", "face", "background")
        self.check_place({name: getattr(drawn, name) for name in values})
        assert float(drawn.images.abs().max()) <= 1.0, "images leave [-1, 1]"
        assert float((drawn.landmarks / size - 0.5).abs().mean()) < 0.5, "landmarks are not pixels"
        for name in ("face", "background"):
            mask = getattr(drawn, name)
            assert bool(((mask == 0) | (mask == 1)).all()), f"{name} is not a mask of 0 and 1"
            assert bool((mask.sum((1, 2, 3)) > 0).all()), f"{name} is empty"
        assert float((drawn.face * drawn.background).max()) == 0.0, "face and background overlap"

    def test_a_draw_is_a_function_of_the_random_generator(self) -> None:
        rng = np.random.default_rng(self.seed)
        with self.untouched():
            self.check_same(self.component.draw(self.count, rng), self.drawn(self.component))
            other = self.component.draw(self.count, rng)
        assert not torch.equal(other.theta, self.drawn(self.component).theta), "rng does not advance"

    def test_portraits_differ(self) -> None:
        drawn: KnownPortraits = self.drawn(self.component)
        assert not torch.equal(drawn.theta[0], drawn.theta[1]), "two portraits have the same theta"
        assert not torch.equal(drawn.images[0], drawn.images[1]), "two portraits have the same image"

    def test_a_person_has_as_many_portraits_as_asked_for(self) -> None:
        shots = self.component.draw(2, np.random.default_rng(self.seed), shots=2)
        assert len(shots.images) == 4, f"two shots of two persons are {len(shots.images)} portraits"
        theta = {name: shots.theta[:, self.component.layout.slice(name)] for name in ("identity", "rotation")}
        for first, second, same in ((0, 1, True), (2, 3, True), (1, 2, False)):
            assert torch.equal(theta["identity"][first], theta["identity"][second]) is same, (
                f"portraits {first} and {second} of two persons with two shots: whose they are is wrong"
            )
        assert not torch.equal(theta["rotation"][0], theta["rotation"][1]), "the shots are the same"

    def test_taken_rows_are_those_portraits(self) -> None:
        drawn: KnownPortraits = self.drawn(self.component)
        taken = drawn.take([1, 0, 1])
        rows = torch.tensor([1, 0, 1], device=drawn.images.device)
        for name in ("images", "theta", "landmarks", "regions", "face", "background"):
            assert torch.equal(getattr(taken, name), getattr(drawn, name)[rows]), f"{name} differ"

    def test_an_edit_to_what_is_there_already_changes_nothing(self) -> None:
        drawn: KnownPortraits = self.drawn(self.component)
        self.check_same(drawn.edited(drawn.theta), drawn)
        self.check_same(drawn.take([1]).edited(drawn.theta[1:2]), drawn.take([1]))

    def test_an_edit_shows_what_is_asked(self) -> None:
        drawn, turned = self.drawn(self.component), self.turned(self.component)
        asked = drawn.theta.clone()
        asked[:, self.component.layout.slice("rotation").start + 1] += self.yaw
        self.close(turned.theta, asked, "θ of the edit")
        assert bool(((turned.images - drawn.images).abs().amax((1, 2, 3)) > 1e-3).all()), "the images stay"
        assert not torch.equal(turned.landmarks, drawn.landmarks), "the landmarks stay"

    def test_an_edit_can_be_taken_back(self) -> None:
        drawn = self.drawn(self.component)
        self.check_same(self.turned(self.component).edited(drawn.theta), drawn)
