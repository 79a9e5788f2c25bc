"""Settings of the linear editor and of its fit; imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Gt, Interval, MinLen

from pie_framework.api import AssetPath
from pie_framework.errors import ConfigError

#: Directions of the generator of the embedded world.
DEFAULT_WEIGHTS = "pkg://pie_synthetic/weights/directions.safetensors"
Ridges = Annotated[tuple[Annotated[float, Gt(0)], ...], MinLen(1)]


@dataclass(frozen=True)
class LinearConfig:
    """Settings of the component.

    Attributes:
        weights: weight file, `pkg://package/path` or a path.
        conditional: leave the main directions of all other blocks as they are (InterFaceGAN, §3.3).
        main: how many main directions each other block has, at least 1; only `conditional` uses it.
    """

    weights: AssetPath = DEFAULT_WEIGHTS
    conditional: bool = False
    main: Annotated[int, Ge(1)] = 4


@dataclass(frozen=True)
class TrainDirectionsConfig:
    """Settings of the recipe.

    Attributes:
        out: weight file to write (`.safetensors`).
        samples: latents drawn from the generator's prior.
        heldout: share of them that chooses the ridge and is measured, between 0 and 1.
        ridges: to choose from for each block, relative to the mean variance of w, each above 0.
        batch: samples that are rendered at once, at least 1.
        seed: of the samples.
        threads: CPU threads, at least 1.
    """

    out: str = "outputs/directions.safetensors"
    samples: int = 4000
    heldout: Annotated[float, Interval(gt=0, lt=1)] = 0.1
    ridges: Ridges = (1e-8, 1e-4, 1e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)
    batch: Annotated[int, Ge(1)] = 32
    seed: int = 0
    threads: Annotated[int, Ge(1)] = 1

    def __post_init__(self) -> None:
        if round(self.samples * self.heldout) < 2:
            raise ConfigError(
                f"{self.samples} samples of which {self.heldout:g} are held out leave none to measure",
                "Hold out a larger share, or draw more samples.",
            )
        if round(self.samples * (1 - self.heldout)) < 2:
            raise ConfigError("directions need two samples to fit at least")
