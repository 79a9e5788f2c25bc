"""Words of a command line as names, options, flags and settings, for the commands that need no more than that."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from pie_framework.errors import ConfigError, did_you_mean


class Parser(argparse.ArgumentParser):
    """argparse for commands of `pie`: what is wrong is a ConfigError of one line, and nothing is abbreviated.

    Its help is printed by the command (`format_help`), as `pie` itself exits by return values.
    """

    def __init__(self, prog: str, **options: Any) -> None:
        formatter = argparse.RawDescriptionHelpFormatter
        super().__init__(prog, formatter_class=formatter, add_help=False, allow_abbrev=False, **options)

    def add_switch(self, name: str, text: str | None = None) -> None:
        """An option that is written `name=true`, and is false otherwise."""
        self.add_argument(f"--{name}", type=_true_or_false, default=False, metavar="true", help=text)

    def parse(self, words: Iterable[str], switches: Sequence[str] = ()) -> argparse.Namespace:
        """The arguments; a word `name=...` counts as an option where `name` is one of the switches."""
        return self.parse_args([f"--{w}" if w.partition("=")[0] in switches else w for w in words])

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"'{self.prog}': {message}", "U" + " ".join(self.format_usage().split())[1:])


def _true_or_false(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"'{text}' is neither true nor false")
    return text.lower() == "true"


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


def settings(words: Iterable[str]) -> dict[str, Any]:
    """Settings from words KEY=VALUE, with values as in YAML; ConfigError names the one that cannot be read."""
    import yaml
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    node = OmegaConf.create()
    for word in words:
        key, _, _ = word.partition("=")
        if not all(part.strip("[] ") for part in key.split(".")):
            raise ConfigError(f"'{word}' does not say which setting", "Write KEY=VALUE.")
        try:
            node.merge_with_dotlist([word])
        except (yaml.YAMLError, OmegaConfBaseException, ValueError) as error:
            reason = getattr(error, "problem", None) or str(error).partition("\n")[0]
            raise ConfigError(f"'{word}' cannot be read: {reason}", "Write KEY=VALUE, as in YAML.") from error
    plain: Any = OmegaConf.to_container(node)
    return {str(key): value for key, value in plain.items()}
