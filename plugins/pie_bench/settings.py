"""The settings of a bench: conf/bench.yaml with the options of the group `set`, checked. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from omegaconf import DictConfig

from pie_framework.composition import compose
from pie_framework.errors import ConfigError, did_you_mean
from pie_framework.plugins import Registry
from pie_framework.settings import merge

ROOT = "bench"
#: What `source` names in an edit: another portrait drawn from the same scenes.
ANOTHER = "another"
#: The name of the row, and of the picture, without any edit.
RECONSTRUCTION = "reconstruction"
#: Settings that do not change a row: where it runs, where it is kept, what else is in the bench.
ELSEWHERE = ("set", "methods", "seeds", "workers", "outputs", "job", "device", "overrides")


@dataclass
class BenchConfig:
    """Settings of `pie bench`; conf/bench.yaml says what they mean."""

    set: str = ""
    methods: list[str] = field(default_factory=list)
    overrides: list[str] = field(default_factory=list)
    portraits: int = 2
    portraits_seed: int = 7001
    scenes: dict[str, Any] = field(default_factory=dict)
    seeds: list[int] = field(default_factory=lambda: [0])
    chunk: int = 2
    edits: dict[str, list[str]] = field(default_factory=dict)
    judge: list[str] = field(default_factory=list)
    pictures: int = 2
    device: str = "auto"
    workers: int = 2
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
    return parse(compose.compose(overrides, registry, ROOT))


def parse(config: DictConfig | Mapping[str, Any]) -> BenchConfig:
    """Check composed settings and give them as a dataclass."""
    bench = merge(BenchConfig, config)
    for key in ("portraits", "chunk", "workers"):
        if getattr(bench, key) < 1:
            raise ConfigError(f"{key}: {getattr(bench, key)} is too small", "It is at least 1.")
    for key in ("portraits_seed", "pictures"):
        if getattr(bench, key) < 0:
            raise ConfigError(f"{key}: {getattr(bench, key)} is too small", "It is at least 0.")
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


def options(group: str) -> list[str]:
    """The options of a group of the bench's configuration: the core's and the plugins'."""
    from hydra.core.global_hydra import GlobalHydra

    with compose.initialised():
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        found: list[str] = hydra.config_loader.get_group_options(group)
    return found


def need_option(group: str, name: str) -> None:
    """ConfigError with the near names when a group has no such option."""
    known = options(group)
    if name not in known:
        raise ConfigError(f"the group '{group}' has no option '{name}'", did_you_mean(name, known))
