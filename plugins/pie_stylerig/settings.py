"""Settings of the rig networks and of their training; imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, MinLen

from pie_framework.api import AssetPath, Kind
from pie_training import EngineSettings, Product

#: Weights of the rigs of the embedded world, by block.
DEFAULT_WEIGHTS = "pkg://pie_synthetic/weights/rig_{block}.safetensors"
ROTATION_WEIGHTS = DEFAULT_WEIGHTS.format(block="rotation")


@dataclass(frozen=True)
class RigConfig:
    """Settings of the component.

    Attributes:
        weights: weight file, `pkg://package/path` or a path; it tells the block that it edits.
    """

    weights: AssetPath = ROTATION_WEIGHTS


@dataclass(frozen=True)
class Architecture:
    """Shape of a rig network; stored with the weights.

    Attributes:
        code: width of each layer's code l_i, at least 1; 32 in StyleRig.
        hidden: width of an ELU layer between [l_i, θ^τ] and d_i; 0 for StyleRig's linear decoder.
        readout: read the present θ^τ from w, and move w by the decoder's answer to what is asked less that to what
            was read, so that asking for what is there changes nearly nothing. Not in StyleRig.
    """

    code: Annotated[int, Ge(1)] = 32
    hidden: Annotated[int, Ge(0)] = 0
    readout: bool = False


@dataclass(frozen=True)
class RigWeights:
    """Weights of the training losses, each a mean over the batch.

    The first four make StyleRig's losses (§4), both ways between w and v. The others are added here.

    Attributes:
        reconstruction: ‖RigNet(w, θ_w^τ) - w‖², mean over the components, in standard deviations of w.
        edit: ℓ of the edit loss, in units of its value for a rig that changes nothing.
        consistency: ℓ of the consistency loss, in the same units.
        landmark: of the landmarks within ℓ: mean squared distance, in tenths of the image side.
        photometric: of the colours within ℓ: squared colour difference in [-1, 1], mean over the face mask.
        coefficients: added to ℓ: squared difference of the coefficients in standard deviations, mean over the
            block that ℓ compares.
        drift: ‖ŵ - w‖² as above: the shortest change that does what is asked.
        recognition: squared distance of the recognition embeddings of G(ŵ) and G(w); through images only.
        background: squared colour difference of G(ŵ) and G(w) outside both faces; through images only.
        pairs: ‖ŵ - w'‖² in standard deviations, in units of ‖w' - w‖², where w' is the latent of the true edit.
        truth: squared difference of the change of colours, G(ŵ) - G(w), to that of the true edit, in units of
            the true change; through images only.
    """

    reconstruction: float = 2.0
    edit: float = 1.0
    consistency: float = 1.0
    landmark: float = 10.0
    photometric: float = 2.0
    coefficients: float = 0.05
    drift: float = 0.05
    recognition: float = 0.2
    background: float = 1.0
    pairs: float = 1.0
    truth: float = 1.0


@dataclass(frozen=True)
class TrainRigConfig(EngineSettings):
    """Settings of the recipe that trains rig networks; all blocks share the samples. A step trains every block once.

    Attributes:
        output: folder for the weights, the curve, the state and the sample sheet.
        blocks: the blocks τ, one rig each, at least one; those that the face model does not have are left out.
        optimizer: "adam", or "adadelta" as published (with learning_rate=0.01).
        learning_rate: at its highest.
        pool: latents drawn from the prior, over all processes, with their coefficients and small images, at least 32;
            200 000 in StyleRig.
        spread: share of the pool that gets its own offset in every layer, as W+ optimisation does.
        offset: standard deviation of those offsets, in standard deviations of w.
        mlp_hidden: width of the network from latent to coefficients.
        mlp_steps: its training steps before the rigs start.
        batch: pairs (w, v) per step through the latent-to-coefficients network.
        image_batch: pairs per step through generator and encoder.
        image_from: share of the budget after which steps go through the images; 1 for never, 0 for always.
        control_variate: use the latent-to-coefficients network to lower the noise of steps through images.
        refresh_every: steps between two refreshes, in which rigged latents with the coefficients of their images
            are added to the training set of the latent-to-coefficients network; 0 for never.
        refresh: rigged latents in a refresh.
        refresh_steps: training steps of the latent-to-coefficients network in a refresh.
        render_size: side in pixels of the photometric loss.
        render_batch: pairs in a step through images that are rendered for the losses that need pixels; for the
            others a quadratic form stands for the photometric loss (see `losses.photometric_metric`).
        metric_samples: coefficients at which that form is measured.
        pairs: folder of portraits with true edits; empty: own samples only, as published. The others of this group
            and the losses `pairs` and `truth` are for it, and an inverter must be composed.
        reader: `module:callable` that opens the folder as an `EditReader`; empty: the one that an installed recipe for
            portraits names.
        pair_count: edited portraits of each block that are read.
        pair_share: share of the budget in which the rigs only learn the latents of true edits, without images.
        pair_batch: edits per step of that.
        pair_learning_rate: at its highest, while no images are used.
        known: share of them that are asked for by the change of the true θ, added to what is read from w; the
            others by what is read from the edited portrait's reconstruction.
        truth_every: of the steps through images, each n-th compares with pictures of true edits; 0 for none.
        measure_latents: held-out latents in a measurement, at least 2.
        heldout_seed: of the held-out latents.
    """

    output: str = "outputs/rig"
    blocks: Annotated[tuple[str, ...], MinLen(1)] = ("rotation", "expression", "illumination")
    clip: Annotated[float, Ge(0)] = 0.0
    ema: Annotated[float, Ge(0)] = 50.0
    optimizer: Literal["adam", "adadelta"] = "adam"
    learning_rate: float = 5e-4
    pool: Annotated[int, Ge(32)] = 3072
    spread: float = 0.4
    offset: float = 0.3
    mlp_hidden: int = 256
    mlp_steps: int = 200
    batch: int = 64
    image_batch: int = 4
    image_from: float = 0.12
    control_variate: bool = False
    refresh_every: int = 250
    refresh: int = 192
    refresh_steps: int = 250
    render_size: int = 64
    render_batch: int = 1
    metric_samples: int = 6
    pairs: str = ""
    reader: str = ""
    pair_count: int = 1000
    pair_share: float = 0.4
    pair_batch: int = 128
    pair_learning_rate: float = 1e-3
    known: float = 0.5
    truth_every: int = 2
    measure_every: Annotated[int, Ge(1)] = 500
    measure_latents: Annotated[int, Ge(2)] = 48
    heldout_seed: int = 900_001
    architecture: Architecture = field(default_factory=Architecture)
    weights: RigWeights = field(default_factory=RigWeights)

    usual_seconds: ClassVar[float] = 600.0
    product: ClassVar[Product | None] = Product(Kind.RIG, "stylerig", "rig_{block}.safetensors")
