"""The settings of a bench: conf/bench.yaml with the options of the group `set`, checked. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from annotated_types import Ge
from omegaconf import DictConfig

from pie_framework.composition.compose import compose
from pie_framework.composition.hydra_setup import options
from pie_framework.errors import ConfigError, did_you_mean
from pie_framework.plugins import Registry
from pie_framework.settings import merge

ROOT = "bench"
#: What `source` names in an edit: another portrait drawn from the same scenes.
ANOTHER = "another"
#: The name of the row, and of the picture, without any edit.
RECONSTRUCTION = "reconstruction"


@dataclass
class BenchConfig:
    """Settings of `pie bench`; conf/bench.yaml says what they mean."""

    set: str = ""
    methods: list[str] = field(default_factory=list)
    overrides: list[str] = field(default_factory=list)
    portraits: Annotated[int, Ge(1)] = 2
    portraits_seed: Annotated[int, Ge(0)] = 7001
    scenes: dict[str, Any] = field(default_factory=dict)
    seeds: list[int] = field(default_factory=lambda: [0])
    chunk: Annotated[int, Ge(1)] = 2
    edits: dict[str, list[str]] = field(default_factory=dict)
    judge: list[str] = field(default_factory=list)
    pictures: Annotated[int, Ge(0)] = 2
    device: str = "auto"
    workers: Annotated[int, Ge(1)] = 2
    outputs: str = "outputs/bench"
    job: int | None = None

    @property
    def chunks(self) -> int:
        """Into how many groups the portraits are split."""
        return -(-self.portraits // self.chunk)

    def rows(self, chunk: int) -> range:
        """The numbers of the portraits of a group."""
        return range(chunk * self.chunk, min((chunk + 1) * self.chunk, self.portraits))


def load(overrides: Sequence[str], registry: Registry) -> BenchConfig:
    """Compose the settings as `pie bench OVERRIDES` does.

    Raises:
        ConfigError: a set, method or key that does not exist (names the near ones), or a value out of range.
    """
    return parse(compose(overrides, registry, ROOT))


def parse(config: DictConfig | Mapping[str, Any]) -> BenchConfig:
    """Check composed settings and give them as a dataclass."""
    bench = merge(BenchConfig, config)
    for key in ("methods", "seeds", "edits"):
        values = list(getattr(bench, key))
        if not values:
            raise ConfigError(f"{key} is empty", f"Choose a set, such as set=smoke, or give {key}.")
        twice = next((value for value in values if values.count(value) > 1), None)
        if twice is not None:
            raise ConfigError(f"{key}: '{twice}' is there twice")
    for name in bench.edits:
        if name == RECONSTRUCTION or not re.fullmatch(r"[A-Za-z0-9_+-]+", name):
            raise ConfigError(
                f"edits: '{name}' cannot be the name of an edit", "Use letters, digits, _, + and -."
            )
    if not isinstance(bench.scenes.get("name"), str):
        raise ConfigError("scenes does not say which source it is", "Give scenes.name=NAME.")
    return bench


def need_option(group: str, name: str) -> None:
    """ConfigError with the near names when a group of the configuration has no such option."""
    known = options(group)
    if name not in known:
        raise ConfigError(f"the group '{group}' has no option '{name}'", did_you_mean(name, known))
