"""The settings of `pie bench models`: conf/bench_models.yaml, checked. Imports no torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from annotated_types import Ge, Gt, IsFinite
from omegaconf import DictConfig

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
        steps: of Adam, at least 0.
        lr: step size at the start, above 0; it falls to 0 along a half cosine.
        ssim: weight of 1 - SSIM beside the mean squared error.
    """

    steps: Annotated[int, Ge(0)] = 60
    lr: Annotated[float, Gt(0)] = 0.05
    ssim: Annotated[float, Ge(0)] = 0.02


@dataclass
class ModelsConfig:
    """Settings of `pie bench models` beside those of its networks; conf/bench_models.yaml says what they mean."""

    portraits: Annotated[int, Ge(2)] = 256
    seed: Annotated[int, Ge(0)] = 424242
    shots: Annotated[int, Ge(1)] = 4
    scenes: dict[str, Any] = field(default_factory=dict)
    judge: dict[str, Any] = field(default_factory=dict)
    projection: ProjectionConfig = field(default_factory=ProjectionConfig)
    yaws: list[IsFinite[float]] = field(default_factory=lambda: [-20.0, -10.0, 0.0, 10.0, 20.0])
    corrections: Annotated[int, Ge(0)] = 2
    samples: Annotated[int, Ge(0)] = 1024
    batch: Annotated[int, Ge(1)] = 8
    workers: Annotated[int, Ge(1)] = 2
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
    if settings.samples == 1:
        raise ConfigError("samples: 1 has no covariance", "Use 0 to leave the Fréchet distance out.")
    for key in ("scenes", "judge"):
        node = getattr(settings, key)
        if not isinstance(node.get("name"), str) and (node or key == "scenes"):
            raise ConfigError(f"{key} does not say which component it is", f"Give {key}.name=NAME.")
    return settings, run
