"""Where a plugin comes from, what it got wrong, and how an exception reads in one line."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pie_framework.errors import PieError

#: The distribution whose plugins ship with the core.
SHIPPED = "pie-framework"
#: Characters of an exception's text that a line shows.
LONGEST = 500


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
class Problem:
    """Something that a plugin got wrong.

    Attributes:
        provenance: the plugin.
        message: what is wrong, in one sentence.
        fatal: whether the plugins contradict one another (a name declared twice).
        mild: whether all that the plugin offers can be used nevertheless.
    """

    provenance: Provenance
    message: str
    fatal: bool = False
    mild: bool = False

    def __str__(self) -> str:
        return f"{self.provenance.label}: {self.message}"


def describe(error: BaseException) -> str:
    """An exception in one line; the text of a `PieError` needs no type before it."""
    try:
        text = " ".join(str(error).split())
    except Exception:  # a plugin's exception may fail at this too
        text = "its message cannot be shown"
    if len(text) > LONGEST:
        text = text[:LONGEST] + " ..."
    if isinstance(error, SystemExit):
        return f"it exits ({text or 0})"
    return text if isinstance(error, PieError) else f"{type(error).__name__}: {text}".rstrip(": ")
