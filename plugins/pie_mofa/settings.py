"""Settings of the face encoder and of its training; imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Interval, MinLen

from pie_framework.api import AssetPath, Kind
from pie_framework.errors import ConfigError
from pie_training import EngineSettings, Product

#: Weights of the encoder of the embedded world.
DEFAULT_WEIGHTS = "pkg://pie_synthetic/weights/encoder.safetensors"
#: Weights of an encoder trained apart, which reads what edits achieved and takes part in no energy.
JUDGE_WEIGHTS = "pkg://pie_synthetic/weights/judge.safetensors"
Width = Annotated[int, Ge(1)]


@dataclass(frozen=True)
class EncoderConfig:
    """Settings of the component.

    Attributes:
        weights: weight file, `pkg://package/path` or a path.
        features: dtype of the feature maps: "same" as the run's, "float32", or "bfloat16".
    """

    weights: AssetPath = DEFAULT_WEIGHTS
    features: Literal["same", "float32", "bfloat16"] = "same"


@dataclass(frozen=True)
class Architecture:
    """Shape of the network; stored with the weights.

    Attributes:
        input_size: side in pixels that images are brought to, a multiple of 2 to the number of widths.
        widths: channels after each halving of the side; a residual block follows each but the first.
        squeeze: channels of the last map before it is flattened.
        hidden: width of the layer between the map and the heads.
    """

    input_size: Width = 128
    widths: Annotated[tuple[Width, ...], MinLen(1)] = (16, 32, 64, 96, 160)
    squeeze: Width = 64
    hidden: Width = 256

    def __post_init__(self) -> None:
        if self.input_size % 2 ** len(self.widths):
            raise ConfigError(
                f"{self.input_size} pixels cannot be halved {len(self.widths)} times to widths {self.widths}",
                f"The input size must be a multiple of {2 ** len(self.widths)}.",
            )


@dataclass(frozen=True)
class LossWeights:
    """Weights of the losses on portraits whose coefficients are known, each a mean over the batch.

    Attributes:
        photometric: squared colour difference in [-1, 1], mean over the face mask.
        landmark: mean distance of the landmarks, in hundredths of the image side.
        rotation: mean absolute error of the rotation, in degrees.
        expression_landmark: like `landmark`, with only the expression taken from the encoder.
        rotation_landmark: like `landmark`, with only the rotation taken from the encoder.
        effect: squared error of each block measured by what it changes (vertices, colours, shading), relative
            to the variance of that over the portraits; mean over the blocks.
        coefficients: squared error in standard deviations, mean over the coefficients.
    """

    photometric: float = 1.0
    landmark: float = 0.2
    rotation: float = 0.1
    expression_landmark: float = 1.5
    rotation_landmark: float = 0.1
    effect: float = 1.0
    coefficients: float = 0.2


@dataclass(frozen=True)
class Augmentation:
    """What makes the encoder robust to images that a generator made; nothing here moves the face.

    Attributes:
        smallest: smallest side, in pixels, of the random down- and up-sampling that blurs.
        clean: share of the batch that is not blurred.
        noise: largest standard deviation of pixel noise, images in [-1, 1].
        blotches: largest standard deviation of smooth colour blotches.
        gain: largest relative change of a colour channel; the illumination changes with it.
        flip: mirror half of the batch, where the face model can mirror θ.
    """

    smallest: int = 20
    clean: float = 0.25
    noise: float = 0.08
    blotches: float = 0.12
    gain: float = 0.08
    flip: bool = True


@dataclass(frozen=True)
class SampleTraining:
    """Training as published, on the generator's own samples, without any label (MoFA, §5).

    A set of samples is made once, with the landmarks that the detector finds, and a part of it replaced now and then.

    Attributes:
        pool: samples that are kept, over all processes, at least 8.
        refresh_every: steps after which some of them (8) are replaced by new ones; 0 for never.
        truncation: samples are drawn towards the mean latent, 1 for not at all; above 0, at most 2.
        photometric: weight of the squared colour difference in [-1, 1], mean over the face mask.
        landmark: weight of the mean distance of the landmarks, in hundredths of the image side.
        identity, expression, albedo: weights of the squared coefficients in standard deviations, mean over a block.
        illumination: weight of the squared difference to the mean light, in the unit of the block, mean over it.
        scales: unit of each block, where it is not to be that of the face model: standard deviations are 1, activations
            0.3, angles 0.2 radians, lights 0.3, and a translation what moves the face by 2 % of the image.
    """

    pool: Annotated[int, Ge(8)] = 2048
    refresh_every: Annotated[int, Ge(0)] = 8
    truncation: Annotated[float, Interval(gt=0, le=2)] = 1.0
    photometric: float = 6.0
    landmark: float = 0.4
    identity: float = 0.04
    expression: float = 0.02
    albedo: float = 0.02
    illumination: float = 0.02
    scales: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainEncoderConfig(EngineSettings):
    """Settings of the recipe that trains the face encoder: on labelled portraits (`dataset`) or, without any, on the
    generator's own samples.

    Attributes:
        output: folder for the weights, the curve, the state and the sample sheet.
        dataset: folder of labelled portraits; empty: the generator's samples, without labels.
        heldout: folder of labelled portraits that measure; the last ones of `dataset` when empty.
        batch: portraits in each batch of a process, at least 1.
        learning_rate: of Adam, at its highest.
        weight_decay: of Adam.
        warmup: share of the budget in which the rate rises.
        render_every: steps between two photometric losses; null for 12 with labels and 2 without, 0 for never.
        render_batch: portraits in a photometric loss, at least 1; null for 4 with labels and 8 without.
        render_size: side in pixels at which they are compared, at least 1.
        measure_portraits: held-out portraits in a measurement, at least 1; null for 400 with labels and 64 without.
        heldout_seed: of the held-out samples, where there are no labels.
        samples: training without labels.
    """

    output: str = "outputs/encoder"
    dataset: str = ""
    heldout: str = ""
    batch: Annotated[int, Ge(1)] = 32
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    warmup: float = 0.03
    render_every: Annotated[int, Ge(0)] | None = None
    render_batch: Annotated[int, Ge(1)] | None = None
    render_size: Annotated[int, Ge(1)] = 64
    measure_portraits: Annotated[int, Ge(1)] | None = None
    heldout_seed: int = 900_001
    architecture: Architecture = field(default_factory=Architecture)
    weights: LossWeights = field(default_factory=LossWeights)
    samples: SampleTraining = field(default_factory=SampleTraining)
    augmentation: Augmentation = field(default_factory=Augmentation)

    usual_seconds: ClassVar[float] = 1080.0
    product: ClassVar[Product | None] = Product(Kind.ENCODER, "mofa", "encoder.safetensors")

    @property
    def rendering(self) -> tuple[int, int]:
        """Steps between two photometric losses, and portraits in one; 0 steps for never."""
        every, batch = (12, 4) if self.dataset else (2, 8)
        return every if self.render_every is None else self.render_every, self.render_batch or batch

    @property
    def portraits_measured(self) -> int:
        """Held-out portraits in a measurement."""
        return self.measure_portraits or (400 if self.dataset else 64)
