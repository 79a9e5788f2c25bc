"""Settings of the face encoder and of its training; imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field

from pie_framework.errors import ConfigError

#: Weights of the encoder of the embedded world.
DEFAULT_WEIGHTS = "pkg://pie_synthetic/weights/encoder.safetensors"
#: Weights of an encoder trained apart, which reads what edits achieved and takes part in no energy.
JUDGE_WEIGHTS = "pkg://pie_synthetic/weights/judge.safetensors"


@dataclass(frozen=True)
class EncoderConfig:
    """Settings of the component.

    Attributes:
        weights: weight file, `pkg://package/path` or a path.
        features: dtype of the feature maps: "same" as the run's, "float32", or "bfloat16".
    """

    weights: str = DEFAULT_WEIGHTS
    features: str = "same"

    def __post_init__(self) -> None:
        if self.features not in ("same", "float32", "bfloat16"):
            raise ConfigError(f"features is '{self.features}'", "Use 'same', 'float32' or 'bfloat16'.")


@dataclass(frozen=True)
class Architecture:
    """Shape of the network; stored with the weights.

    Attributes:
        input_size: side in pixels that images are brought to.
        widths: channels after each halving of the side; a residual block follows each but the first.
        squeeze: channels of the last map before it is flattened.
        hidden: width of the layer between the map and the heads.
    """

    input_size: int = 128
    widths: tuple[int, ...] = (16, 32, 64, 96, 160)
    squeeze: int = 64
    hidden: int = 256

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", tuple(int(width) for width in self.widths))
        halvings = 2 ** len(self.widths)
        if not self.widths or min(*self.widths, self.squeeze, self.hidden) < 1 or self.input_size % halvings:
            raise ConfigError(
                f"{self.input_size} pixels cannot be halved {len(self.widths)} times to widths {self.widths}",
                f"Widths must be positive and the input size a multiple of {halvings}.",
            )


@dataclass(frozen=True)
class LossWeights:
    """Weights of the training losses, each a mean over the batch.

    The first three are MoFA's (§5); the others need portraits whose coefficients are known, and are left out
    of the label-free recipe.

    Attributes:
        photometric: squared colour difference in [-1, 1], mean over the face mask.
        landmark: mean distance of the landmarks, in hundredths of the image side.
        prior: squared coefficients of identity, expression and albedo, in standard deviations.
        rotation: mean absolute error of the rotation, in degrees.
        expression_landmark: like `landmark`, with only the expression taken from the encoder.
        rotation_landmark: like `landmark`, with only the rotation taken from the encoder.
        effect: squared error of each block measured by what it changes (vertices, colours, shading), relative
            to the variance of that over the portraits; mean over the blocks.
        coefficients: squared error in standard deviations, mean over the coefficients.
    """

    photometric: float = 1.0
    landmark: float = 0.2
    prior: float = 0.0
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
class TrainEncoderConfig:
    """Settings of the recipe that trains the face encoder.

    Attributes:
        output: folder for the weights, the curve and the state.
        dataset: folder of labelled portraits; not needed when `pure_self_supervised`.
        heldout: folder of labelled portraits that measure; the last ones of `dataset` when empty.
        seconds: time budget, 0 for none.
        steps: step budget, 0 for none.
        stop_at: stop after this many steps so as to resume later; 0 for not.
        seed: of initialisation, batches and augmentation.
        threads: CPU threads.
        resume: go on from the state in `output`.
        batch: portraits per step.
        learning_rate: of Adam, at its highest.
        weight_decay: of Adam.
        warmup: share of the budget in which the rate rises.
        bfloat16: convolutions in bfloat16.
        render_every: steps between two photometric losses.
        render_batch: portraits in a photometric loss.
        render_size: side in pixels at which they are compared.
        measure_every: steps between two measurements.
        measure_portraits: held-out portraits in a measurement.
        save_seconds: seconds between two saved states.
        pure_self_supervised: train as published, on the generator's samples, without any label.
        scales: for `pure_self_supervised`: the unit of each block of coefficients.
        ambient: for `pure_self_supervised`: shading of the light that the encoder starts from.
    """

    output: str = "outputs/encoder"
    dataset: str = ""
    heldout: str = ""
    seconds: float = 1080.0
    steps: int = 0
    stop_at: int = 0
    seed: int = 0
    threads: int = 1
    resume: bool = False
    batch: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    warmup: float = 0.03
    bfloat16: bool = True
    render_every: int = 12
    render_batch: int = 4
    render_size: int = 64
    measure_every: int = 400
    measure_portraits: int = 400
    save_seconds: float = 60.0
    pure_self_supervised: bool = False
    scales: dict[str, float] = field(
        default_factory=lambda: {
            "rotation": 0.2,
            "translation": 0.1,
            "identity": 1.0,
            "albedo": 1.0,
            "expression": 0.3,
            "illumination": 0.5,
        }
    )
    ambient: float = 0.8
    architecture: Architecture = field(default_factory=Architecture)
    weights: LossWeights = field(default_factory=LossWeights)
    augmentation: Augmentation = field(default_factory=Augmentation)
