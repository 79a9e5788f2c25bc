"""Errors a person can act on: each says what was wrong, where, and what to do."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

#: Characters of a ConfigError with its hint, and of the text of an exception that a line shows.
LONGEST = 380


class PieError(Exception):
    """Base of every error that is the input's fault; the command line prints it in one line and exits with 2.

    Args:
        message: what was wrong and where.
        hint: what to do about it, printed after the message.

    Attributes:
        status: exit status of the command that ends with it.
    """

    status = 2
    _located = False

    def __init__(self, message: str, hint: str | None = None) -> None:
        self.message = message
        self.hint = hint
        super().__init__(message if hint is None else f"{message}. {hint}")

    def locate(self, where: str) -> None:
        """Put `where` in front of the message, unless it begins with it; only the first call does anything."""
        if not self._located and not re.match(rf"{re.escape(where)}(?!\w)", self.message):
            self.message = f"{where}: {self.message}"
            self.args = (self.message if self.hint is None else f"{self.message}. {self.hint}",)
        self._located = True


class ConfigError(PieError):
    """A setting that does not exist, has the wrong type, or contradicts another.

    Whatever was given as a setting, the error is one line that can be read: long values lose their middle.
    """

    def __init__(self, message: str, hint: str | None = None) -> None:
        message = shortened(message, LONGEST * 3 // 5)
        super().__init__(message, None if not hint else shortened(hint, LONGEST - len(message)))


class ComponentError(PieError):
    """A component that is unknown, declared twice, broken, or lacks something it requires."""


class PluginError(ComponentError):
    """The code of a component failed, or gave what its contract does not allow: no fault of the input."""

    status = 1


class AssetError(PieError):
    """A weight file or other asset that is missing, damaged, or of the wrong kind."""


class InputError(PieError):
    """An image or parameter file that cannot be used."""


class RunError(PieError):
    """A run folder that cannot be read, resumed or written."""


def in_one_line(error: BaseException) -> str:
    """An exception as `Type: message` without line breaks and not too long; the message alone where it is for people.

    It never raises, whatever the exception's own text does.
    """
    try:
        text = " ".join(str(error).split())
    except (Exception, SystemExit):  # a plugin's exception may fail at this too
        text = "its message cannot be shown"
    if isinstance(error, PieError):
        return text
    text = shortened(text, LONGEST)
    if isinstance(error, SystemExit):
        return f"it exits ({text or 0})"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def shortened(text: str, longest: int) -> str:
    """A text without line breaks and other control characters, and without its middle where it is too long."""
    line = "".join(c if c.isprintable() else " " for c in text)
    if len(line) <= longest:
        return line
    end = (longest - 5) // 3
    return f"{line[: longest - 5 - end]} ... {line[len(line) - end :]}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence that names the nearest known names, or all of them when none is near."""
    options = sorted(set(known))
    near = difflib.get_close_matches(name, options, n=3, cutoff=0.5)
    if near:
        return "Did you mean " + " or ".join(f"'{n}'" for n in near) + "?"
    if not options:
        return "Nothing is registered under that kind."
    return "Known: " + ", ".join(options) + "."
