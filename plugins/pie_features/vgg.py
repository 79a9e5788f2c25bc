"""VGG-16's convolutions (Simonyan & Zisserman 2015, configuration D), by the names of the paper's blocks."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from torch import Tensor, nn
from torch.nn import functional

from pie_features.normalisation import unit_mean_square

#: Channels of the five blocks, and how many convolutions each has.
WIDTHS = (64, 128, 256, 512, 512)
DEPTHS = (2, 2, 3, 3, 3)
#: The thirteen convolutions in order: conv1_1 .. conv5_3.
CONVOLUTIONS = tuple(
    f"conv{block}_{number}" for block, depth in enumerate(DEPTHS, start=1) for number in range(1, depth + 1)
)
#: Where torchvision's `features` holds each of them: 0, 2, 5, 7, 10 .. 28 (ReLU and pooling take the places between).
TORCHVISION = dict(zip(CONVOLUTIONS, (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28), strict=True))
#: What can be asked for: every convolution's output before and after its ReLU.
LAYERS = tuple(name.replace("conv", kind) for name in CONVOLUTIONS for kind in ("conv", "relu"))


def channels(layer: str) -> int:
    """Channels of a layer's map in VGG-16."""
    return WIDTHS[int(layer[4]) - 1]


class Convolutions(nn.Module):
    """The thirteen 3 x 3 convolutions with ReLU, and 2 x 2 maxima between the blocks.

    Args:
        widths: channels of the five blocks.
    """

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        self.widths = tuple(widths)
        before = 3
        for name in CONVOLUTIONS:
            width = self.widths[int(name[4]) - 1]
            self.add_module(name, nn.Conv2d(before, width, 3, padding=1))
            before = width

    def maps(self, x: Tensor, wanted: Collection[str], pooled: bool = False) -> dict[str, Tensor]:
        """The wanted layers of a preprocessed image; nothing beyond the deepest of them is computed.

        Args:
            x: (B, 3, H, W) in the network's own units.
            wanted: names of `LAYERS`.
            pooled: also go to the end and give the maximum over block 5's map, under the name "pool5".

        Returns:
            {layer: (B, C, H / 2^(block - 1), W / 2^(block - 1))}, sides rounded down.
        """
        found: dict[str, Tensor] = {}
        block = "1"
        for name in CONVOLUTIONS:
            if not pooled and len(found) == len(wanted):
                break
            if name[4] != block:
                x, block = functional.max_pool2d(x, 2), name[4]
            x = self.get_submodule(name)(x)
            if name in wanted:
                found[name] = x
            x = functional.relu(x)
            rectified = name.replace("conv", "relu")
            if rectified in wanted:
                found[rectified] = x
        if pooled:
            found["pool5"] = functional.max_pool2d(x, 2)
        return found


def scaled(found: Tensor, normalize: bool, gain: float) -> Tensor:
    """A map on the scale of the energies: unit mean square over the channels if asked for, times the root of `gain`.

    Squared differences are thereby multiplied by `gain`.
    """
    return (unit_mean_square(found) if normalize else found) * math.sqrt(gain)
