"""The settings of `pie bench models`: conf/bench_models.yaml, checked. Imports no torch."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from omegaconf import DictConfig

from pie_bench.settings import check_least
from pie_framework.composition.compose import compose
from pie_framework.composition.schema import RunConfig, parse
from pie_framework.errors import ConfigError
from pie_framework.plugins import Registry
from pie_framework.settings import given_values, merge

ROOT = "bench_models"


@dataclass
class ProjectionConfig:
    """How portraits are projected to W+.

    Attributes:
        steps: of Adam.
        lr: step size at the start; it falls to 0 along a half cosine.
        ssim: weight of 1 - SSIM beside the mean squared error.
    """

    steps: int = 60
    lr: float = 0.05
    ssim: float = 0.02


@dataclass
class ModelsConfig:
    """Settings of `pie bench models` beside those of its networks; conf/bench_models.yaml says what they mean."""

    portraits: int = 256
    seed: int = 424242
    shots: int = 4
    scenes: dict[str, Any] = field(default_factory=dict)
    judge: dict[str, Any] = field(default_factory=dict)
    projection: ProjectionConfig = field(default_factory=ProjectionConfig)
    yaws: list[float] = field(default_factory=lambda: [-20.0, -10.0, 0.0, 10.0, 20.0])
    corrections: int = 2
    samples: int = 1024
    batch: int = 8
    workers: int = 2
    outputs: str = "outputs/bench_models"

    def rows(self, number: int) -> range:
        """The persons of a batch, by its number."""
        return range(number * self.batch, min((number + 1) * self.batch, self.portraits))


def load(overrides: Sequence[str], registry: Registry) -> tuple[ModelsConfig, RunConfig]:
    """Compose the settings as `pie bench models OVERRIDES` does.

    Raises:
        ConfigError: a group, option or key that does not exist (names the near ones), or a value out of range.
    """
    return split(compose(overrides, registry, ROOT))


def split(config: DictConfig | Mapping[str, Any]) -> tuple[ModelsConfig, RunConfig]:
    """A composed configuration as the measures' settings and the networks'."""
    plain = given_values(config)
    own = {f.name: plain.pop(f.name) for f in dataclasses.fields(ModelsConfig) if f.name in plain}
    settings, run = merge(ModelsConfig, own), parse(plain)
    check_least(settings, portraits=2, seed=0, shots=1, corrections=0, samples=0, batch=1, workers=1)
    if settings.samples == 1:
        raise ConfigError("samples: 1 has no covariance", "Use 0 to leave the Fréchet distance out.")
    if settings.projection.steps < 0 or settings.projection.ssim < 0 or not settings.projection.lr > 0:
        raise ConfigError("projection: steps and ssim are at least 0, lr is above 0")
    if not all(math.isfinite(yaw) for yaw in settings.yaws):
        raise ConfigError("yaws: they are degrees, finite numbers")
    for key in ("scenes", "judge"):
        node = getattr(settings, key)
        if not isinstance(node.get("name"), str) and (node or key == "scenes"):
            raise ConfigError(f"{key} does not say which component it is", f"Give {key}.name=NAME.")
    return settings, run
