"""`pie`: dispatches to the sub-commands, its own and those of plugins, and turns errors into one line.

Exit status: 0 done, 1 a failure of a sub-command, a plugin or pie-framework itself, 2 something the person can mend,
130 interrupted with nothing kept.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

from pie_framework.cli.names import COMMANDS
from pie_framework.errors import PieError
from pie_framework.version import __version__

OPTIONS = """options:
  -h, --help   this text; 'pie COMMAND --help' explains one command
  --version    the version
  --debug      show the traceback of an error

tab completion in bash: eval "$(pie -sc install=bash)\""""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one sub-command; returns the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    try:
        return _dispatch(words)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        if debug:
            raise
        return _report(error)


def _report(error: BaseException) -> int:
    """One line for whatever stopped a command; returns the exit status."""
    if isinstance(error, PieError):
        status, line = error.status, f"error: {error}"
    elif isinstance(error, KeyboardInterrupt):
        status, line = 130, f"interrupted; {str(error) or 'nothing was kept'}"
    else:
        status, line = _unexpected(error)
    print(f"pie: {line}", file=sys.stderr)
    return status


def _unexpected(error: BaseException) -> tuple[int, str]:
    """Exit status and line of an error that is no `PieError`; a plugin that it came from is named."""
    from pie_framework.cli.commands import unexpected

    origin, line = unexpected(error)
    if origin is None and isinstance(error, SystemExit):
        raise error
    if origin is None and isinstance(error, OSError) and error.strerror is not None:
        where = "" if error.filename is None else f"'{error.filename}': "
        return 2, f"error: {where}{error.strerror}"
    return 1, f"error: {line}"


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    if words[0] == "--version":
        print(f"pie-framework {__version__}")
        return 0
    if words[0] in ("-sc", "--shell-completion"):
        from pie_framework.cli.completion import complete

        return complete(words[1:])
    if words[0] not in COMMANDS:
        from pie_framework.cli.commands import run_plugin

        return run_plugin(words[0], words[1:], COMMANDS)
    module = importlib.import_module(COMMANDS[words[0]][0])
    status: int = module.main(words[1:])
    return status


def usage() -> str:
    """The text of `pie --help`."""
    from pie_framework.cli.commands import foreign, shipped
    from pie_framework.plugins import installed_plugins

    points = installed_plugins()
    rows = {name: summary for name, (_, summary) in COMMANDS.items()}
    rows |= {name: command.summary for name, command in shipped(points).items()}
    others = {name: " ".join(command.summary.split()) for name, command in foreign(points).items()}
    width = max(len(name) for name in [*rows, *others]) + 2
    lines = ["usage: pie COMMAND [ARGUMENTS] [--debug]", "", "Portrait image embedding for semantic control."]
    for heading, listed in (("commands:", rows), ("commands of plugins:", others)):
        if listed:
            lines += ["", heading, *(f"  {name:<{width}}{text}" for name, text in listed.items())]
    return "\n".join([*lines, "", OPTIONS])


if __name__ == "__main__":
    sys.exit(main())
