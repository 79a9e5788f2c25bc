"""What becomes of a check. Imports no torch."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Status(enum.Enum):
    """What became of a check."""

    SKIP = "skip"
    PASS = "pass"
    WARN = "warn"
    FAIL = "FAIL"

    @property
    def badness(self) -> int:
        """Grows from skip to fail."""
        return list(Status).index(self)


@dataclass(frozen=True)
class Outcome:
    """One check.

    Attributes:
        check: what is checked, in words.
        status: what became of it.
        reason: why, or what was measured; one line, possibly empty.
        error: what was raised, where something was.
    """

    check: str
    status: Status
    reason: str = ""
    error: BaseException | None = None
