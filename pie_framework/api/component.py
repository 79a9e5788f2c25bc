"""How a component is declared: by name and a lazy `module:callable`, so that listing imports no model code."""

from __future__ import annotations

import dataclasses
import enum
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pie_framework.errors import ComponentError

if TYPE_CHECKING:
    import torch

#: Version of the plugin contract; a component declared for another one is refused by name.
API_VERSION = 1


class Kind(str, enum.Enum):
    """The kinds of component; the value is also the name of the Hydra group that selects one."""

    ENERGY = "energy"
    GENERATOR = "generator"
    FACE_MODEL = "face_model"
    ENCODER = "encoder"
    RIG = "rig"
    FEATURES = "features"
    LANDMARKS = "landmarks"
    ALIGNER = "aligner"
    EDITOR = "editor"
    INVERTER = "inverter"
    TRAINER = "trainer"
    SCENES = "scenes"
    CONVERTER = "converter"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Asset:
    """A file that a component loads.

    Attributes:
        name: how `pie plugins show` names it.
        uri: `pkg://package/path` for a file inside an installed package.
        sha256: hexadecimal digest, or None where it is not known.
        licence: SPDX identifier or a short statement.
    """

    name: str
    uri: str
    sha256: str | None = None
    licence: str = ""


class BuildContext(Protocol):
    """What a factory gets beside its settings."""

    device: torch.device
    dtype: torch.dtype
    #: The blocks τ of this run.
    blocks: tuple[str, ...]

    def get(self, kind: Kind | str, name: str | None = None) -> Any:
        """Another composed component of this run, built on first use (say, an encoder asking for the face model)."""
        ...

    def chosen(self, kind: Kind | str, name: str | None = None) -> str | None:
        """The name of the component that this run chose, or None; `name` is the block of a rig or the role of a feature
        network. Nothing is built."""
        ...

    def asset(self, uri: str, folder: bool = False) -> str:
        """The local path of an asset: `pkg://package/path`, `asset://NAME`, or a path as the user wrote it.

        Args:
            uri: its address.
            folder: whether a folder will do as well as a file.

        Raises:
            AssetError: it is absent, or a folder where a file is needed.
        """
        ...


@dataclass(frozen=True)
class EmptyConfig:
    """Settings of a component that has none."""


@dataclass(frozen=True)
class Component:
    """A declaration; nothing of the model is imported until `load()`.

    Attributes:
        kind: what it is.
        name: how configuration and errors name it; unique within its kind.
        target: "package.module:callable"; called as `callable(config, context)`.
        config: a dataclass of settings with defaults, in a module that imports no torch.
        summary: one sentence.
        assets: files it loads by default.
        requires: what must be composed beside it: kinds ("encoder", "face_model", "rig", "editor", "inverter",
            "landmarks"), "prior" for
            latents v drawn in every iteration, and feature networks by role ("features.recognition").
        api_version: version of this contract it was written for.
    """

    kind: Kind
    name: str
    target: str
    config: type = EmptyConfig
    summary: str = ""
    assets: tuple[Asset, ...] = ()
    requires: frozenset[str] = frozenset()
    api_version: int = API_VERSION

    def __post_init__(self) -> None:
        if not dataclasses.is_dataclass(self.config):
            raise ComponentError(
                f"{self.kind} '{self.name}': config must be a dataclass, not {self.config!r}"
            )
        module, _, attribute = self.target.partition(":")
        if not module or not attribute:
            raise ComponentError(
                f"{self.kind} '{self.name}': target '{self.target}' is not 'module:callable'"
            )

    def load(self) -> Callable[[Any, BuildContext], Any]:
        """Import the target and return the callable; ComponentError names the component when that fails."""
        module_name, _, attribute = self.target.partition(":")
        try:
            target = importlib.import_module(module_name)
            for part in attribute.split("."):
                target = getattr(target, part)
        except (ImportError, AttributeError) as error:
            raise ComponentError(
                f"{self.kind} '{self.name}' cannot be loaded from '{self.target}': {error}"
            ) from error
        return target  # type: ignore[return-value]
