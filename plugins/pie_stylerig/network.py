"""RigNet (StyleRig, §4): one linear encoder and one decoder per layer of the latent, batched over the layers."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pie_framework.api import BuildContext, Layout
from pie_framework.errors import AssetError, ConfigError, InputError, in_one_line
from pie_stylerig.regression import ridge_regression
from pie_stylerig.settings import Architecture, RigConfig
from pie_weights.files import layout_as_values, layout_from_values, read_weights, write_weights

if TYPE_CHECKING:
    from jaxtyping import Float

KIND = "rig"


class LayerLinear(nn.Module):
    """One linear map per layer."""

    def __init__(self, layers: int, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(layers, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(layers, outputs))

    def forward(self, x: Float[Tensor, "B L inputs"]) -> Float[Tensor, "B L outputs"]:
        return torch.baddbmm(self.bias[:, None], x.transpose(0, 1), self.weight).transpose(0, 1)


class RigNet(nn.Module):
    """ŵ = w + d: RigNet(w, θ^τ) for one block τ (§4). Satisfies `RigNetwork`.

    For each layer i a linear map gives the code l_i of w_i, and a linear map of [l_i, θ^τ] gives d_i. Inputs and
    output are normalised by stored statistics, which only rescales those maps. With `Architecture.hidden` an ELU
    layer lies between [l_i, θ^τ] and d_i (not in StyleRig). With `Architecture.readout` d is D(l, θ^τ) - D(l, F(w)),
    where the linear F reads the present θ^τ from w (not in StyleRig). A new rig network changes nothing: d = 0.

    Args:
        layout: of θ.
        block: τ.
        num_layers: L.
        latent_dim: D.
        architecture: widths.
    """

    latent_mean: Float[Tensor, "D"]
    latent_scale: Float[Tensor, ""]
    block_mean: Float[Tensor, "block"]
    block_scale: Float[Tensor, "block"]

    def __init__(
        self,
        layout: Layout,
        block: str,
        num_layers: int,
        latent_dim: int,
        architecture: Architecture | None = None,
    ) -> None:
        super().__init__()
        self.layout = layout
        self.block = block
        self.num_layers = num_layers
        self.latent_dim = latent_dim
        self.architecture = architecture or Architecture()
        #: Which generator it was trained for (`pie_framework.api.identity`), as its weight file tells.
        self.made_for: dict[str, Any] = {}
        size, code, hidden = layout.block(block).size, self.architecture.code, self.architecture.hidden
        self.encoder = LayerLinear(num_layers, latent_dim, code)
        self.middle = LayerLinear(num_layers, code + size, hidden) if hidden else None
        self.decoder = LayerLinear(num_layers, hidden or code + size, latent_dim)
        self.decoder.weight.data.zero_()
        self.readout = nn.Linear(num_layers * latent_dim, size) if self.architecture.readout else None
        if self.readout is not None:
            self.readout.weight.data.zero_()
            self.readout.bias.data.zero_()
        self.register_buffer("latent_mean", torch.zeros(latent_dim))
        self.register_buffer("latent_scale", torch.ones(()))
        self.register_buffer("block_mean", torch.zeros(size))
        self.register_buffer("block_scale", torch.ones(size))

    def set_statistics(self, latents: Float[Tensor, "N L D"], parameters: Float[Tensor, "M block"]) -> None:
        """Take means and deviations from samples: of latents, and of the θ^τ that are asked for."""
        flat = latents.reshape(-1, self.latent_dim)
        self.latent_mean.copy_(flat.mean(0))
        self.latent_scale.copy_((flat - flat.mean(0)).square().mean().sqrt().clamp_min(1e-6))
        self.block_mean.copy_(parameters.mean(0))
        self.block_scale.copy_(parameters.std(0).clamp_min(1e-3))

    def rig(
        self, latent: Float[Tensor, "B L D"], parameters: Float[Tensor, "B block"]
    ) -> Float[Tensor, "B L D"]:
        """Move latents so that their block τ becomes what is asked.

        Args:
            latent: w.
            parameters: θ^τ, in the layout's units.

        Returns:
            ŵ, differentiable in both.

        Raises:
            InputError: a shape is not this rig's.
        """
        size = self.block_mean.numel()
        if latent.shape[1:] != (self.num_layers, self.latent_dim):
            raise InputError(
                f"the {self.block} rig moves latents (B, {self.num_layers}, {self.latent_dim}), "
                f"not {tuple(latent.shape)}"
            )
        if parameters.shape != (len(latent), size):
            raise InputError(
                f"the {self.block} rig takes parameters ({len(latent)}, {size}), not {tuple(parameters.shape)}"
            )
        inputs = (latent - self.latent_mean) / self.latent_scale
        code = self.encoder(inputs)
        change = self._decode(code, (parameters - self.block_mean) / self.block_scale)
        if self.readout is not None:
            change = change - self._decode(code, self.readout(inputs.flatten(1)))
        moved: Tensor = latent + change * self.latent_scale
        return moved

    forward = rig

    def _decode(
        self, code: Float[Tensor, "B L code"], wanted: Float[Tensor, "B block"]
    ) -> Float[Tensor, "B L D"]:
        """Codes and normalised θ^τ -> d in standard deviations."""
        both = torch.cat([code, wanted[:, None].expand(-1, self.num_layers, -1)], dim=2)
        if self.middle is not None:
            both = functional.elu(self.middle(both))
        change: Tensor = self.decoder(both)
        return change

    @torch.no_grad()
    def fit_readout(self, latents: Float[Tensor, "N L D"], parameters: Float[Tensor, "N block"]) -> float:
        """Set F by ridge regression, after `set_statistics`, and return what it leaves of the variance.

        Args:
            latents: in random order.
            parameters: their θ^τ.
        """
        if self.readout is None:
            return 1.0
        inputs = ((latents - self.latent_mean) / self.latent_scale).flatten(1)
        targets = (parameters - self.block_mean) / self.block_scale
        error, weight, bias = ridge_regression(inputs, targets)
        self.readout.weight.copy_(weight)
        self.readout.bias.copy_(bias)
        return error

    def save(self, path: str | os.PathLike[str], notes: Mapping[str, Any] | None = None) -> None:
        """Write the weights in float16 with block, layout and architecture; `notes`: JSON values."""
        description = {
            **dataclasses.asdict(self.architecture),
            "block": self.block,
            "layout": layout_as_values(self.layout),
            "num_layers": self.num_layers,
            "latent_dim": self.latent_dim,
        }
        write_weights(path, KIND, description, self.state_dict(), notes)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> RigNet:
        """Read what `save` wrote; AssetError when the file is something else."""
        weights = read_weights(path, KIND)
        values = weights.architecture
        try:
            layout = layout_from_values(values.pop("layout"))
            block, layers, width = values.pop("block"), values.pop("num_layers"), values.pop("latent_dim")
            chosen = weights.stated(Architecture)
            rig = weights.build(lambda: cls(layout, block, layers, width, chosen))
        except (KeyError, TypeError, ValueError, ConfigError) as error:
            raise AssetError(f"{path} does not describe a rig network: {in_one_line(error)}") from error
        rig.made_for = dict(weights.notes.get("generator") or {})
        return rig

    def freeze(self) -> RigNet:
        """For use: no gradients of weights. Returns self."""
        self.eval()
        return self.requires_grad_(False)


def build(config: RigConfig, context: BuildContext) -> RigNet:
    """The frozen rig of the weight file that the settings name."""
    return RigNet.load(context.asset(config.weights)).freeze().to(context.device, context.dtype)
