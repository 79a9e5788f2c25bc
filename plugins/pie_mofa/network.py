"""The encoder network: a portrait to θ, small enough to be differentiated through in every step of PIE.

A residual network (He et al., CVPR 2016) whose last map is flattened, not averaged, because pose and
expression are about where things are. Batch normalisation is folded into the convolutions when the network
is frozen.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from pie_framework.api import BuildContext, Layout
from pie_framework.errors import AssetError, InputError
from pie_mofa.settings import Architecture, EncoderConfig
from pie_weights.files import layout_as_values, layout_from_values, read_weights, write_weights

KIND = "encoder"


def channels_last(encoder: MofaEncoder) -> MofaEncoder:
    """Store the kernels in the order that convolutions on the CPU read fastest. Returns the encoder."""
    for module in encoder.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)
    return encoder


class ConvNorm(nn.Module):
    """A convolution with batch normalisation, which `fold` merges into it."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.norm(self.conv(x)))

    def fold(self) -> None:
        if isinstance(self.norm, nn.BatchNorm2d):
            self.conv = nn.utils.fusion.fuse_conv_bn_eval(self.conv.eval(), self.norm.eval())
            self.norm = nn.Identity()


class Residual(nn.Module):
    """x + two convolutions of x, then the activation."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = ConvNorm(width, width, 3)
        self.second = ConvNorm(width, width, 3)
        cast(nn.BatchNorm2d, self.second.norm).weight.data.zero_()

    def forward(self, x: Tensor) -> Tensor:
        return functional.silu(x + self.second(functional.silu(self.first(x))))


class MofaEncoder(nn.Module):
    """MoFA's encoder (§5): image to θ. Satisfies `FaceEncoder`.

    Args:
        layout: of θ; one linear head per block.
        architecture: shape of the network.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, layout: Layout, architecture: Architecture | None = None) -> None:
        super().__init__()
        self.layout = layout
        self.architecture = architecture or Architecture()
        self.compute_dtype: torch.dtype | None = None
        #: Whose samples it was trained on (`pie_framework.api.identity`), as its weight file tells.
        self.made_for: dict[str, Any] = {}
        widths = self.architecture.widths
        body: list[nn.Module] = [ConvNorm(3, widths[0], 5, 2), nn.SiLU()]
        for before, width in itertools.pairwise(widths):
            body += [ConvNorm(before, width, 3, 2), nn.SiLU(), Residual(width)]
        body += [ConvNorm(widths[-1], self.architecture.squeeze, 1), nn.SiLU(), nn.Flatten()]
        side = self.architecture.input_size // 2 ** len(widths)
        body += [nn.Linear(self.architecture.squeeze * side * side, self.architecture.hidden), nn.SiLU()]
        self.body = nn.Sequential(*body)
        self.heads = nn.ModuleDict(
            {block.name: nn.Linear(self.architecture.hidden, block.size) for block in layout.blocks}
        )
        for head in self.heads.values():
            head.weight.data.mul_(0.1)  # type: ignore[operator]
            head.bias.data.zero_()  # type: ignore[operator]
        self.register_buffer("mean", torch.zeros(layout.size))
        self.register_buffer("scale", torch.ones(layout.size))

    def set_statistics(self, mean: Tensor, scale: Tensor) -> None:
        """What the heads' outputs are scaled by and added to, both (P,)."""
        self.mean.copy_(self.layout.check(mean))
        self.scale.copy_(self.layout.check(scale))

    def encode(self, image: Tensor) -> Tensor:
        """Read θ from portraits.

        Args:
            image: (B, 3, H, W) RGB in [-1, 1], aligned as the training portraits, of any resolution; the
                largest centred square is used.

        Returns:
            (B, P), differentiable in the image.

        Raises:
            InputError: the image has another shape.
        """
        if image.ndim != 4 or image.shape[1] != 3:
            raise InputError(f"the face encoder reads images (B, 3, H, W), not {tuple(image.shape)}")
        x = self._fit(image).to(self.compute_dtype or image.dtype)
        features = self.body(x.contiguous(memory_format=torch.channels_last))
        with torch.autocast(image.device.type, enabled=False):
            features = features.to(image.dtype)
            raw = torch.cat([self.heads[name](features) for name in self.layout.block_names], dim=1)
        return raw * self.scale + self.mean

    forward = encode

    def _fit(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        if height != width:
            side = min(height, width)
            top, left = (height - side) // 2, (width - side) // 2
            image = image[..., top : top + side, left : left + side]
        size = self.architecture.input_size
        if image.shape[-1] > size:
            return functional.interpolate(image, (size, size), mode="area")
        if image.shape[-1] < size:
            return functional.interpolate(image, (size, size), mode="bilinear", align_corners=False)
        return image

    def freeze(self, compute_dtype: torch.dtype | None = None) -> MofaEncoder:
        """For use: no gradients of weights, batch normalisation folded. Cannot be undone. Returns self.

        Args:
            compute_dtype: dtype of the feature maps; heads, images and θ stay in their own. None: the same.
        """
        self.requires_grad_(False)
        self.eval()
        for module in self.modules():
            if isinstance(module, ConvNorm):
                module.fold()
        self.requires_grad_(False)
        self.compute_dtype = compute_dtype
        self.body.to(compute_dtype)
        return channels_last(self)

    def save(self, path: str | os.PathLike[str], notes: Mapping[str, Any] | None = None) -> None:
        """Write the weights in float16 with architecture and layout; must not be frozen.

        Args:
            path: where to.
            notes: JSON values that tell how the weights were made.
        """
        architecture = {**dataclasses.asdict(self.architecture), "layout": layout_as_values(self.layout)}
        write_weights(path, KIND, architecture, self.state_dict(), notes)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> MofaEncoder:
        """Read what `save` wrote; AssetError when the file is something else."""
        weights = read_weights(path, KIND)
        try:
            layout = layout_from_values(weights.architecture.pop("layout"))
            chosen = Architecture(**weights.architecture)
            encoder = weights.build(lambda: cls(layout, chosen))
        except (KeyError, TypeError, ValueError) as error:
            raise AssetError(f"{path} does not describe a face encoder: {error!r}") from error
        encoder.made_for = dict(weights.notes.get("generator") or {})
        return encoder


def build(config: EncoderConfig, context: BuildContext) -> MofaEncoder:
    """The frozen encoder of the weight file that the settings name."""
    encoder = MofaEncoder.load(context.asset(config.weights)).to(context.device, context.dtype)
    return encoder.freeze(
        {"same": None, "float32": torch.float32, "bfloat16": torch.bfloat16}[config.features]
    )
