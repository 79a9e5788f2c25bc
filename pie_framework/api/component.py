"""How a component is declared: by name and a lazy `module:callable`, so that listing imports no model code."""

from __future__ import annotations

import dataclasses
import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pie_framework.api.kinds import Kind, Slot
from pie_framework.errors import ComponentError, PluginError, did_you_mean, in_one_line

if TYPE_CHECKING:
    import torch

    from pie_framework.api.models import (
        FaceEncoder,
        FaceModel,
        FeatureNetwork,
        Generator,
        Inverter,
        LandmarkDetector,
        RigNetwork,
    )

#: Version (major, minor) of the plugin contract. A component works with every later minor version of its major version.
API_VERSION = (1, 1)
#: Default of a setting that must be given.
MISSING: Any = "???"
#: Names of components: what configuration can write without quotes.
NAME = re.compile(r"[a-z][a-z0-9_]*")
#: Names that YAML, Hydra or a run reads as something else; `none` chooses nothing.
RESERVED = frozenset({"null", "true", "false", "yes", "no", "on", "off", "inf", "nan", "none"})
COMMAND_NAME = re.compile(r"[a-z][a-z0-9_-]*")
TARGET = re.compile(r"\w+(\.\w+)*:\w+(\.\w+)*")


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
    """What a factory gets beside its settings: the other components of the run, each built on first use.

    Raises:
        ComponentError: by each of the methods that give one, when the run has none; say in `requires` what is needed.
    """

    device: torch.device
    dtype: torch.dtype
    #: The blocks τ of this run, in the order of its setting `blocks`.
    blocks: tuple[str, ...]

    def get(self, kind: Kind | str, name: str | None = None) -> Any:
        """A component of any kind; the methods below give those of one kind with their type.

        Args:
            kind: its kind.
            name: the block of a rig or the role of a feature network; for other kinds a registered name, or None for
                the one that is chosen. A registered name that is not chosen is built with its default settings.
        """
        ...

    def generator(self) -> Generator:
        """G of the run."""
        return self.get(Kind.GENERATOR)  # type: ignore[no-any-return]

    def face_model(self) -> FaceModel:
        """The face model of the run."""
        return self.get(Kind.FACE_MODEL)  # type: ignore[no-any-return]

    def encoder(self) -> FaceEncoder:
        """The face encoder of the run."""
        return self.get(Kind.ENCODER)  # type: ignore[no-any-return]

    def landmarks(self) -> LandmarkDetector:
        """The landmark detector of the run."""
        return self.get(Kind.LANDMARKS)  # type: ignore[no-any-return]

    def inverter(self) -> Inverter:
        """The inverter of the run."""
        return self.get(Kind.INVERTER)  # type: ignore[no-any-return]

    def rig(self, block: str) -> RigNetwork:
        """RigNet for the block τ."""
        return self.get(Kind.RIG, block)  # type: ignore[no-any-return]

    def features(self, role: str) -> FeatureNetwork:
        """The feature network in a role: "perceptual" (Φ), "recognition" (Ψ), or one that a plugin adds."""
        return self.get(Kind.FEATURES, role)  # type: ignore[no-any-return]

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
    """A declaration; nothing of the model is imported until `load()`, and nothing is checked until `problem()`.

    Attributes:
        kind: what it is.
        name: how configuration and errors name it, `[a-z][a-z0-9_]*` and none of `RESERVED`; unique within its kind.
        target: "package.module:callable"; called as `callable(config, context)`.
        config: a dataclass of settings with defaults, in a module that imports no torch.
        summary: one sentence.
        assets: files it loads by default.
        requires: what must be composed beside it: kinds ("encoder", "face_model", "rig", "editor", "inverter",
            "landmarks"), "prior" for latents v drawn in every iteration, and feature networks by role
            ("features.recognition").
        api_version: (major, minor) of the contract it was written for, as two numbers, not as this module's
            `API_VERSION`, which is that of the running core. Required; only what a deprecated hook declares may leave
            it out, and then counts as (1, 0).
        packages: distributions without which it cannot be built, such as those of an extra of its own distribution;
            `pie doctor` tells of one that is absent.
    """

    kind: Kind
    name: str
    target: str
    config: type = EmptyConfig
    summary: str = ""
    assets: tuple[Asset, ...] = ()
    requires: frozenset[str] = frozenset()
    api_version: tuple[int, int] | None = None
    packages: tuple[str, ...] = ()

    def problem(self, api_version: tuple[int, int] = API_VERSION) -> ComponentError | None:
        """What is wrong with the declaration for a core of that version of the contract; None when nothing is."""
        what = f"the {self.kind} '{self.name}'"
        kind: object = self.kind
        if not isinstance(kind, Kind):
            return ComponentError(
                f"'{self.name}' is declared with the kind {self.kind!r}",
                "Use one of pie_framework.api.Kind: " + ", ".join(k.name for k in Kind) + ".",
            )
        if not isinstance(self.name, str) or not NAME.fullmatch(self.name):
            return ComponentError(
                f"the name {self.name!r} of {kind.article} is no name of a component",
                "It begins with a small letter and has only small letters, digits and underscores.",
            )
        if self.name in RESERVED and (kind, self.name) != (Kind.ALIGNER, "none"):
            return ComponentError(
                f"the name '{self.name}' of {kind.article} means something else in a configuration",
                "Choose another.",
            )
        if (wrong := _version_problem(what, self.api_version, api_version)) is not None:
            return wrong
        if not isinstance(self.config, type) or not dataclasses.is_dataclass(self.config):
            return ComponentError(f"the config of {what} must be a dataclass, not {self.config!r}")
        requires: object = self.requires
        if not isinstance(requires, (frozenset, set, tuple, list)) or not all(
            isinstance(r, str) for r in requires
        ):
            return ComponentError(f"the requires of {what} must be a set of texts, not {requires!r}")
        if (unknown := next((r for r in sorted(requires) if not _can_be_required(r)), None)) is not None:
            return ComponentError(
                f"{what} requires '{unknown}', which is not what a run can choose",
                did_you_mean(unknown.partition(".")[0], _REQUIRED),
            )
        assets: object = self.assets
        if not isinstance(assets, (tuple, list)) or not all(isinstance(a, Asset) for a in assets):
            return ComponentError(f"the assets of {what} must be a tuple of Asset, not {assets!r}")
        packages: object = self.packages
        if not isinstance(packages, (tuple, list)) or not all(isinstance(p, str) for p in packages):
            return ComponentError(f"the packages of {what} must be a tuple of texts, not {packages!r}")
        return _text_problem(what, self.target, self.summary)

    def load(self) -> Callable[[Any, BuildContext], Any]:
        """Import the target and return the callable; PluginError names the component when that fails."""
        return _load(f"{self.kind} '{self.name}'", self.target)


