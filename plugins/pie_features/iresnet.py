"""IResNet (the residual network of ArcFace, Deng et al. 2019, in the layout of insightface's arcface_torch).

Names follow its public state dict: conv1, bn1, prelu, layer1 .. layer4 of blocks with bn1, conv1, bn2, prelu, conv2,
bn3 and, where the size changes, downsample; then bn2, fc, features.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

#: Blocks of the four stages by the number of layers that names the network.
DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 14, 3), 100: (3, 13, 30, 3), 200: (6, 26, 60, 6)}
WIDTHS = (64, 128, 256, 512)
STAGES = ("stage1", "stage2", "stage3", "stage4")
#: Side of the input in pixels; it is halved four times.
SIDE = 112


class Block(nn.Module):
    """x (or its projection) + norm, 3 x 3, norm, PReLU, 3 x 3, norm; the second convolution carries the stride."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.prelu = nn.PReLU(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, stride, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = (
            None
            if stride == 1 and inputs == outputs
            else nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False),
                nn.BatchNorm2d(outputs),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        inside = self.conv1(self.bn1(x))
        inside = self.conv2(self.prelu(self.bn2(inside)))
        kept: Tensor = x if self.downsample is None else self.downsample(x)
        return kept + self.bn3(inside)  # type: ignore[no-any-return]


class IResNet(nn.Module):
    """112 x 112 pixels -> four stages' maps at 56, 28, 14 and 7, and the embedding before it is scaled.

    Args:
        blocks: of the four stages.
        embedding: E.
        widths: channels of the four stages.
        side: pixels of the input, a multiple of 16.
    """

    def __init__(
        self,
        blocks: Sequence[int] = DEPTHS[50],
        embedding: int = 512,
        widths: Sequence[int] = WIDTHS,
        side: int = SIDE,
    ) -> None:
        super().__init__()
        self.blocks, self.embedding = tuple(blocks), embedding
        self.conv1 = nn.Conv2d(3, widths[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.prelu = nn.PReLU(widths[0])
        before = widths[0]
        for number, (count, width) in enumerate(zip(blocks, widths, strict=True), start=1):
            stage = [Block(before if i == 0 else width, width, 2 if i == 0 else 1) for i in range(count)]
            self.add_module(f"layer{number}", nn.Sequential(*stage))
            before = width
        self.bn2 = nn.BatchNorm2d(before)
        self.fc = nn.Linear(before * (side // 16) ** 2, embedding)
        self.features = nn.BatchNorm1d(embedding)

    def maps(self, x: Tensor) -> dict[str, Tensor]:
        """(B, 3, 112, 112) in [-1, 1] -> {"stage1": (B, 64, 56, 56), .., "stage4": (B, 512, 7, 7)}."""
        x = self.prelu(self.bn1(self.conv1(x)))
        found: dict[str, Tensor] = {}
        for number, name in enumerate(STAGES, start=1):
            x = self.get_submodule(f"layer{number}")(x)
            found[name] = x
        return found

    def project(self, last: Tensor) -> Tensor:
        """stage4's map -> the embedding, (B, E), of no particular length."""
        return self.features(self.fc(self.bn2(last).flatten(1)))  # type: ignore[no-any-return]


def layers_of(blocks: Sequence[int]) -> int:
    """The number that names a network with these blocks: two convolutions a block, one before and one layer after."""
    return 2 * sum(blocks) + 2
