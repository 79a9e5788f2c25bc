"""Backbones: a generator with the face model, encoder and rigs that belong to it, kept in one folder.

`pie train backbone` writes such a folder; `pie run backbone=FOLDER` uses it. The folder holds `backbone.yaml`, which
lists overrides of the configuration in Hydra's words, and the trained networks. Overrides given beside `backbone=`
come after the folder's and win. Imports no torch.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pie_framework.errors import ConfigError, did_you_mean
from pie_framework.files.io import write_text

#: The override that names a folder.
KEY = "backbone"
FILE = "backbone.yaml"
FORMAT = "pie.backbone"
VERSION = 1
#: Groups whose choice needs rigs of its own.
OWN_RIGS = ("generator", "face_model", "encoder")
#: In a value: the folder itself.
HERE = "{folder}"
#: What a backbone may say; anything else in its file is refused, Hydra's own settings above all.
KEYS = (
    "generator",
    "face_model",
    "encoder",
    "rig",
    "editor",
    "inverter",
    "landmarks",
    "features",
    "aligner",
    "blocks",
    "init",
)
#: Those of KEYS that are settings of the run themselves; the others are groups, of which one is chosen by its name.
PLAIN_KEYS = ("blocks",)
MAX_BYTES = 1 << 20


@dataclass(frozen=True)
class Override:
    """One `KEY=VALUE` of a configuration.

    Attributes:
        key: dotted, such as "generator.weights".
        value: the text behind "=", as Hydra reads it.
    """

    key: str
    value: str

    @classmethod
    def parse(cls, text: str) -> Override:
        """From `KEY=VALUE`; ConfigError when it is something else."""
        key, equals, value = text.partition("=")
        if not equals or not re.fullmatch(r"\+{0,2}[A-Za-z_][\w.@/-]*", key):
            raise ConfigError(f"'{text}' is not KEY=VALUE", "For example: face_model=ict.")
        return cls(key, value)

    @property
    def group(self) -> str:
        """First segment of the key: "generator" of "generator.weights"."""
        return re.split(r"[.@/]", self.key.lstrip("+"), maxsplit=1)[0]

    def __str__(self) -> str:
        return f"{self.key}={self.value}"


def quoted(value: str) -> str:
    """A text as a value of Hydra's override grammar that means exactly this text."""
    if re.fullmatch(r"[\w./:-]+", value, re.ASCII):
        return value
    # Backslashes count in pairs before a quotation mark and at the end, and as themselves elsewhere.
    return '"' + re.sub(r'(\\*)("|$)', lambda m: 2 * m[1] + ('\\"' if m[2] else ""), value) + '"'


def unquoted(value: str) -> str:
    """The text that a quoted value means; other values are given back as they are."""
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
        mark = value[0]
        return re.sub(
            rf"(\\*)({mark}|$)", lambda m: m[1][: len(m[1]) // 2] + (mark if m[2] else ""), value[1:-1]
        )
    return value


def write(folder: str | os.PathLike[str], overrides: Iterable[Override], notes: dict[str, Any]) -> Path:
    """Write `backbone.yaml`, all or nothing.

    Args:
        folder: holds the trained networks, which the overrides name as `{folder}/...`.
        overrides: of the configuration, in order.
        notes: how the networks were made, JSON values.

    Returns:
        Path of the file.
    """
    chosen = list(overrides)
    for override in chosen:
        check(override, str(folder))
    lines = [
        f"# A generator with its face model, encoder and rigs. Use it with: pie run {KEY}=FOLDER input=photo.jpg",
        f"format: {FORMAT}",
        f"version: {VERSION}",
        "overrides:",
        *(f"  - {json.dumps(str(override), ensure_ascii=False)}" for override in chosen),
        f"notes: {json.dumps(notes, ensure_ascii=False)}",
        "",
    ]
    path = Path(folder) / FILE
    write_text(path, "\n".join(lines))
    return path


def read(folder: str | os.PathLike[str]) -> list[Override]:
    """The overrides of a backbone, with `{folder}` replaced.

    Args:
        folder: what `pie train backbone` wrote, or its `backbone.yaml`.

    Raises:
        ConfigError: it is absent, not such a file, of a newer version, or says what no backbone may say.
    """
    path = Path(folder).expanduser()
    path = path if path.name == FILE else path / FILE
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(f"'{path}' is too large for the description of a backbone")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = "is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else "is not there"
        raise ConfigError(
            f"{KEY}: '{path}' {reason}", "Give the folder that 'pie train backbone' wrote."
        ) from error
    content = _yaml(text, path)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ConfigError(f"'{path}' does not describe a backbone", f"It lacks 'format: {FORMAT}'.")
    if content.get("version") != VERSION:
        raise ConfigError(
            f"'{path}' is of version {content.get('version')!r}; this release reads version {VERSION}"
        )
    listed = content.get("overrides")
    if not isinstance(listed, list) or not all(isinstance(item, str) for item in listed):
        raise ConfigError(f"'{path}': overrides is not a list of KEY=VALUE")
    overrides = [Override.parse(item) for item in listed]
    here = str(path.parent.resolve())
    for override in overrides:
        check(override, str(path))
    return [
        Override(o.key, quoted(unquoted(o.value).replace(HERE, here))) if HERE in o.value else o
        for o in overrides
    ]


def command(overrides: str) -> str:
    """The command that first uses a component, given as KEY=VALUE words.

    The bundled encoder and rigs know neither other generators nor other face models: these need their own.
    """
    groups = set(re.findall(r"(?:^|\s)(\w+)(?:[./@][\w./@-]*)?=", overrides))
    return f"pie train backbone {overrides}" if groups & set(OWN_RIGS) else f"pie run {overrides}"


def expand(overrides: Sequence[str]) -> list[str]:
    """Overrides with `backbone=FOLDER` replaced by what the folder says; flags and other words stay as they are.

    Where a group is chosen anew beside it (`aligner=none`), nothing that the folder says of that group is left.

    Raises:
        ConfigError: the folder cannot be used, or several are given.
    """
    named = [word for word in overrides if word.startswith(f"{KEY}=")]
    if not named:
        return list(overrides)
    value = unquoted(named[0].partition("=")[2])
    if len(named) > 1 or ("," in value and not Path(value).expanduser().exists()):
        raise ConfigError(f"{KEY} takes one folder", "Make one run for each backbone.")
    rest = [word for word in overrides if word not in named]
    anew = {word.partition("=")[0] for word in rest}
    return [*(str(override) for override in read(value) if override.group not in anew), *rest]


def check(override: Override, where: str) -> None:
    """Raise ConfigError when a backbone may not say this; `where` is the folder or file, for the message."""
    if override.group not in KEYS or override.key.startswith("+"):
        raise ConfigError(
            f"'{where}': a backbone does not set '{override.key}'", did_you_mean(override.group, KEYS)
        )
    setting = override.key in PLAIN_KEYS or re.fullmatch(r"\w+(\.\w+)+", override.key)
    named = re.fullmatch(r"\w+(/\w+)*", override.key) and re.fullmatch(r"[\w-]+", unquoted(override.value))
    if not setting and not named:
        # Hydra would take the path of any YAML file for an option, and that file could set up Hydra itself.
        raise ConfigError(f"'{where}': '{override}' does not choose a component by its name")
    if re.search(r"\$\\*\{", override.value):
        raise ConfigError(f"'{where}': '{override}' holds an interpolation, which a backbone may not")


def _yaml(text: str, path: Path) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ConfigError(f"'{path}' is not valid YAML: {str(error).splitlines()[0]}") from error
