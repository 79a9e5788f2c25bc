"""The convolution of the small networks: normalised while training, folded into one kernel for use."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval

LEAK = 0.1

M = TypeVar("M", bound=nn.Module)


class ConvBlock(nn.Module):
    """Convolution, batch normalisation (while training), leaky ReLU (slope 0.1).

    Args:
        inputs: channels in.
        outputs: channels out.
        kernel: side of the kernel; padded so that the size is kept.
        stride: 2 halves the size.
        activate: False leaves the leaky ReLU out.
        folded: build without normalisation, as weight files hold it.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        stride: int = 1,
        activate: bool = True,
        folded: bool = True,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=folded)
        self.norm: nn.Module = nn.Identity() if folded else nn.BatchNorm2d(outputs)
        self.activate = activate

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x))
        return functional.leaky_relu(x, LEAK) if self.activate else x


def folded_state(module: nn.Module) -> dict[str, Tensor]:
    """The state of `module` with every ConvBlock's normalisation folded into its kernel and bias.

    It fits the same network built with `folded=True`, which then computes what `module` computes in
    evaluation mode.
    """
    state = {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
    for name, block in module.named_modules():
        if not isinstance(block, ConvBlock) or not isinstance(block.norm, _BatchNorm):
            continue
        prefix = f"{name}." if name else ""
        for key in [key for key in state if key.startswith(f"{prefix}norm.")]:
            del state[key]
        training = block.training
        fused = fuse_conv_bn_eval(block.conv.eval(), block.norm.eval())
        block.train(training)
        state[f"{prefix}conv.weight"] = fused.weight.detach().clone()
        if fused.bias is not None:
            state[f"{prefix}conv.bias"] = fused.bias.detach().clone()
    return state


def channels_last(module: M) -> M:
    """The memory layout in which convolutions are quickest on CPU."""
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
