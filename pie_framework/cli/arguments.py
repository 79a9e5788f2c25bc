"""Words of a command line as names, options and flags, for the commands that need no more than that."""

from __future__ import annotations

from collections.abc import Sequence

from pie_framework.errors import ConfigError, did_you_mean


def split(
    words: Sequence[str], options: Sequence[str], command: str, flags: Sequence[str] = ()
) -> tuple[list[str], dict[str, str]]:
    """The names, and the options with their values; a flag that is given has the value "".

    Args:
        words: what stood behind the command.
        options: that take a value, `--option VALUE` or `--option=VALUE`.
        command: its name, for messages.
        flags: that take none.

    Raises:
        ConfigError: an option that there is not, a value that is missing, or one that a flag was given.
    """
    names: list[str] = []
    given: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        option, equals, value = word.partition("=")
        if not option.startswith("-"):
            names.append(word)
            continue
        if option not in (*options, *flags):
            raise ConfigError(
                f"'{command}' has no option '{option}'", did_you_mean(option, (*options, *flags))
            )
        if option in flags and equals:
            raise ConfigError(f"'{command} {option}' takes no value")
        if option in options:
            value = value if equals else next(rest, "")
            if not value:
                raise ConfigError(f"'{command} {option}' needs a value")
        given[option] = value
    return names, given
