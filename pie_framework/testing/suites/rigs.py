"""Conformance suite of rig networks."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from pie_framework.api import RigNetwork
from pie_framework.testing.suites.base import Suite


class RigNetworkTests(Suite):
    """Override `build` to return a `RigNetwork`, and say which latents it moves.

    Attributes:
        num_layers: L.
        latent_dim: D.
    """

    num_layers: ClassVar[int] = 4
    latent_dim: ClassVar[int] = 44

    def inputs(self, component: RigNetwork, count: int = 2) -> tuple[Tensor, Tensor]:
        """Random latents (count, L, D) and values of the block (count, block size)."""
        size = component.layout.block(component.block).size
        return self.randn(count, self.num_layers, self.latent_dim), self.randn(count, size, number=1)

    def test_satisfies_the_protocol(self) -> None:
        self.check_protocol(RigNetwork)
        layout = self.component.layout
        assert self.component.block in layout.editable, f"its block is '{self.component.block}'"

    def test_edited_latent(self) -> None:
        latent, parameters = self.inputs(self.component)
        with torch.no_grad():
            edited = self.component.rig(latent, parameters)
        self.check_shape(edited, tuple(latent.shape), "the edited latent")
        self.check_place(edited)

    def test_rigging_is_a_function_of_each_row(self) -> None:
        self.check_function(self.component.rig, *self.inputs(self.component, 3))

    def test_gradient_reaches_latent_and_parameters(self) -> None:
        self.check_gradient(self.component.rig, *self.inputs(self.component))

    def test_frozen(self) -> None:
        self.check_frozen(self.component)
