"""What an examination finds."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any


class Status(str, enum.Enum):
    """How a finding is to be taken."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    #: The run cannot go as it is composed.
    ERROR = "error"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        section: the part of the report: a key of SECTIONS.
        name: what was looked at.
        status: how it is.
        text: what was found.
        hint: what to do about it, or "".
    """

    section: str
    name: str
    status: Status
    text: str
    hint: str = ""


#: Sections in their order, with their headings.
SECTIONS = {
    "machine": "This machine",
    "plugins": "Plugins",
    "extras": "Optional packages",
    "run": "The composed run",
    "assets": "Files that it loads",
    "licences": "Licences of what it loads",
    "memory": "Memory that was measured",
}


@dataclass
class Report:
    """All findings of one examination.

    Attributes:
        overrides: of the run that was composed.
        findings: in the order in which they were found.
        facts: figures for programs, JSON values.
    """

    overrides: list[str]
    findings: list[Finding] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def add(self, section: str, name: str, status: Status, text: str, hint: str = "") -> None:
        self.findings.append(Finding(section, name, status, text, hint))

    def of(self, section: str) -> Iterable[Finding]:
        return [finding for finding in self.findings if finding.section == section]

    @property
    def can_run(self) -> bool:
        """Whether nothing was found that stops the run."""
        return not any(finding.status is Status.ERROR for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "overrides": self.overrides,
            "can_run": self.can_run,
            "findings": [asdict(finding) for finding in self.findings],
            **self.facts,
        }
