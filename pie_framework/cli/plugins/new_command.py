"""`pie plugins new NAME --kind KIND`: a distribution of one's own, ready to install, to run and to change."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pie_framework.arguments import split
from pie_framework.errors import ConfigError
from pie_framework.plugins import discover

USAGE = """usage: pie plugins new NAME --kind KIND [--folder DIR]

Writes the folder pie-NAME: a plugin that installs, runs and passes its own tests as it is.

  NAME          [a-z][a-z0-9_]*, with no underscore at its end; the package is called pie_NAME
  --kind KIND   energy, generator, encoder, face_model, rig, features, landmarks, aligner, optimizer, observer, command
  --folder DIR  where it is made, here by default"""
OPTIONS = ("--kind", "--folder")


def main(arguments: Sequence[str]) -> int:
    """Returns 0; raises ConfigError for a name, kind or folder that cannot be used."""
    words = list(arguments)
    if not words or any(word in ("-h", "--help") for word in words):
        print(USAGE)
        return 0
    from pie_framework.cli.plugins.authoring.create import create, next_commands
    from pie_framework.cli.plugins.authoring.recipes import RECIPES

    names, options = split(words, OPTIONS, "pie plugins new")
    if len(names) != 1:
        raise ConfigError(f"'pie plugins new' takes one name, not {len(names)}", USAGE.splitlines()[0])
    if "--kind" not in options:
        raise ConfigError("'pie plugins new' needs a kind", f"--kind is one of: {', '.join(RECIPES)}.")
    name = names[0].replace("-", "_")
    if name != names[0]:
        print(f"'{names[0]}' is called '{name}': names of components have underscores")
    path = create(name, options["--kind"], Path(options.get("--folder", ".")), discover())
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        print(f"  {file}")
    print(f"Next:\n  {next_commands(path, name, options['--kind'])}")
    return 0
