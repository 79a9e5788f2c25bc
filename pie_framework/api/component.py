"""How a component is declared: by name and a lazy `module:callable`, so that listing imports no model code."""

from __future__ import annotations

import dataclasses
import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pie_framework.api.kinds import Kind
from pie_framework.errors import ComponentError

if TYPE_CHECKING:
    import torch

#: Version (major, minor) of the plugin contract. A component works with every later minor version of its major version.
API_VERSION = (1, 1)
#: Names of components: what configuration can write without quotes.
NAME = re.compile(r"[a-z][a-z0-9_]*")


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
    #: The blocks τ of this run, in the order of its setting `blocks`.
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
    """A declaration; nothing of the model is imported until `load()`, and nothing is checked until `problem()`.

    Attributes:
        kind: what it is.
        name: how configuration and errors name it, `[a-z][a-z0-9_]*`; unique within its kind.
        target: "package.module:callable"; called as `callable(config, context)`.
        config: a dataclass of settings with defaults, in a module that imports no torch.
        summary: one sentence.
        assets: files it loads by default.
        requires: what must be composed beside it: kinds ("encoder", "face_model", "rig", "editor", "inverter",
            "landmarks"), "prior" for
            latents v drawn in every iteration, and feature networks by role ("features.recognition").
        api_version: (major, minor) of the contract it was written for, as two numbers, not as this module's
            `API_VERSION`, which is that of the running core. Required; only what a deprecated hook declares may leave
            it out, and then counts as (1, 0).
    """

    kind: Kind
    name: str
    target: str
    config: type = EmptyConfig
    summary: str = ""
    assets: tuple[Asset, ...] = ()
    requires: frozenset[str] = frozenset()
    api_version: tuple[int, int] | None = None

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
                f"the name {self.name!r} of a {self.kind} is no name of a component",
                "It begins with a small letter and has only small letters, digits and underscores.",
            )
        stated = self.api_version
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
        if not isinstance(self.config, type) or not dataclasses.is_dataclass(self.config):
            return ComponentError(f"the config of {what} must be a dataclass, not {self.config!r}")
        module, _, attribute = str(self.target).partition(":")
        if not isinstance(self.target, str) or not module or not attribute:
            return ComponentError(f"the target {self.target!r} of {what} is not 'module:callable'")
        return None

    def load(self) -> Callable[[Any, BuildContext], Any]:
        """Import the target and return the callable; ComponentError names the component when that fails."""
        module_name, _, attribute = self.target.partition(":")
        try:
            target = importlib.import_module(module_name)
            for part in attribute.split("."):
                target = getattr(target, part)
        except (Exception, SystemExit) as error:
            raise ComponentError(
                f"{self.kind} '{self.name}' cannot be loaded from '{self.target}': {_in_one_line(error)}"
            ) from error
        return target  # type: ignore[return-value]


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


def _in_one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, (ImportError, AttributeError)):
        return text
    return f"{type(error).__name__}: {text}".rstrip(": ")
