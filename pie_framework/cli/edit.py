"""`pie edit RUN control=value ...`: a few passes through the rig networks of a run, no optimisation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pie_framework.errors import ConfigError, did_you_mean

USAGE = """usage: pie edit RUN CONTROL=VALUE ... [OPTION=VALUE ...]
       pie edit RUN --list

Edits the portrait of a run folder and writes RUN/edits/NAME.png with a record of what was asked and achieved.

controls (absolute; NAME+=VALUE adds to what the portrait shows; FIRST:LAST:COUNT is a sweep):
  rotation.yaw=15 rotation.pitch=-5 rotation.roll=0    degrees; yaw turns the nose to the image's right,
                                                       pitch bows the head, roll is counter-clockwise
  expression.NAME=0.8                                  a named coefficient; blink sets both eyes
  illumination.from=left                               left, right, front, above, below, above_left, above_right
  illumination.direction=[x,y,z]                       towards the light: image right, up, towards the viewer
  illumination.azimuth=60 illumination.elevation=20    degrees; 0, 0 is in front, 90 the image's right
  illumination.intensity=0.7 illumination.ambient=0.4  shading of the light and everywhere
  illumination.colour=#ffd0a0                          or [r,g,b] in 0..1
  BLOCK.raw=[...]  illumination.sh=[...]               all coefficients, in the layout's own unit
  source=other.jpg source_blocks=[expression]          blocks of another portrait
  params=file.json                                     controls from a file; a list there is a sequence of frames

options:
  name=NAME          of the files; made from the controls by default
  out=DIR            where to, instead of RUN/edits
  portrait=N         which portrait of a run of several, from 0
  device=cpu         auto, cpu, cuda or cuda:N, instead of the run's
  corrections=N      corrections by what was read back, instead of the run's; 0 for a single pass
  paste_back=true    also write the full-size photo with the edited face

examples:
  pie edit outputs/RUN rotation.yaw=15 expression.smile=0.8
  pie edit outputs/RUN rotation.yaw=-20:20:9 name=turn"""


def _count(key: str, what: str, hint: str, text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ConfigError(f"{key}={text} is not {what}", hint)
    return int(text)


def _truth(key: str, text: str) -> bool:
    if text not in ("true", "false"):
        raise ConfigError(f"{key}={text} is neither true nor false")
    return text == "true"


#: What the text of each option is read with.
OPTIONS: Mapping[str, Callable[[str], Any]] = {
    "name": str,
    "out": str,
    "portrait": partial(_count, "portrait", "the number of a portrait", "The first one is 0."),
    "device": str,
    "corrections": partial(_count, "corrections", "a number of corrections", "0 is a single pass."),
    "paste_back": partial(_truth, "paste_back"),
}


def main(arguments: Sequence[str]) -> int:
    """Returns 0; raises PieError for what the person can mend."""
    if not arguments or {"-h", "--help"} & set(arguments):
        print(USAGE)
        return 0
    job = parse_arguments(arguments)
    from rich.console import Console

    from pie_framework.runs.edit_run import edit_run

    edit_run(**job, console=Console())
    return 0


def parse_arguments(words: Sequence[str]) -> dict[str, Any]:
    """The arguments of `edit_run` for a command line.

    Raises:
        ConfigError: an option is unknown or has a value of the wrong kind, or there is nothing to do.
    """
    listing = "--list" in words
    words = [word for word in words if word != "--list"]
    if not words or ("=" in words[0] and not Path(words[0]).exists()):
        raise ConfigError("the first argument must be a run folder", "pie edit RUN rotation.yaw=15")
    options: dict[str, Any] = {}
    controls = []
    for word in words[1:]:
        key, equals, value = word.partition("=")
        if key.startswith("-"):
            hint = did_you_mean(key, ("--list", "--help", *OPTIONS))
            raise ConfigError(f"there is no option '{key}'", hint)
        if not equals or key not in OPTIONS:
            controls.append(word)
        elif key in options:
            raise ConfigError(f"'{key}' is given twice")
        else:
            options[key] = OPTIONS[key](value)
    if not controls and not listing:
        raise ConfigError("no edit was given", "For example rotation.yaw=15; --list shows what there is.")
    return {"run": words[0], "controls": controls, "listing": listing, **options}
