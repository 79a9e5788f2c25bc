"""Settings of the linear editor and of its fit; imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from pie_framework.api import AssetPath
from pie_framework.errors import ConfigError

#: Directions of the generator of the embedded world.
DEFAULT_WEIGHTS = "pkg://pie_synthetic/weights/directions.safetensors"


@dataclass(frozen=True)
class LinearConfig:
    """Settings of the component.

    Attributes:
        weights: weight file, `pkg://package/path` or a path.
        conditional: leave the main directions of all other blocks as they are (InterFaceGAN, §3.3).
        main: how many main directions each other block has; only `conditional` uses it.
    """

    weights: AssetPath = DEFAULT_WEIGHTS
    conditional: bool = False
    main: int = 4

    def __post_init__(self) -> None:
        if self.main < 1:
            raise ConfigError(f"main={self.main}: a block has one main direction at least")


@dataclass(frozen=True)
class TrainDirectionsConfig:
    """Settings of the recipe.

    Attributes:
        out: weight file to write (`.safetensors`).
        samples: latents drawn from the generator's prior.
        heldout: share of them that chooses the ridge and is measured.
        ridges: to choose from for each block, relative to the mean variance of w.
        batch: samples that are rendered at once.
        seed: of the samples.
        threads: CPU threads.
    """

    out: str = "outputs/directions.safetensors"
    samples: int = 4000
    heldout: float = 0.1
    ridges: tuple[float, ...] = (1e-8, 1e-4, 1e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)
    batch: int = 32
    seed: int = 0
    threads: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "ridges", tuple(self.ridges))
        if not 0 < self.heldout < 1 or round(self.samples * self.heldout) < 2:
            raise ConfigError(
                f"{self.samples} samples of which {self.heldout:g} are held out leave none to measure",
                "Hold out a share between 0 and 1, of enough samples.",
            )
        if round(self.samples * (1 - self.heldout)) < 2 or self.batch < 1 or self.threads < 1:
            raise ConfigError("directions need two samples to fit at least; batch and threads are at least 1")
        if not self.ridges or min(self.ridges) <= 0:
            raise ConfigError("ridges must be given, all above 0")
