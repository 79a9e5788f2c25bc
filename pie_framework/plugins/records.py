"""Where a plugin comes from, and what it got wrong."""

from __future__ import annotations

import re
from dataclasses import dataclass

#: The distribution whose plugins ship with the core.
SHIPPED = "pie-framework"


def canonical(distribution: str) -> str:
    """The name of a distribution as indexes compare it."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


@dataclass(frozen=True)
class Provenance:
    """Where a plugin comes from.

    Attributes:
        plugin: name of the entry point.
        distribution: name of the installed package that declares it.
        version: version of that package.
    """

    plugin: str
    distribution: str
    version: str

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}"

    @property
    def shipped(self) -> bool:
        """Whether it is one of pie-framework's own."""
        return canonical(self.distribution) == SHIPPED

    @property
    def label(self) -> str:
        """Plugin, distribution and version, for messages."""
        return f"plugin '{self.plugin}' of {self}"


@dataclass(frozen=True)
class PluginProblem:
    """Something that a plugin got wrong.

    Attributes:
        provenance: the plugin.
        message: what is wrong, in one sentence.
        fatal: whether the plugins contradict one another, so that a name means nothing.
        mild: whether all that the plugin offers can be used nevertheless.
    """

    provenance: Provenance
    message: str
    fatal: bool = False
    mild: bool = False

    def __str__(self) -> str:
        return f"{self.provenance.label}: {self.message}"
