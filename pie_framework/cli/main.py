"""`pie`: dispatches to the sub-commands and turns errors into one line.

Exit status: 0 done, 1 a sub-command's own failure, 2 something the person can mend, 130 interrupted with nothing kept.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

from pie_framework import __version__
from pie_framework.errors import PieError, did_you_mean

#: Sub-commands with their module and what they do.
COMMANDS = {
    "run": ("pie_framework.cli.run", "embed a portrait: pie run energy=full generator=stylegan2"),
    "edit": ("pie_framework.cli.edit", "edit an embedded portrait: pie edit outputs/RUN rotation.yaw=15"),
    "bench": (
        "pie_framework.cli.bench",
        "measure methods against true edits: pie bench set=smoke | pie bench models",
    ),
    "assets": (
        "pie_framework.cli.assets",
        "get checkpoints of others: pie assets list | show | pull | add | verify",
    ),
    "convert": (
        "pie_framework.cli.convert",
        "turn a foreign checkpoint into safetensors: pie convert ffhq.pkl ffhq.safetensors",
    ),
    "doctor": (
        "pie_framework.cli.doctor",
        "whether a run can go, with which files and licences: pie doctor ...",
    ),
    "plugins": ("pie_framework.cli.plugins", "list plugins, or show one: pie plugins list | show NAME"),
    "train": ("pie_framework.cli.train", "train a model from its recipe: pie train NAME key=value ..."),
}

USAGE = "\n".join(
    [
        "usage: pie COMMAND [ARGUMENTS] [--debug]",
        "",
        "Portrait image embedding for semantic control.",
        "",
        "commands:",
        *(f"  {name:<9}{summary}" for name, (_, summary) in COMMANDS.items()),
        "",
        "options:",
        "  -h, --help   this text; 'pie COMMAND --help' explains one command",
        "  --version    the version",
        "  --debug      show the traceback of an error",
        "",
        'tab completion in bash: eval "$(pie -sc install=bash)"',
    ]
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one sub-command; returns the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    try:
        return _dispatch(words)
    except PieError as error:
        if debug:
            raise
        print(f"pie: error: {error}", file=sys.stderr)
        return error.status
    except KeyboardInterrupt as stop:
        if debug:
            raise
        print(f"pie: interrupted; {str(stop) or 'nothing was kept'}", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if debug or error.strerror is None:
            raise
        where = "" if error.filename is None else f"'{error.filename}': "
        print(f"pie: error: {where}{error.strerror}", file=sys.stderr)
        return 2


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(USAGE)
        return 0
    if words[0] == "--version":
        print(f"pie-framework {__version__}")
        return 0
    if words[0] in ("-sc", "--shell-completion"):
        from pie_framework.cli.completion import complete

        return complete(words[1:])
    if words[0] not in COMMANDS:
        raise PieError(f"there is no command '{words[0]}'", did_you_mean(words[0], COMMANDS))
    module = importlib.import_module(COMMANDS[words[0]][0])
    status: int = module.main(words[1:])
    return status


if __name__ == "__main__":
    sys.exit(main())