@dataclass(frozen=True)
class Command:
    """A sub-command of `pie`, imported when it is called.

    Attributes:
        name: what follows `pie`, `[a-z][a-z0-9_-]*`.
        target: "package.module:callable"; called with the words behind the name (a list of str), it returns the exit
            status: 0 done, 1 its own failure, 2 bad input. It may raise `PieError`.
        summary: one line of `pie --help`.
        api_version: as of a `Component`.
    """

    name: str
    target: str
    summary: str
    api_version: tuple[int, int] | None = None

    def problem(self, api_version: tuple[int, int] = API_VERSION) -> ComponentError | None:
        """What is wrong with the declaration for a core of that version of the contract; None when nothing is."""
        if not isinstance(self.name, str) or not COMMAND_NAME.fullmatch(self.name):
            return ComponentError(
                f"the name {self.name!r} is no name of a command",
                "It begins with a small letter and has only small letters, digits, underscores and hyphens.",
            )
        what = f"the command '{self.name}'"
        wrong = _version_problem(what, self.api_version, api_version)
        return wrong or _text_problem(what, self.target, self.summary)

    def load(self) -> Callable[[list[str]], int]:
        """Import the target and return the callable; PluginError names the command when that fails."""
        return _load(f"command '{self.name}'", self.target)


#: What a component may require: the kinds that a run chooses one of, or one for each block or role, and v.
_REQUIRED = ("prior", *(k.value for k in Kind if k.slot in (Slot.ONE, Slot.PER_BLOCK, Slot.PER_ROLE)))


def _can_be_required(what: str) -> bool:
    """Whether it is a kind, `prior`, or the block or role of a kind that has several."""
    kind, dot, part = what.partition(".")
    if kind not in _REQUIRED or not dot:
        return kind in _REQUIRED
    return bool(part) and kind != "prior" and Kind(kind).slot is not Slot.ONE


def _version_problem(what: str, stated: object, api_version: tuple[int, int]) -> ComponentError | None:
    if stated is None:
        return ComponentError(
            f"{what} does not say for which version of the plugin contract it was written",
            f"Give it api_version={api_version}.",
        )
    if (
        not isinstance(stated, tuple)
        or len(stated) != 2
        or not all(isinstance(n, int) and not isinstance(n, bool) for n in stated)
    ):
        return ComponentError(
            f"the api_version {stated!r} of {what} is no version",
            f"It is (major, minor), such as {api_version}.",
        )
    if stated[0] != api_version[0] or stated[1] > api_version[1]:
        newer = stated > api_version
        return ComponentError(
            f"{what} is written for version {stated[0]}.{stated[1]} of the plugin contract, "
            f"this is version {api_version[0]}.{api_version[1]}",
            f"Upgrade {'pie-framework' if newer else 'the plugin'}.",
        )
    return None


def _text_problem(what: str, target: object, summary: object) -> ComponentError | None:
    if not isinstance(target, str) or not TARGET.fullmatch(target):
        return ComponentError(f"the target {target!r} of {what} is not 'module:callable'")
    if not isinstance(summary, str):
        return ComponentError(f"the summary of {what} is not a sentence, but {summary!r}")
    return None


def _load(what: str, address: str) -> Callable[..., Any]:
    module_name, _, attribute = address.partition(":")
    try:
        target: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            target = getattr(target, part)
        if not callable(target):
            raise TypeError(f"{target!r} cannot be called")
    except (Exception, SystemExit) as error:
        raise PluginError(f"{what} cannot be loaded from '{address}': {in_one_line(error)}") from error
    return target  # type: ignore[no-any-return]
