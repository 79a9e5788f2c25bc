"""Conformance suites of editors, and of the inverters that latents may start from."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from pie_framework.api import EDITABLE_BLOCKS, Editor, Inverter, Layout
from pie_framework.errors import PieError
from pie_framework.testing.suites.base import Suite
from pie_framework.testing.toys import TOY_LAYOUT


class EditorTests(Suite):
    """Override `build` to return an `Editor`, and say which latents it moves.

    Attributes:
        layout: of the θ it understands.
        num_layers: L.
        latent_dim: D.
        keeps: whether asking for what is there changes nothing; a trained network need not be so exact.
    """

    layout: ClassVar[Layout] = TOY_LAYOUT
    num_layers: ClassVar[int] = 4
    latent_dim: ClassVar[int] = 44
    keeps: ClassVar[bool] = False

    def inputs(self, count: int = 2) -> tuple[Tensor, Tensor, Tensor]:
        """Random latents (count, L, D), θ_w and θ' (count, P)."""
        latent = self.randn(count, self.num_layers, self.latent_dim)
        before = 0.3 * self.randn(count, self.layout.size, number=1)
        return latent, before, before + 0.3 * self.randn(count, self.layout.size, number=2)

    def edited(self, component: Editor, block: str, latent: Tensor, before: Tensor, asked: Tensor) -> Tensor:
        """ŵ of one block, without gradients."""
        with torch.no_grad():
            return component.edit(latent, before, asked, block)

    def test_satisfies_the_protocol(self) -> None:
        self.check_protocol(Editor)
        blocks = self.component.blocks
        assert blocks and set(blocks) <= set(EDITABLE_BLOCKS) and len(set(blocks)) == len(blocks), (
            f"its blocks are {blocks}, not some of {', '.join(EDITABLE_BLOCKS)}"
        )

    def test_edited_latent(self) -> None:
        for block in self.component.blocks:
            inputs = self.inputs()
            edited = self.edited(self.component, block, *inputs)
            self.check_shape(edited, tuple(inputs[0].shape), "the edited latent")
            self.check_place(edited)
            assert not torch.equal(edited, inputs[0]), f"an edit of the block '{block}' changes nothing"

    def test_editing_is_a_function_of_each_row(self) -> None:
        for block in self.component.blocks:
            self.check_function(partial(self.edited, self.component, block), *self.inputs(3))

    def test_only_the_block_is_asked_for(self) -> None:
        for block in self.component.blocks:
            latent, before, asked = self.inputs()
            own = self.layout.replace(before, asked, [block])
            found = self.edited(self.component, block, latent, before, asked)
            self.close(self.edited(self.component, block, latent, before, own), found, "other blocks of θ'")

    def test_asking_for_what_is_there(self) -> None:
        for block in self.component.blocks:
            latent, before, _ = self.inputs()
            edited = self.edited(self.component, block, latent, before, before)
            self.check_place(edited)
            if self.keeps:
                self.close(edited, latent, "the latent after an edit to what is there")

    def test_an_unknown_block_is_refused(self) -> None:
        with self.refused(PieError, "nowhere"):
            self.edited(self.component, "nowhere", *self.inputs())

    def test_frozen(self) -> None:
        self.check_frozen(self.component)


class InverterTests(Suite):
    """Override `build` to return an `Inverter`, and say which latents it guesses.

    Attributes:
        num_layers: L.
        latent_dim: D.
        sizes: sides R of the images tried.
    """

    num_layers: ClassVar[int] = 4
    latent_dim: ClassVar[int] = 44
    sizes: ClassVar[tuple[int, ...]] = (64,)

    def test_satisfies_the_protocol(self) -> None:
        self.check_protocol(Inverter)

    def test_latent(self) -> None:
        for size in self.sizes:
            with torch.no_grad():
                latent = self.component.invert(self.rand_images(2, size))
            self.check_shape(latent, (2, self.num_layers, self.latent_dim), "the latent")
            self.check_place(latent)

    def test_inverting_is_a_function_of_each_image(self) -> None:
        for size in self.sizes:
            self.check_function(self.component.invert, self.rand_images(3, size))

    def test_frozen(self) -> None:
        self.check_frozen(self.component)
