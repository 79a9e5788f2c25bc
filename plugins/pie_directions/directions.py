"""Semantic directions of W (InterFaceGAN; Shen, Gu, Tang and Zhou, CVPR 2020).

Published: a binary attribute (smiling or not) is separated in the latent space by a hyperplane, found by a linear SVM
on samples of the generator that a classifier has labelled; n is its unit normal, and w + αn changes the attribute
(§3.2). The normals of other attributes are projected out of n to leave those as they are (§3.3).

Here the attributes are coefficients of a face model, which are numbers and not classes. The attribute of an edit is
a(w) = u·θ^τ(w), the coefficients of one block τ along u = Δθ/‖Δθ‖, the change that is asked for. A linear fit
θ^τ(w) ≈ A w + b on the generator's samples, read by the face encoder, makes it linear: a(w) = (Aᵀu)·w + u·b. Its level
sets are the hyperplanes that an SVM would look for, one for every threshold; their common normal is n = Aᵀu/‖Aᵀu‖ and
the slope along it ‖Aᵀu‖. So α is not a matter of taste: ŵ = w + n ‖Δθ‖/‖Aᵀu‖ changes a(w) by what is asked. One
matrix serves every u: there is no need for a fit for each attribute.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from pie_directions.settings import LinearConfig
from pie_framework.api import BuildContext, Layout
from pie_framework.errors import AssetError, ConfigError, InputError
from pie_weights.files import layout_as_values, layout_from_values, read_weights, write_weights

KIND = "directions"
#: Smallest share of ‖n‖² that projecting out may leave and still count as a direction: a step is at most 20 times
#: as long as without. What is asked beyond that is not reached.
FLOOR = 0.05


class LinearEditor(nn.Module):
    """ŵ = w + n Δ/slope, the same for all layers. Satisfies `Editor`.

    All is kept in standard deviations: θ = mean + scale * (weight @ (w - latent_mean) / latent_scale).

    Args:
        layout: of θ, P coefficients.
        latent_dim: D.
        conditional: project the main directions of the other blocks out of n.
        main: how many of each.
    """

    weight: Tensor
    mean: Tensor
    scale: Tensor
    latent_mean: Tensor
    latent_scale: Tensor

    def __init__(self, layout: Layout, latent_dim: int, conditional: bool = False, main: int = 4) -> None:
        super().__init__()
        self.layout = layout
        self.latent_dim = latent_dim
        self.conditional = conditional
        self.main = main
        self.blocks = layout.editable
        self.register_buffer("weight", torch.zeros(layout.size, latent_dim))
        self.register_buffer("mean", torch.zeros(layout.size))
        self.register_buffer("scale", torch.ones(layout.size))
        self.register_buffer("latent_mean", torch.zeros(latent_dim))
        self.register_buffer("latent_scale", torch.ones(()))

    def read(self, latent: Tensor) -> Tensor:
        """The linear estimate of θ: w (B, L, D), averaged over its layers, -> (B, P) in the layout's units."""
        centred = (latent.mean(dim=1) - self.latent_mean) / self.latent_scale
        return self.mean + self.scale * (centred @ self.weight.T)

    def edit(self, latent: Tensor, before: Tensor, asked: Tensor, block: str) -> Tensor:
        """Move latents so that one block changes by θ' - θ_w.

        Args:
            latent: w, (B, L, D); every layer moves alike.
            before: θ_w, (B, P).
            asked: θ', (B, P).
            block: τ.

        Returns:
            ŵ, (B, L, D).

        Raises:
            ConfigError: the block is none of these directions' blocks.
            InputError: a shape is not that of these directions.
        """
        if block not in self.blocks:
            raise ConfigError(
                f"no directions edit the block '{block}'", f"There are: {', '.join(self.blocks)}."
            )
        if latent.ndim != 3 or latent.shape[2] != self.latent_dim:
            raise InputError(
                f"these directions move latents (B, L, {self.latent_dim}), not {tuple(latent.shape)}"
            )
        here, there = (self.layout.get(self.layout.check(theta), block) for theta in (before, asked))
        change = there - here
        # (B, D): ‖Δθ‖ Aᵀu, in w's own unit
        gradient = change @ self._slopes(block)
        along = gradient
        if self.conditional:
            kept = self._others(block)
            along = gradient - gradient @ kept @ kept.T
        size = gradient.square().sum(dim=1, keepdim=True)
        rise = along.square().sum(dim=1, keepdim=True).maximum(FLOOR * size)
        tiny = torch.finfo(latent.dtype).tiny
        shift = along * (change.square().sum(dim=1, keepdim=True) / rise.clamp_min(tiny))
        return latent + shift[:, None]

    def _slopes(self, block: str) -> Tensor:
        """A of a block, (block size, D): its coefficients' gradients in w."""
        rows = self.layout.slice(block)
        return self.weight[rows] * (self.scale[rows, None] / self.latent_scale)

    def _others(self, block: str) -> Tensor:
        """An orthonormal basis (D, K) of the main directions of all blocks but one: for each the `main` directions
        in which w changes it most, in standard deviations of its coefficients."""
        found = [
            torch.linalg.svd(self.weight[self.layout.slice(other.name)], full_matrices=False)[2][: self.main]
            for other in self.layout.blocks
            if other.name != block
        ]
        basis: Tensor = torch.linalg.qr(torch.cat(found).T)[0]
        return basis

    def save(self, path: str | os.PathLike[str], notes: Mapping[str, Any] | None = None) -> None:
        """Write the weights in float16 with the layout; `notes`: JSON values."""
        description = {"layout": layout_as_values(self.layout), "latent_dim": self.latent_dim}
        write_weights(path, KIND, description, self.state_dict(), notes)

    @classmethod
    def load(cls, path: str | os.PathLike[str], conditional: bool = False, main: int = 4) -> LinearEditor:
        """Read what `save` wrote; AssetError when the file is something else."""
        weights = read_weights(path, KIND)
        try:
            layout = layout_from_values(weights.architecture["layout"])
            width = int(weights.architecture["latent_dim"])
            editor = weights.build(lambda: cls(layout, width, conditional, main))
        except (KeyError, TypeError, ValueError, ConfigError) as error:
            raise AssetError(f"{path} does not describe directions: {error!r}") from error
        return editor


def build(config: LinearConfig, context: BuildContext) -> LinearEditor:
    """The editor with the directions of the weight file that the settings name."""
    path = context.asset(config.weights)
    return LinearEditor.load(path, config.conditional, config.main).to(context.device, context.dtype).eval()
