"""The coefficient network: ResNet-50 (He et al., CVPR 2016) with a linear head for each kind of coefficient.

The strides of the three-layer blocks lie on their 3x3 convolutions. Names of the state dict are those of the public
checkpoints: `backbone.*` and `final_layers.N.*`, the heads in the order of `HEADS`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from pie_framework.errors import AssetError
from pie_weights.files import read_weights
from pie_weights.untrusted import fill, read_any, sniff

#: Side of the picture that the network reads, pixels.
INPUT_SIZE = 224
#: What the heads give, in their order; translation comes from two, (x, y) and z.
HEADS = ("identity", "expression", "albedo", "rotation", "illumination", "translation_xy", "translation_z")
#: Sizes of the heads that no face model changes.
FIXED = {"rotation": 3, "illumination": 27, "translation_xy": 2, "translation_z": 1}
#: Key of the checkpoint that holds the network; the others are the optimiser's.
NETWORK_KEY = "net_recon"
#: What the metadata of a converted file says.
KIND = "deep3d"
FEATURES = 2048
STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))


def _norm(channels: int) -> nn.Module:
    return nn.BatchNorm2d(channels)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions added to what came in, which is projected where its shape changes."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = 4 * width
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = _norm(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = _norm(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = _norm(outputs)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), _norm(outputs))

    def forward(self, x: Tensor) -> Tensor:
        kept = x if self.downsample is None else self.downsample(x)
        y = functional.relu(self.bn1(self.conv1(x)))
        y = functional.relu(self.bn2(self.conv2(y)))
        return functional.relu(self.bn3(self.conv3(y)) + kept)


class ResNet50(nn.Module):
    """Pictures (B, 3, S, S) to features (B, 2048, 1, 1)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = _norm(64)
        inputs = 64
        for number, (width, count, stride) in enumerate(STAGES, 1):
            blocks = []
            for index in range(count):
                blocks.append(Bottleneck(inputs, width, stride if index == 0 else 1))
                inputs = 4 * width
            self.add_module(f"layer{number}", nn.Sequential(*blocks))

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.bn1(self.conv1(x)))
        x = functional.max_pool2d(x, 3, 2, 1)
        for number in range(1, len(STAGES) + 1):
            x = self.get_submodule(f"layer{number}")(x)
        return x.mean(dim=(2, 3), keepdim=True)


class CoefficientNetwork(nn.Module):
    """Picture to coefficients, in the order identity, expression, albedo, angles, illumination, translation.

    Args:
        identity: number of identity coefficients.
        expression: number of expression coefficients.
        albedo: number of albedo coefficients.
    """

    def __init__(self, identity: int = 80, expression: int = 64, albedo: int = 80) -> None:
        super().__init__()
        self.sizes = {"identity": identity, "expression": expression, "albedo": albedo, **FIXED}
        self.compute_dtype: torch.dtype | None = None
        self.backbone = ResNet50()
        self.final_layers = nn.ModuleList(nn.Conv2d(FEATURES, self.sizes[name], 1) for name in HEADS)

    def forward(self, picture: Tensor) -> Tensor:
        """(B, 3, 224, 224) RGB in [0, 1] -> (B, P)."""
        x = picture.to(self.compute_dtype or picture.dtype)
        with torch.autocast(picture.device.type, enabled=False):
            features = self.backbone(x.contiguous(memory_format=torch.channels_last)).to(picture.dtype)
            return torch.cat([layer(features).flatten(1) for layer in self.final_layers], dim=1)

    def freeze(self, compute_dtype: torch.dtype | None = None) -> CoefficientNetwork:
        """For use: batch normalisation folded, no gradients of weights. Cannot be undone. Returns self.

        Args:
            compute_dtype: of the feature maps; pictures, heads and coefficients stay in their own. None: the same.
        """
        self.eval()
        for module in list(self.modules()):
            if isinstance(module, (ResNet50, Bottleneck)):
                _fold(module)
        self.requires_grad_(False)
        self.compute_dtype = compute_dtype
        self.backbone.to(dtype=compute_dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return self


def _fold(module: ResNet50 | Bottleneck) -> None:
    """Merge the batch normalisations of a module into the convolutions before them."""
    names = [(f"conv{n}", f"bn{n}") for n in (1, 2, 3) if hasattr(module, f"conv{n}")]
    for conv, norm in names:
        if isinstance(getattr(module, norm), nn.BatchNorm2d):
            fused = nn.utils.fusion.fuse_conv_bn_eval(getattr(module, conv), getattr(module, norm))
            setattr(module, conv, fused)
            setattr(module, norm, nn.Identity())
    if isinstance(module, Bottleneck) and module.downsample is not None and len(module.downsample) == 2:
        conv2d, norm2d = module.downsample
        module.downsample = nn.Sequential(
            nn.utils.fusion.fuse_conv_bn_eval(cast(nn.Conv2d, conv2d), cast(nn.BatchNorm2d, norm2d))
        )


def load_network(path: str | os.PathLike[str]) -> CoefficientNetwork:
    """The network of a checkpoint or a converted file; its block sizes are those of the heads in the file.

    Raises:
        AssetError: the file is something else, or a tensor is missing, unknown, of a wrong shape or not finite.
    """
    state = _state(path)
    sizes = {}
    for number, name in enumerate(("identity", "expression", "albedo")):
        head = state.get(f"final_layers.{number}.weight")
        if head is None or head.dim() != 4 or not 0 < head.shape[0] <= 4096:
            raise AssetError(
                f"{path} is no Deep3DFaceRecon checkpoint: 'final_layers.{number}.weight' is missing or malformed",
                "encoder.weights is the file that the repository Deep3DFaceRecon_pytorch calls epoch_20.pth.",
            )
        sizes[name] = head.shape[0]
    network = CoefficientNetwork(**sizes)
    for name, counter in network.state_dict().items():
        if name.endswith("num_batches_tracked"):  # plays no part in use; some tools leave it out
            state.setdefault(name, counter)
    fill(network, state, path)
    return network


def _state(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """The tensors of the network by name, without the prefix of parallel training."""
    if sniff(path) == "safetensors":
        return read_weights(path, KIND).state
    found = read_any(path)
    inner = found.get(NETWORK_KEY) if isinstance(found, Mapping) else None
    if not isinstance(inner, Mapping):
        inside = (
            f"a dict of {', '.join(repr(key) for key in list(found)[:4]) or 'nothing'}"
            if isinstance(found, Mapping)
            else type(found).__name__
        )
        raise AssetError(
            f"{path} is no Deep3DFaceRecon checkpoint: it holds {inside}, not a dict with '{NETWORK_KEY}'",
            "encoder.weights is the file that the repository Deep3DFaceRecon_pytorch calls epoch_20.pth.",
        )
    state = {}
    for name, value in inner.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise AssetError(f"{path}: '{NETWORK_KEY}' holds {name!r:.60}, which is no named tensor")
        state[name.removeprefix("module.")] = value
    return state
