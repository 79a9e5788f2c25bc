"""Settings of the generator, its inverter and their training recipes. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Interval, MinLen

from pie_framework.api import AssetPath
from pie_framework.errors import ConfigError
from pie_training import TrainerSettings
from pie_training.settings import Batch, Positive

DEFAULT_WEIGHTS = "pkg://pie_synthetic/weights/generator.safetensors"
DEFAULT_INVERTER = "pkg://pie_synthetic/weights/inverter.safetensors"
#: Weight of each pixel in a reconstruction loss by its region label; eyes and mouth are small.
REGION_WEIGHTS = (1.0, 1.0, 1.0, 1.0, 2.0, 16.0, 5.0, 12.0)
#: Weight of a loss, 0 or more.
Weight = Annotated[float, Ge(0)]
RegionWeights = Annotated[tuple[Weight, ...], MinLen(1)]
Share = Annotated[float, Interval(ge=0, le=1)]


@dataclass(frozen=True)
class GeneratorConfig:
    """Settings of the component.

    Attributes:
        weights: weight file, `pkg://package/path` or a path: safetensors of this package, a NVIDIA pickle
            (stylegan2-ada-pytorch or stylegan3), or a rosinality checkpoint; its content says which.
        features: dtype of the feature maps: "same" as the run's, "float32", or "bfloat16" (about half the time on
            processors that have it, images differ by about a grey level). Resolutions that a NVIDIA network computed
            in float16 are computed in this too.
        truncation: psi of the latents that are drawn from the prior, 0 to 2; 1 leaves them as they are.
        truncation_cutoff: how many of the first layers are truncated; null means all.
        class_index: the class of a conditional network; null for an unconditional one.
        checkpointing: keep only what goes from block to block, and compute each block again for the gradient: a third
            more time, much less memory, for large images.
    """

    weights: AssetPath = DEFAULT_WEIGHTS
    features: Literal["same", "float32", "bfloat16"] = "same"
    truncation: Annotated[float, Interval(ge=0, le=2)] = 1.0
    truncation_cutoff: Annotated[int, Ge(0)] | None = None
    class_index: int | None = None
    checkpointing: bool = False


@dataclass(frozen=True)
class StyleGAN3Settings(GeneratorConfig):
    """Settings of the component: those of StyleGAN2.

    Attributes:
        weights: weight file, a path: safetensors of this package, or a NVIDIA pickle of stylegan3; none is bundled.
    """

    weights: AssetPath = ""


@dataclass(frozen=True)
class InverterSettings:
    """Settings of the component.

    Attributes:
        weights: weight file, `pkg://package/path` or a path.
        passes: how often the guess is corrected by what the inverter says of its image.
        rate: share of the difference that a correction takes, above 0, at most 1.
    """

    weights: AssetPath = DEFAULT_INVERTER
    passes: Annotated[int, Ge(0)] = 2
    rate: Annotated[float, Interval(gt=0, le=1)] = 0.7


@dataclass(frozen=True)
class InverterTraining(TrainerSettings):
    """How the inverter learns to give every layer a latent of its own, with the generator frozen.

    Attributes:
        generator: weight file of the generator, `pkg://package/path` or a path.
        start: weight file of the inverter that was trained with that generator; "" starts from nothing.
        train_trunk: also train the part that gives w, which otherwise stays as `start` has it; always without `start`.
        channels: feature channels at 32, 16, 8, 4 pixels, where there is no `start`.
        rank: dimensions of each layer's offset from w, at least 1: an inverter of one w needs no such training.
        mixed: width of the hidden layer that the offsets come from.
        region_weights: weight of each pixel in the loss by its region label.
        perceptual: weight of the distance of Φ's features; 0 does without Φ.
        identity: weight of 1 - the similarity of Ψ's embeddings; 0 does without Ψ.
        offset_penalty: weight of the mean square of the offsets. Large offsets reconstruct better and edit worse.
    """

    batch: Batch = 8
    learning_rate: float = 2e-3
    evaluate_every: Positive = 120.0
    generator: AssetPath = DEFAULT_WEIGHTS
    start: str = ""
    train_trunk: bool = False
    channels: tuple[int, ...] = (64, 128, 256, 256)
    rank: Annotated[int, Ge(1)] = 32
    mixed: int = 160
    region_weights: RegionWeights = REGION_WEIGHTS
    perceptual: Weight = 1.0
    identity: Weight = 0.0
    offset_penalty: Weight = 0.05


@dataclass(frozen=True)
class GeneratorTraining(TrainerSettings):
    """How the generator and its inverter are trained as an autoencoder of portraits.

    Attributes:
        resolution: side of the images, pixels.
        latent_dim: D.
        channels: feature channels of the generator's blocks at 4, 8, ..., resolution.
        inverter_channels: feature channels of the inverter at 32, 16, 8, 4 pixels.
        mapping_layers: depth of the mapping network that is fitted to the codes afterwards.
        coarse_share, middle_share: shares of the budget spent at a quarter and at half of the resolution first; their
            sum is below 1.
        latent_noise: standard deviation of the Gaussian noise added to w, whose mean square is bounded by one.
        region_weights: weight of each pixel in the loss by its region label.
        sharp_share: last share of the budget in which the fine gradients count `sharpness` times as much.
        sharpness: see above.
        texture: weight of the local amount of fine gradient, in the same last share.
        perceptual: weight of the distance of Φ's features at the full resolution, which makes the edges of eyes and
            mouth count; 0 does without Φ.
        reading: weight of the difference in what the face encoder reads, at the full resolution, which makes
            expressions count; 0 does without the encoder.
        ema_halflife: half-life of the moving average of the weights, in steps; 0 for none.
        mapping_seconds: time for fitting the mapping network at the end.
        codes: number of portraits whose codes the mapping network is fitted to.
    """

    batch: Batch = 8
    learning_rate: float = 3e-3
    evaluate_every: Positive = 300.0
    resolution: int = 128
    latent_dim: int = 512
    channels: tuple[int, ...] = (256, 256, 160, 96, 64, 32)
    inverter_channels: tuple[int, ...] = (64, 128, 256, 256)
    mapping_layers: int = 4
    coarse_share: Share = 0.12
    middle_share: Share = 0.28
    latent_noise: float = 0.1
    region_weights: RegionWeights = REGION_WEIGHTS
    sharp_share: Share = 0.35
    sharpness: float = 3.0
    texture: float = 0.5
    perceptual: float = 1.0
    reading: float = 1.0
    ema_halflife: Annotated[float, Ge(0)] = 500.0
    mapping_seconds: float = 120.0
    codes: int = 12000

    def __post_init__(self) -> None:
        if self.coarse_share + self.middle_share >= 1:
            raise ConfigError("coarse_share + middle_share must be below 1")

    def beside(self, suffix: str) -> Path:
        """A file beside the weights, such as `generator.inverter.safetensors`."""
        return Path(self.out).with_suffix(suffix)
